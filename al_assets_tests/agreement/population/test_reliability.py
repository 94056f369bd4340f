import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from statsmodels.stats.proportion import proportion_confint

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.calibration import logit
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.reliability import Reliability, wilson_interval
from al_assets.agreement.population.reliability import reliability as measured

SIZE, STRATA = 4_000, 4


Drawn = tuple[Floats, PoolSample]


def sampled(votes: Floats, weights: Floats, strata: NDArray[np.int64]) -> Drawn:
    """Return votes with a sample whose items have these weights, drawn from a pool without end."""
    ones, nothing = np.ones(len(votes)), np.zeros(len(votes))
    return votes, PoolSample(weights, nothing, strata, strata, ones, ones)


def uniform(votes: Floats) -> Drawn:
    return sampled(votes, np.ones(len(votes)), np.zeros(len(votes), dtype=np.int64))


def reliability(probabilities: Floats, drawn: Drawn, **how: int) -> Reliability:
    votes, sample = drawn
    return measured(probabilities, votes.mean(axis=1), sample, **how)


def drawn(truth: Floats, scores: Floats, seed: int, items: int = 120) -> tuple[NDArray[np.int64], Drawn]:
    """Draw an audit of a pool, most of it from where the scores are high, and ask three experts."""
    generator = np.random.default_rng(seed)
    stratum = scores.argsort().argsort() * STRATA // SIZE
    counts = np.array([items // 10, items // 5, items // 5, items // 2])
    chosen = np.concatenate(
        [generator.choice(np.flatnonzero(stratum == h), count, replace=False) for h, count in enumerate(counts)]
    )
    votes = (generator.random((len(chosen), 3)) < truth[chosen, None]).astype(np.float64)
    of = stratum[chosen]
    weights = (SIZE / STRATA) / counts[of]
    return chosen, sampled(votes, weights / weights.mean(), of)


def test_wilsons_interval_is_statsmodels() -> None:
    for positives, items in ((0, 12), (3, 40), (40, 40)):
        low, high = wilson_interval(np.array([positives / items]), np.array([float(items)]))
        expected = proportion_confint(positives, items, method="wilson")
        assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)


def test_a_worked_example() -> None:
    probabilities = np.repeat([0.1, 0.6], 40)
    votes = np.zeros((80, 1))
    votes[:8] = 1  # 20 % of the first forty
    votes[40:60] = 1  # half of the second forty
    found = reliability(probabilities, uniform(votes))
    assert found.bins["items"].to_list() == [40, 40]
    assert found.bins["mean_probability"].to_list() == pytest.approx([0.1, 0.6])
    assert found.bins["positive_share"].to_list() == pytest.approx([0.2, 0.5])
    assert found.plain_error == pytest.approx(0.1)
    squared = (8 * 0.9**2 + 32 * 0.1**2 + 20 * 0.4**2 + 20 * 0.6**2) / 80
    assert found.brier.estimate == pytest.approx(squared)
    assert found.constant_brier == pytest.approx(0.35 * 0.65)
    assert found.error.estimate < found.plain_error  # type: ignore[operator]


def test_weights_count_items_as_often_as_they_stand_for() -> None:
    generator = np.random.default_rng(0)
    probabilities, times = generator.random(60), generator.integers(1, 4, 60)
    votes = (generator.random((60, 1)) < probabilities[:, None]).astype(np.float64)
    weighted = sampled(votes, times.astype(np.float64), np.zeros(60, dtype=np.int64))
    once = reliability(probabilities, weighted)
    repeated = reliability(np.repeat(probabilities, times), uniform(np.repeat(votes, times, axis=0)), bins=3)
    assert once.brier.estimate == pytest.approx(repeated.brier.estimate)
    assert once.constant_brier == pytest.approx(repeated.constant_brier)
    assert once.bins.height == repeated.bins.height == 3


def test_equal_probabilities_share_a_bin_and_bins_hold_twenty_items() -> None:
    votes = (np.arange(100) % 2).astype(np.float64)[:, None]
    assert reliability(np.full(100, 0.5), uniform(votes)).bins.height == 1
    assert reliability(np.linspace(0, 1, 100), uniform(votes)).bins["items"].to_list() == [20] * 5
    assert reliability(np.linspace(0, 1, 19), uniform(votes[:19])).bins.height == 1


def test_few_items_have_no_interval_and_none_have_no_figure() -> None:
    few = reliability(np.full(5, 0.2), uniform(np.zeros((5, 1))))
    assert few.brier.estimate == pytest.approx(0.04)
    assert few.brier.low is None
    assert "independent groups" in str(few.brier.reason)
    none = reliability(np.empty(0), uniform(np.empty((0, 1))))
    assert (none.error.estimate, none.brier.estimate, none.bins.height) == (None, None, 0)
    assert none.error.reason == "no labelled random item"


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, -0.8), (1.0, 0.7)])
def test_intervals_hold_the_pools_true_error(slope: float, shift: float) -> None:
    generator = np.random.default_rng(5)
    scores = expit(1.5 * generator.normal(size=SIZE) - 2)
    truth = expit(slope * logit(scores) + shift)
    held, estimates, plain, true = [], [], [], []
    for seed in range(60):
        chosen, sample = drawn(truth, scores, seed)
        found = reliability(scores[chosen], sample, resamples=200, seed=seed)
        member = np.searchsorted(found.bins["high"].to_numpy()[:-1], scores)
        error = np.abs(np.bincount(member, scores - truth)).sum() / SIZE
        assert found.error.estimate is not None
        assert found.error.low is not None
        assert found.error.high is not None
        held.append(found.error.low - 1e-9 <= error <= found.error.high + 1e-9)
        estimates.append(found.error.estimate)
        plain.append(found.plain_error or 0.0)
        true.append(error)
    assert np.mean(held) >= 0.9
    assert abs(np.mean(estimates) - np.mean(true)) < 0.025
    assert np.mean(estimates) < np.mean(plain)


def test_the_brier_interval_holds_the_pools_brier_score() -> None:
    generator = np.random.default_rng(6)
    scores = expit(1.5 * generator.normal(size=SIZE) - 2)
    # One rater: the expected squared difference of a probability and a vote.
    true = float((scores * (1 - scores)).mean())
    held = []
    for seed in range(80):
        chosen, sample = drawn(scores, scores, seed, items=200)
        one = (sample[0][:, :1], sample[1])
        found = reliability(scores[chosen], one, resamples=200, seed=seed).brier
        held.append(found.low <= true <= found.high)  # type: ignore[operator]
    assert np.mean(held) >= 0.88
