import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.pairs import CANDIDATES, cross_label_pairs
from al_assets.curation.strategies import (
    STRATEGIES,
    Candidates,
    Margin,
    TopScored,
    UniformRandom,
    implied_threshold,
    pick_pairs,
    promising_share,
)
from al_assets.storage.schemas import BOUNDARY_PAIRS
from al_assets_tests.curation.pools import topic_pool

Row = tuple[str, str, float, float, int, int]


def pair_frame(rows: list[Row]) -> pl.DataFrame:
    columns = ["positive_item", "negative_item", "similarity", "mixing", "positive_cell", "negative_cell"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(columns), orient="row").with_columns(
        pl.concat_str("positive_item", "negative_item", separator="|").alias("pair_id"),
        pl.lit(0).alias("positive_cluster"),
        pl.lit(0).alias("negative_cluster"),
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATES.items())


def test_each_pair_of_cells_has_its_turn() -> None:
    picked = pick_pairs(
        pair_frame(
            [
                ("p1", "n1", 0.9, 1.0, 0, 0),
                ("p2", "n2", 0.8, 1.0, 0, 0),
                ("p3", "n3", 0.7, 0.5, 1, 0),
                ("p4", "n4", 0.6, 0.6, 1, 1),
                ("p1", "n4", 0.9, 0.3, 2, 1),
                ("p5", "n5", 0.1, 0.4, 1, 1),
            ]
        ),
        3,
    )
    assert picked["pair_id"].to_list() == ["p1|n1", "p4|n4", "p3|n3", "p2|n2", "p5|n5", "p1|n4"]
    assert picked["rank"].to_list() == [0, 1, 2, 3, 4, None]
    assert picked["selected"].to_list() == [True] * 3 + [False] * 3
    assert picked["inclusion_probability"].null_count() == 6


def test_picked_pairs_are_the_declared_table() -> None:
    pool = topic_pool()
    found = cross_label_pairs(pool.item_ids, pool.vectors, pool.positive, pool.clusters(), neighbours=8, min_mixing=0.2)
    picked = pick_pairs(found, 5, seed=1)
    assert BOUNDARY_PAIRS.check(picked).equals(picked)
    assert picked["rank"].drop_nulls().len() >= 20
    assert picked.equals(pick_pairs(found.sample(fraction=1, shuffle=True, seed=3), 5, seed=1))


items = st.integers(0, 7)
share = st.sampled_from([0.0, 0.25, 0.5, 1.0])
pair_rows = st.lists(
    st.tuples(items.map("p{}".format), items.map("n{}".format), share, share, st.integers(0, 2), st.integers(0, 2)),
    max_size=40,
    unique_by=lambda row: row[:2],
)


@given(pair_rows, st.integers(0, 10), st.integers(0, 3))
@settings(deadline=None)
def test_no_item_twice_and_nothing_left_to_rank(rows: list[Row], budget: int, seed: int) -> None:
    picked = pick_pairs(pair_frame(rows), budget, seed)
    assert BOUNDARY_PAIRS.check(picked).equals(picked)
    assert picked.height == len(rows)
    ranked = picked.drop_nulls("rank")
    assert ranked["rank"].to_list() == list(range(ranked.height))
    assert picked["selected"].sum() == min(budget, ranked.height)
    used = [*ranked["positive_item"], *ranked["negative_item"]]
    assert len(used) == len(set(used))
    unranked = picked.filter(pl.col("rank").is_null())
    assert all(one in used or other in used for one, other in unranked.select("positive_item", "negative_item").rows())


def test_equal_pairs_are_ordered_by_lot() -> None:
    frame = pair_frame([(f"p{each}", f"n{each}", 0.5, 0.5, 0, 0) for each in range(20)])
    orders = {tuple(pick_pairs(frame, 5, seed)["pair_id"]) for seed in range(5)}
    assert len(orders) == 5


def test_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="budget_pairs: -1 is too small"):
        pick_pairs(pair_frame([]), -1)


