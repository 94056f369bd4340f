import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.queue.strata import allocate, assumed_spread, plan_strata, score_strata

SCORES = np.random.default_rng(0).beta(1, 5, 500)
POSITIVE = SCORES >= 0.4


def test_strata_are_score_bins_by_label() -> None:
    found, member = score_strata(SCORES, POSITIVE, bins=5, most=20)
    names = found[member]
    assert sorted(set(names)) == [f"score {each}/5, negative" for each in range(1, 6)] + ["score 5/5, positive"]
    assert (names == "score 1/5, negative").sum() == 100


def test_equal_scores_share_a_stratum() -> None:
    scores = np.array([0.2] * 50 + [0.8] * 5)
    names, member = score_strata(scores, scores > 0.5, bins=5, most=20)
    assert len(set(names[member])) == 2


@pytest.mark.parametrize(("most", "strata"), [(6, 6), (5, 5), (3, 3), (2, 2), (1, 1)])
def test_a_small_budget_makes_strata_coarser(most: int, strata: int) -> None:
    names, member = score_strata(SCORES, POSITIVE, bins=5, most=most)
    assert len(set(names[member])) == strata


small_strata = st.lists(st.tuples(st.integers(1, 6), st.floats(0.05, 0.5)), min_size=1, max_size=4)


@given(small_strata, st.integers(1, 24))
def test_allocation_has_the_least_variance(strata: list[tuple[int, float]], budget: int) -> None:
    sizes, spread = np.array([each[0] for each in strata]), np.array([each[1] for each in strata])
    budget = max(len(sizes), min(budget, int(sizes.sum())))
    counts = allocate(sizes, spread, budget, floor=1)
    assert counts.sum() == budget
    assert np.all((counts >= 1) & (counts <= sizes))

    def variance(allocation: tuple[int, ...]) -> float:
        return float(sum((sizes * spread) ** 2 / np.array(allocation)))

    every = itertools.product(*(range(1, size + 1) for size in sizes))
    assert variance(tuple(counts)) <= min(variance(each) for each in every if sum(each) == budget) + 1e-9


def test_allocation_follows_neyman() -> None:
    sizes, spread = np.array([1000, 1000, 500]), np.array([0.1, 0.3, 0.4])
    assert allocate(sizes, spread, 60).tolist() == [10, 30, 20]


def test_floor_holds_where_the_budget_allows() -> None:
    sizes, spread = np.array([10_000, 10, 1]), np.array([0.5, 0.1, 0.1])
    assert allocate(sizes, spread, 20).tolist() == [17, 2, 1]
    assert allocate(sizes, spread, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize("budget", [2, 12])
def test_budget_outside_what_can_be_divided(budget: int) -> None:
    with pytest.raises(ValueError, match=f"audit budget: {budget} items for 3 strata of 11 items"):
        allocate(np.array([5, 5, 1]), np.array([0.1, 0.1, 0.1]), budget)


@given(st.integers(0, 60), st.integers(0, 70), st.integers(1, 8), st.integers(0, 3))
def test_every_item_has_a_known_chance(items: int, budget: int, bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(items), 1)
    plan = plan_strata(scores, scores > 0.7, budget=budget, bins=bins)
    rows = plan.draw(seed)
    drawn = np.isin(np.arange(items), rows)
    assert len(rows) == drawn.sum() == min(budget, items)
    if budget:
        assert np.all(plan.inclusion_probability > 0)
    for number in set(plan.member):
        here = plan.member == number
        assert plan.sizes[number] == here.sum()
        assert plan.inclusion_probability[here] == pytest.approx(drawn[here].mean())
        if budget >= 2:
            assert drawn[here].sum() >= min(2, here.sum())


def test_weighted_audit_is_unbiased() -> None:
    truth = np.random.default_rng(1).random(500) < SCORES
    estimates = []
    for seed in range(400):
        plan = plan_strata(SCORES, POSITIVE, budget=60, bins=5)
        rows = plan.draw(seed)
        estimates.append((truth[rows] / plan.inclusion_probability[rows]).sum() / 500)
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates) - truth.mean()) < 4 * error
    # Stratified by a score that means something, it beats simple random sampling.
    assert np.std(estimates) < (truth.mean() * (1 - truth.mean()) / 60) ** 0.5


