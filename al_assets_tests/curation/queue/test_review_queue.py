from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.budget import divide_budget
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.queue.review_queue import Sources, build_queue
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.boundary import BoundaryShare, divide_boundary
from al_assets.curation.strategies.ranked_pairs import rank_pairs
from al_assets.tables import REVIEW_QUEUE
from al_assets_tests.support.pools import Pool, labelled, topic_pool

SHARES = (0.6, 0.25, 0.15)
POOL = topic_pool()


def picked_pairs(pool: Pool, exclude: Collection[str] = ()) -> pl.DataFrame:
    found = cross_label_pairs(pool.sides, pool.clusters(), neighbours=8, min_mixing=0.2, exclude=exclude)
    return rank_pairs(found)


PAIRS = picked_pairs(POOL)


def queue_of(
    pool: Pool = POOL,
    *,
    pairs: pl.DataFrame = PAIRS,
    items: pl.DataFrame | None = None,
    shares: tuple[float, float, float] = SHARES,
    budget: int = 60,
    promising: float = 0.0,
    exploration: float = 0.0,
    exclude: Collection[str] = (),
    seed: int = 0,
) -> pl.DataFrame:
    queue = build_queue(
        pool=pool.items if items is None else items,
        scores=pool.pseudo_labels,
        sources=Sources(pairs=pairs),
        strategy=BoundaryShare(promising, exploration),
        shares=shares,
        budget=budget,
        audit_strata=5,
        exclude=exclude,
        seed=seed,
    )
    assert queue.schema == {name: REVIEW_QUEUE.schema[name] for name in queue.columns}
    return queue


@dataclass(frozen=True)
class _Reseeded:
    strategy: BoundaryShare
    seed: int
    reason: str = "boundary"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        return self.strategy.pick(candidates, budget, self.seed)


def by_reason(queue: pl.DataFrame) -> dict[str, int]:
    return dict(queue.group_by("reason").len().iter_rows())


def test_shares_are_kept() -> None:
    queue = queue_of(promising=0.5)
    assert by_reason(queue) == {"boundary": 18, "promising": 18, "audit": 15, "control": 9}
    assert queue["text"][0] == f"text of {queue['item_id'][0]}"


def test_pairs_stay_together_and_others_stand_alone() -> None:
    queue = queue_of()
    boundary, others = queue.filter(pl.col("reason") == "boundary"), queue.filter(pl.col("reason") != "boundary")
    assert boundary["group_id"].to_list() == boundary["pair_id"].to_list()
    assert boundary.group_by("pair_id").len()["len"].unique().to_list() == [2]
    assert others["group_id"].to_list() == others["item_id"].to_list()
    assert others["pair_id"].null_count() == others.height
    members = PAIRS.filter(pl.col("pair_id").is_in(boundary["pair_id"].to_list()))
    assert sorted(boundary["item_id"]) == sorted([*members["positive_item"], *members["negative_item"]])


def test_every_item_has_a_chance_and_only_random_items_a_stratum() -> None:
    certain = queue_of(promising=0.3)
    assert certain["inclusion_probability"].is_between(0, 1, closed="right").all()
    assert certain.filter(~pl.col("reason").is_in(["audit", "control"]))[
        "inclusion_probability"
    ].unique().to_list() == [1]
    random = certain.filter(pl.col("stratum").is_not_null())
    assert random["reason"].unique().sort().to_list() == ["audit", "control"]
    # Audit and control items of a stratum are one sample: they have one size and one chance.
    assert random.select("stratum", "stratum_size", "inclusion_probability").n_unique() == random["stratum"].n_unique()
    drawn = queue_of(promising=0.3, exploration=0.5)
    by_lot = drawn.filter(~pl.col("reason").is_in(["audit", "control"]) & (pl.col("inclusion_probability") < 1))
    assert set(by_lot["reason"]) == {"boundary", "promising"}
    assert drawn["rank"].null_count() == by_reason(drawn)["audit"] + by_reason(drawn)["control"]