def test_promising_share_starts_at_half_and_ends_near_the_target() -> None:
    assert promising_share(None, 0.4, 0) == 0.5
    assert promising_share(0.0, 0.4, 500) == 0.5
    assert promising_share(0.4, 0.4, 100) == 0
    assert promising_share(0.1, 0.4, 80) == pytest.approx(0.5 * (1 - 0.08 / 0.32))
    assert promising_share(0.0, 0.0, 10) == 0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.integers(0, 1000), st.integers(0, 1000))
@settings(deadline=None)
def test_promising_share_falls_with_evidence(a: float, b: float, target: float, n: int, m: int) -> None:
    fewer, more = sorted((a, b))
    assert 0 <= promising_share(more, target, n) <= promising_share(fewer, target, n) <= 0.5
    assert promising_share(a, target, max(n, m)) <= promising_share(a, target, min(n, m))


@pytest.mark.parametrize(("found", "target", "labelled"), [(1.2, 0.4, 5), (0.5, 1.4, 5), (0.5, 0.4, -1)])
def test_promising_share_refuses_what_is_no_share(found: float, target: float, labelled: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        promising_share(found, target, labelled)


def some_candidates(**others: np.ndarray) -> Candidates:
    scores = np.array([0.1, 0.9, 0.45, 0.7, 0.3, 0.55])
    return Candidates(pl.Series("item_id", list("abcdef")), scores, scores >= 0.5, **others)


def test_top_scored_takes_the_highest() -> None:
    assert TopScored().pick(some_candidates(), 3, 0)["item_id"].to_list() == ["b", "d", "f"]


def test_margin_takes_the_nearest_to_the_threshold() -> None:
    assert set(Margin().pick(some_candidates(), 2, 0)["item_id"]) == {"c", "f"}
    assert implied_threshold(np.array([0.1, 0.9]), np.array([False, True])) == pytest.approx(0.5)
    assert implied_threshold(np.array([0.1, 0.3]), np.array([False, False])) == 0.3
    assert implied_threshold(np.array([0.6, 0.7]), np.array([True, True])) == 0.6


def test_random_is_uniform() -> None:
    counts = dict.fromkeys("abcdef", 0)
    for seed in range(3_000):
        picked = UniformRandom().pick(some_candidates(), 2, seed)
        for item in picked["item_id"]:
            counts[item] += 1
    assert picked["inclusion_probability"].to_list() == pytest.approx([1 / 3, 1 / 3])
    # Six standard deviations of a binomial with 3,000 trials.
    assert all(abs(count - 1_000) < 155 for count in counts.values())


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("budget", [0, 2, 99])
def test_only_open_items_are_picked(name: str, budget: int) -> None:
    labels = np.array([np.nan, 1, np.nan, np.nan, 0, np.nan])
    free = np.array([True, True, True, True, True, False])
    picked = STRATEGIES[name].pick(some_candidates(labels=labels, free=free), budget, 0)
    assert picked.schema == {"item_id": pl.String, "reason": pl.String, "inclusion_probability": pl.Float64}
    assert picked.height == min(budget, 3)
    assert set(picked["item_id"]) <= set("acd")
    assert picked["item_id"].is_unique().all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_to_pick_from(name: str) -> None:
    nothing = Candidates(pl.Series("item_id", [], dtype=pl.String), np.zeros(0), np.zeros(0, dtype=bool))
    assert STRATEGIES[name].pick(nothing, 5, 0).is_empty()


@pytest.mark.parametrize("name", STRATEGIES)
def test_negative_budget_of_a_strategy_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="budget: -2 is too small"):
        STRATEGIES[name].pick(some_candidates(), -2, 0)


def test_scores_out_of_range_are_counted() -> None:
    with pytest.raises(ValueError, match="scores: 2 of 3 are NaN or outside"):
        Candidates(pl.Series(list("abc")), np.array([np.nan, 1.5, 0.5]), np.array([True, True, False]))
    with pytest.raises(ValueError, match="labels: 2 rows for 6 items"):
        some_candidates(labels=np.zeros(2))