def test_constant_scores_of_zero_are_still_audited() -> None:
    plan = plan_strata(np.zeros(50), np.zeros(50, dtype=bool), budget=10, bins=5)
    assert len(plan.draw(0)) == 10
    assert set(plan.inclusion_probability.tolist()) == {0.2}


def _uncalibrated_pool() -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    rng = np.random.default_rng(2)
    truth = rng.random(40_000) < 0.1
    raw = rng.normal(size=40_000) + 1.47 * truth
    threshold = np.quantile(raw, 0.9)
    return 1 / (1 + np.exp(-(raw - threshold - 4))), raw >= threshold, truth


def test_what_is_called_positive_gets_its_draws_however_low_the_scores() -> None:
    scores, called, _ = _uncalibrated_pool()
    assert scores[called].mean() < 0.06
    plan = plan_strata(scores, called, budget=100, bins=5)
    drawn = dict(zip(plan.names.tolist(), plan.counts.tolist(), strict=True))
    assert drawn["score 5/5, positive"] >= 25
    assert min(drawn.values()) >= 8
    assert plan.counts.sum() == 100


def test_a_scale_of_the_scores_changes_no_draw() -> None:
    scores, called, _ = _uncalibrated_pool()
    first, second = (plan_strata(each, called, budget=60, bins=5) for each in (scores, scores / 7))
    assert first.counts.tolist() == second.counts.tolist()


def test_assumed_misses_balance_assumed_false_alarms() -> None:
    scores, called, _ = _uncalibrated_pool()
    plan = plan_strata(scores, called, budget=100, bins=5)
    spread = assumed_spread(scores, called, plan.member)
    doubled = np.char.endswith(plan.names, "positive")
    assert spread[doubled] == pytest.approx(2 * 0.5)
    rate = 0.5 - np.sqrt(0.25 - spread[~doubled] ** 2)
    assert plan.sizes[~doubled] @ rate == pytest.approx(0.5 * called.sum(), rel=0.01)
    assert np.all(np.diff(rate) > 0)


def test_the_audit_measures_precision_better_than_proportional_draws_and_prevalence_no_worse() -> None:
    scores, called, truth = _uncalibrated_pool()
    plan = plan_strata(scores, called, budget=60, bins=5)
    hits = [truth[plan.member == number] for number in range(len(plan.names))]
    spread = np.array([each.std() for each in hits])
    positive = np.char.endswith(plan.names, "positive")
    proportional = 60 * plan.sizes / plan.sizes.sum()

    def variance(counts: NDArray[np.float64], part: NDArray[np.bool_]) -> float:
        return float(((plan.sizes * spread) ** 2 / counts)[part].sum())

    assert variance(plan.counts.astype(np.float64), positive) < 0.4 * variance(proportional, positive)
    everything = np.ones(len(plan.names), dtype=np.bool_)
    assert variance(plan.counts.astype(np.float64), everything) < 1.05 * variance(proportional, everything)


def test_a_plan_draws_its_counts() -> None:
    plan = plan_strata(SCORES, POSITIVE, budget=40, bins=5)
    assert plan.draw(3).tolist() == plan.draw(3).tolist()
    assert np.bincount(plan.member[plan.draw(3)]).tolist() == plan.counts.tolist()


@pytest.mark.parametrize("everything", [True, False])
def test_one_label_only_is_audited_too(everything: bool) -> None:
    called = np.full(500, everything)
    plan = plan_strata(SCORES, called, budget=40, bins=5)
    assert len(plan.names) == 5
    assert plan.counts.sum() == 40
    assert plan.counts.min() >= 4