def test_pairs_are_drawn_with_the_chance_they_say() -> None:
    ranked = PAIRS.drop_nulls("rank").height
    said: dict[tuple[str, ...], float] = {}
    seen: dict[str, float] = {}
    draws = 400
    for seed in range(draws):
        # The audit is the same in all draws, so each pair's chance given what it took is too.
        queue = build_queue(
            pool=POOL.items,
            scores=POOL.pseudo_labels,
            sources=Sources(pairs=PAIRS),
            strategy=_Reseeded(BoundaryShare(exploration=0.5), seed),
            shares=SHARES,
            budget=60,
            audit_strata=5,
        )
        for pair, chance in queue.filter(reason="boundary").select("pair_id", "inclusion_probability").iter_rows():
            seen[pair] = seen.get(pair, 0) + 0.5
            assert said.setdefault((pair,), chance) == chance
    assert len(said) < ranked
    assert len({chance for chance in said.values()}) == 2
    for (pair,), chance in said.items():
        assert abs(seen[pair] / draws - chance) <= 5 * (chance * (1 - chance) / draws) ** 0.5
    assert sum(said.values()) == pytest.approx(18)


def test_a_pair_whose_member_was_audited_is_replaced_by_the_next() -> None:
    queue = queue_of()
    random = queue.filter(pl.col("reason").is_in(["audit", "control"]))["item_id"].to_list()
    free = PAIRS.drop_nulls("rank").filter(
        ~pl.col("positive_item").is_in(random) & ~pl.col("negative_item").is_in(random)
    )
    chosen = queue.filter(pl.col("reason") == "boundary")["pair_id"].unique(maintain_order=True)
    assert chosen.to_list() == free["pair_id"].head(18).to_list()
    assert PAIRS["pair_id"].head(18).to_list() != chosen.to_list()


def test_chances_are_what_they_say() -> None:
    pool = topic_pool(40, prevalence=0.3)
    scores = pool.pseudo_labels
    draws = 500
    seen, said = dict.fromkeys(pool.item_ids, 0), dict[str, float]()
    for seed in range(draws):
        queue = build_queue(
            pool=pool.items,
            scores=scores,
            sources=Sources(pairs=PAIRS.clear()),
            shares=(0, 0.6, 0.4),
            budget=20,
            audit_strata=3,
            seed=seed,
        )
        for item, chance in queue.select("item_id", "inclusion_probability").iter_rows():
            seen[item] += 1
            assert said.setdefault(item, chance) == chance
    # The chance of being drawn for the audit or, if not, for the control.
    for item, chance in said.items():
        assert abs(seen[item] / draws - chance) <= 5 * (chance * (1 - chance) / draws) ** 0.5
    assert len(said) == 40
    assert sum(said.values()) == pytest.approx(20)


def test_promising_items_are_the_top_scored_that_are_free() -> None:
    queue = queue_of(promising=0.5)
    free = POOL.pseudo_labels.filter(
        ~pl.col("item_id").is_in(queue.filter(pl.col("reason") != "promising")["item_id"].to_list())
    )
    top = free.sort("p_positive", descending=True).head(18)["item_id"]
    assert queue.filter(pl.col("reason") == "promising")["item_id"].to_list() == top.to_list()


def test_without_pairs_positives_then_margin_items_fill_the_share() -> None:
    pool = labelled(POOL, np.arange(400) < 10)
    queue = queue_of(pool, pairs=PAIRS.clear(), shares=(1, 0, 0))
    assert by_reason(queue) == {"promising": 10, "margin": 50}
    assert set(queue["item_id"][:10]) == set(pool.item_ids[:10])
    assert queue["pair_id"].null_count() == 60
    assert queue["group_id"].to_list() == queue["item_id"].to_list()


def test_margin_items_are_the_nearest_to_the_threshold() -> None:
    pool = Pool(POOL.item_ids, POOL.vectors, np.zeros(400, dtype=bool), POOL.scores * 0.4)
    queue = queue_of(pool, pairs=PAIRS.clear(), shares=(1, 0, 0), budget=7)
    nearest = pool.pseudo_labels.sort("p_positive", descending=True).head(7)["item_id"]
    assert sorted(queue["item_id"]) == sorted(nearest)


def test_excluded_items_and_duplicates_are_not_asked() -> None:
    items = POOL.items.with_columns(
        pl.when(pl.col("item_id") == "i0390").then(pl.lit("i0005")).otherwise(None).alias("duplicate_of")
    )
    exclude = POOL.item_ids[10:380]
    queue = queue_of(items=items, exclude=exclude)
    assert sorted(queue["item_id"]) == [item for item in POOL.item_ids if item not in [*exclude, "i0390"]]
    # Whoever labelled the copy has labelled its original.
    assert "i0005" not in queue_of(items=items, exclude=[*exclude, "i0390"])["item_id"]


