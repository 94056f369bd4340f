import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_assets.curation.geometry.cross_label_pairs import CANDIDATES, cross_label_pairs
from al_assets.curation.strategies.base import PICKS, Candidates
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs, draw_pairs, rank_pairs
from al_assets.tables import BOUNDARY_PAIRS
from al_assets_tests.support.pools import six, topic_pool

Row = tuple[str, str, float, float, int, int]


def pair_frame(rows: list[Row]) -> pl.DataFrame:
    columns = ["positive_item", "negative_item", "similarity", "mixing", "positive_cell", "negative_cell"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns), orient="row").with_columns(
        pl.concat_str("positive_item", "negative_item", separator="|").alias("pair_id"),
        pl.lit(0).alias("positive_region"),
        pl.lit(0).alias("negative_region"),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATES.items())


def test_each_pair_of_cells_has_its_turn() -> None:
    ranked = rank_pairs(
        pair_frame(
            [
                ("p1", "n1", 0.9, 1.0, 0, 0),
                ("p2", "n2", 0.8, 1.0, 0, 0),
                ("p3", "n3", 0.7, 0.5, 1, 0),
                ("p4", "n4", 0.6, 0.6, 1, 1),
                ("p1", "n4", 0.9, 0.3, 2, 1),
                ("p5", "n5", 0.1, 0.4, 1, 1),
            ]
        )
    )
    assert ranked["pair_id"].to_list() == ["p1|n1", "p4|n4", "p3|n3", "p2|n2", "p5|n5", "p1|n4"]
    assert ranked["rank"].to_list() == [0, 1, 2, 3, 4, None]
    drawn = draw_pairs(ranked, 3, exploration=0.0)
    assert drawn["selected"].to_list() == [True] * 3 + [False] * 3


def test_drawn_pairs_are_the_declared_table() -> None:
    pool = topic_pool()
    found = cross_label_pairs(pool.sides, pool.clusters(), neighbours=8, min_mixing=0.2)
    drawn = draw_pairs(rank_pairs(found, seed=1), 5, seed=1)
    table = drawn.with_columns(promising_share=0.0)
    assert BOUNDARY_PAIRS.check(table).equals(table)
    assert drawn["rank"].drop_nulls().len() >= 20
    assert drawn.equals(draw_pairs(rank_pairs(found.sample(fraction=1, shuffle=True, seed=3), seed=1), 5, seed=1))


items = st.integers(0, 7)
share = st.sampled_from([0.0, 0.25, 0.5, 1.0])
pair_rows = st.lists(
    st.tuples(items.map("p{}".format), items.map("n{}".format), share, share, st.integers(0, 2), st.integers(0, 2)),
    max_size=40,
    unique_by=lambda row: row[:2],
)


@given(pair_rows, st.integers(0, 10), share, st.integers(0, 3))
def test_no_item_twice_and_nothing_left_to_rank(rows: list[Row], budget: int, exploration: float, seed: int) -> None:
    drawn = draw_pairs(rank_pairs(pair_frame(rows), seed), budget, exploration, seed)
    assert drawn.height == len(rows)
    ranked = drawn.drop_nulls("rank")
    assert ranked["rank"].to_list() == list(range(ranked.height))
    assert sorted(ranked["draw_order"]) == list(range(ranked.height))
    assert drawn["selected"].sum() == min(budget, ranked.height)
    used = [*ranked["positive_item"], *ranked["negative_item"]]
    assert len(used) == len(set(used))
    unranked = drawn.filter(pl.col("rank").is_null())
    assert all(one in used or other in used for one, other in unranked.select("positive_item", "negative_item").rows())


@given(pair_rows, st.integers(0, 12), share, st.sets(items), st.integers(0, 3))
def test_both_members_are_picked_or_none(
    rows: list[Row], budget: int, exploration: float, taken: set[int], seed: int
) -> None:
    ids = [f"{side}{number}" for side in "pn" for number in range(8)]
    scores = np.array([0.9] * 8 + [0.1] * 8)
    free = np.array([number not in taken for _ in "pn" for number in range(8)])
    ranked = rank_pairs(pair_frame(rows), seed)
    candidates = Candidates(pl.Series("item_id", ids), scores, scores > 0.5, free=free, pairs=ranked)
    picks = BoundaryPairs(exploration).pick(candidates, budget, seed)
    open_items = {item for item, may in zip(ids, free, strict=True) if may}
    usable = ranked.drop_nulls("rank").filter(
        pl.col("positive_item").is_in(open_items) & pl.col("negative_item").is_in(open_items)
    )
    assert picks.schema == PICKS
    assert picks.height == 2 * min(budget // 2, usable.height)
    assert picks["item_id"].is_unique().all()
    pairs = [f"{one}|{other}" for one, other in picks["item_id"].reshape((-1, 2)).to_list()] if picks.height else []
    assert [pair for pair in pairs for _ in "pn"] == picks["pair_id"].to_list()
    assert set(pairs) <= set(usable["pair_id"])


def test_an_item_of_one_side_does_not_block_one_of_the_other() -> None:
    rows = [(f"p{number}", f"n{(number + 1) % 4}", 0.5, 0.5, number, number) for number in range(4)]
    assert rank_pairs(pair_frame(rows))["rank"].null_count() == 0


def test_equal_pairs_are_ordered_by_lot() -> None:
    frame = pair_frame([(f"p{each}", f"n{each}", 0.5, 0.5, 0, 0) for each in range(20)])
    assert len({tuple(rank_pairs(frame, seed)["pair_id"]) for seed in range(5)}) == 5


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="pairs: none given"):
        BoundaryPairs().pick(six(), 2, 0)
    with pytest.raises(ValueError, match="budget: -2 is too small"):
        BoundaryPairs().pick(six(), -2, 0)
    with pytest.raises(ValueError, match="budget: -1 is too small"):
        draw_pairs(rank_pairs(pair_frame([])), -1)
