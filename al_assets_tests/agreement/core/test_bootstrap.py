import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from al_assets.agreement.core.bootstrap import (
    Distribution,
    Interval,
    Statistic,
    grouped_distributions,
    smoothed_distribution,
    table_distribution,
)
from al_assets.agreement.core.kappa import Floats, Panel, kappa_of, pair_cells


def _mean_of(values: Floats) -> Statistic:
    return lambda weights: (weights @ values) / weights.sum(axis=1)


def grouped_interval(
    statistic: Statistic, groups: NDArray[np.int64], *, resamples: int = 2_000, seed: int = 0
) -> Interval:
    figures = grouped_distributions(lambda w: {"figure": statistic(w)}, groups, resamples=resamples, seed=seed)
    return figures["figure"].interval(len(groups))


def _votes(generator: np.random.Generator, items: int, prevalence: float = 0.3, error: float = 0.1) -> Floats:
    truth = generator.random(items) < prevalence
    flips = generator.random((items, 2)) < error
    return np.where(flips, ~truth[:, None], truth[:, None]).astype(np.float64)


def _kappa(votes: Floats) -> Statistic:
    agreement = Panel(votes)
    return lambda weights: agreement.figures(weights)["expert_expert_kappa"]


def test_a_mean_of_skewed_values_has_scipys_bca_interval() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    found = grouped_interval(_mean_of(values), np.arange(80), resamples=20_000)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", random_state=np.random.default_rng(1)
    ).confidence_interval
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.012)


def test_the_kappa_interval_is_near_the_asymptotic_one_in_a_large_sample() -> None:
    votes = _votes(np.random.default_rng(0), 3_000)
    found = grouped_interval(_kappa(votes), np.arange(3_000))
    table = pair_cells(votes[:, 1], votes[:, 0]).sum(axis=0)[[0, 1, 2, 3]].reshape(2, 2)
    fleiss_cohen_everitt = cohens_kappa(table)
    assert found.low == pytest.approx(fleiss_cohen_everitt.kappa_low, abs=0.005)
    assert found.high == pytest.approx(fleiss_cohen_everitt.kappa_upp, abs=0.005)


def test_coverage_of_the_nominal_95_percent_interval() -> None:
    generator = np.random.default_rng(1)
    truth = kappa_of(pair_cells(*_votes(generator, 1_000_000).T).sum(axis=0))
    covered, rounds = 0, 400
    for seed in range(rounds):
        votes = _votes(generator, 150)
        interval = grouped_interval(_kappa(votes), np.arange(150), resamples=500, seed=seed)
        assert interval.low is not None
        assert interval.high is not None
        covered += bool(interval.low <= truth <= interval.high)
    assert 0.92 <= covered / rounds <= 0.98


def test_items_of_a_group_count_once() -> None:
    votes = _votes(np.random.default_rng(2), 100)
    single = grouped_interval(_kappa(votes), np.arange(100))
    twice = np.repeat(votes, 2, axis=0)
    grouped = grouped_interval(_kappa(twice), np.repeat(np.arange(100), 2))
    ungrouped = grouped_interval(_kappa(twice), np.arange(200))
    assert (grouped.estimate, grouped.low, grouped.high) == pytest.approx((single.estimate, single.low, single.high))
    assert ungrouped.high - ungrouped.low < 0.8 * (grouped.high - grouped.low)  # type: ignore[operator]


def test_a_paired_difference_is_surer_than_two_separate_intervals() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(size=200)
    other = values + 0.1 + 0.05 * generator.normal(size=200)
    found = grouped_interval(_mean_of(other - values), np.arange(200))
    assert found.low is not None
    assert found.high is not None
    assert 0.08 < found.low < 0.1 < found.high < 0.12


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    votes = _votes(np.random.default_rng(4), 60)
    first = grouped_interval(_kappa(votes), np.arange(60), seed=7)
    assert first == grouped_interval(_kappa(votes), np.arange(60), seed=7)
    assert first != grouped_interval(_kappa(votes), np.arange(60), seed=8)