def test_fewer_items_than_budget_are_all_asked_in_the_same_shares() -> None:
    pool = topic_pool(20, prevalence=0.5)
    queue = queue_of(pool, pairs=PAIRS.clear(), budget=500, promising=0.5)
    assert queue.height == 20
    counts = by_reason(queue)
    assert (counts["audit"], counts["control"]) == (5, 3)


def test_everything_asked_already_leaves_nothing() -> None:
    assert queue_of(exclude=POOL.item_ids).is_empty()


@given(
    st.integers(1, 30),
    st.integers(0, 40),
    st.sampled_from([SHARES, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.2, 0.5, 0.3)]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(["both", "positive", "negative", "lone"]),
    st.integers(0, 3),
)
@settings(max_examples=60)
def test_any_queue_is_full_and_asks_each_item_once(
    items: int, budget: int, shares: tuple[float, float, float], promising: float, labels: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    number = np.arange(items)
    positive = {"both": number % 2 == 0, "positive": number >= 0, "negative": number < 0, "lone": number == 0}[labels]
    pool = labelled(topic_pool(items, seed=seed), positive)
    lot = rng.permutation(items)
    rows = [(pool.item_ids[a], pool.item_ids[b]) for a, b in zip(lot, number, strict=True) if positive[a] > positive[b]]
    pairs = pl.DataFrame(
        [(f"{a}|{b}", a, b, rank) for rank, (a, b) in enumerate(rows)],
        schema={"pair_id": pl.String, "positive_item": pl.String, "negative_item": pl.String, "rank": pl.Int64},
        orient="row",
    )
    queue = queue_of(pool, pairs=pairs, shares=shares, budget=budget, promising=promising, seed=seed)
    assert queue.height == min(items, budget)
    wanted = divide_budget(min(items, budget), shares)
    counts = by_reason(queue)
    assert counts.get("audit", 0) == wanted.audit
    assert counts.get("control", 0) == wanted.control
    shuffled = pool.items.sample(fraction=1, shuffle=True, seed=seed)
    again = queue_of(pool, pairs=pairs, items=shuffled, shares=shares, budget=budget, promising=promising, seed=seed)
    assert queue.equals(again)


def test_empty_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="pool: no items"):
        queue_of(items=POOL.items.clear())


def test_items_without_score_are_counted() -> None:
    with pytest.raises(ValueError, match="scores: 7 of 400 eligible items have none"):
        build_queue(
            pool=POOL.items,
            scores=POOL.pseudo_labels.head(393),
            sources=Sources(),
            shares=SHARES,
            budget=10,
            audit_strata=5,
        )


def test_scores_that_are_nan_are_counted() -> None:
    scores = POOL.pseudo_labels.with_columns(
        pl.when(pl.col("item_id") < "i0003").then(float("nan")).otherwise("p_positive").alias("p_positive")
    )
    with pytest.raises(ValueError, match="scores: 3 of 400 are NaN or outside"):
        build_queue(pool=POOL.items, scores=scores, sources=Sources(), shares=SHARES, budget=10, audit_strata=5)


@pytest.mark.parametrize(
    ("budget", "promising", "pairs", "top_scored"),
    [(72, 0.0, 36, 0), (72, 0.5, 18, 36), (7, 0.0, 3, 0), (0, 0.5, 0, 0)],
)
def test_boundary_share_is_divided(budget: int, promising: float, pairs: int, top_scored: int) -> None:
    assert divide_boundary(budget, promising) == (pairs, top_scored)


@given(st.integers(0, 1_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_budget_is_spent_to_the_last_item(budget: int, boundary: float, split: float, promising: float) -> None:
    shares = (boundary, (1 - boundary) * split, (1 - boundary) * (1 - split))
    divided = divide_budget(budget, shares)
    counts = (divided.boundary, divided.audit, divided.control)
    assert sum(counts) == budget
    assert all(abs(count - share * budget) <= 1 for count, share in zip(counts, shares, strict=True))
    pairs, top_scored = divide_boundary(divided.boundary, promising)
    assert 0 <= divided.boundary - top_scored - 2 * pairs <= 1


def test_wrong_promising_share() -> None:
    with pytest.raises(ValueError, match="promising: 2.0 is not a share"):
        divide_boundary(10, 2.0)