def test_a_wider_confidence_gives_a_wider_interval_around_the_estimate() -> None:
    votes = _votes(np.random.default_rng(5), 120)
    found = grouped_distributions(lambda w: {"kappa": Panel(votes).figures(w)["expert_expert_kappa"]}, np.arange(120))
    narrow, wide = found["kappa"].interval(120, 0.80), found["kappa"].interval(120, 0.95)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high  # type: ignore[operator]


def test_an_undefined_figure_has_a_reason_and_no_number() -> None:
    found = grouped_interval(_kappa(np.zeros((50, 2))), np.arange(50))
    assert (found.estimate, found.low, found.high, found.items) == (None, None, None, 50)
    assert found.reason == "the figure is undefined"


def test_no_interval_from_few_groups_or_when_resamples_are_mostly_undefined() -> None:
    votes = _votes(np.random.default_rng(6), 40)
    few = grouped_interval(_kappa(votes), np.arange(40) // 5)
    assert few.estimate is not None
    assert few.low is None
    assert few.reason is not None
    assert "8 independent groups" in few.reason
    rare = np.zeros((60, 2))
    rare[0] = 1
    found = grouped_interval(_kappa(rare), np.arange(60))
    assert (found.estimate, found.low) == (1.0, None)
    assert found.reason is not None
    assert "undefined in" in found.reason


@pytest.mark.parametrize(("groups", "low"), [(20, 0.70), (100, 0.93), (400, 0.98)])
def test_perfect_agreement_is_surer_the_more_items_show_it(groups: int, low: float) -> None:
    distribution = Distribution(1.0, np.ones(500), groups, np.ones(groups), leverage=2.0)
    found = distribution.interval(groups)
    assert found.high == 1
    assert found.low == pytest.approx(low, abs=0.04)
    assert Distribution(1.0, np.ones(500), groups).interval(groups).low is None


def test_a_table_of_counts_gives_the_interval_of_its_items() -> None:
    votes = _votes(np.random.default_rng(8), 400)
    cells = pair_cells(votes[:, 0], votes[:, 1]).sum(axis=0)
    fast = table_distribution(cells, kappa_of, resamples=8_000).interval(400)
    slow = grouped_interval(_kappa(votes), np.arange(400), resamples=8_000)
    assert (fast.estimate, fast.low, fast.high) == pytest.approx((slow.estimate, slow.low, slow.high), abs=0.006)


def test_memory_bounded_batches_cover_every_group_once() -> None:
    groups: NDArray[np.int64] = np.arange(3_000)
    found = grouped_distributions(lambda w: {"mean": (w @ groups) / w.sum(axis=1)}, groups, resamples=1_500)["mean"]
    assert found.jackknife == pytest.approx((groups.sum() - groups) / 2_999)
    assert len(found.replicates) == 1_500
    assert found.replicates.std() == pytest.approx(groups.std() / np.sqrt(3_000), rel=0.1)


def test_no_items_are_refused() -> None:
    with pytest.raises(ValueError, match="groups: no items"):
        grouped_interval(_kappa(np.ones((1, 2))), np.arange(0))


def test_pseudo_items_count_in_no_estimate_and_widen_the_replicates() -> None:
    values = np.concatenate([np.zeros(40), [1.0]])
    found = smoothed_distribution(_mean_of(values), np.arange(40), 1, 2.0)
    assert found.estimate == 0
    assert found.groups == 40
    assert found.replicates.mean() == pytest.approx(0, abs=0.005)
    # Forty draws, each a pseudo-item with chance 2 / 42.
    assert found.replicates.std() == pytest.approx((2 / 42 * 40 / 42 / 40) ** 0.5, rel=0.1)


def test_groups_are_resampled_whole_beside_pseudo_items() -> None:
    values = np.random.default_rng(9).normal(size=30)
    twice = np.concatenate([np.repeat(values, 2), [0.0]])
    found = smoothed_distribution(_mean_of(twice), np.repeat(np.arange(30), 2), 1, 1e-9)
    plain = grouped_distributions(lambda w: {"mean": _mean_of(twice[:-1])(w)}, np.repeat(np.arange(30), 2))["mean"]
    assert found.estimate == pytest.approx(plain.estimate)
    assert found.replicates.std() == pytest.approx(plain.replicates.std(), rel=0.1)
    with pytest.raises(ValueError, match="groups: no items"):
        smoothed_distribution(_mean_of(twice), np.arange(0), 1, 2.0)
