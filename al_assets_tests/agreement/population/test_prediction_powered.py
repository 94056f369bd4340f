import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.audit import AuditSample, audit_prevalence, audit_sample
from al_assets.agreement.population.prediction_powered import power_tuning, prediction_powered_prevalence, rogan_gladen

Bins = NDArray[np.int64]


class _Pool:
    """A pool stratified by a worse score than the prediction, which therefore tells something within the strata."""

    def __init__(self, seed: int, size: int = 60_000) -> None:
        generator = np.random.default_rng(seed)
        chance = generator.beta(0.3, 1.5, size)
        self.votes = np.repeat((generator.random(size) < chance)[:, None], 2, axis=1).astype(np.float64)
        self.prediction = np.clip(0.8 * chance + 0.1 * generator.random(size), 0, 1)
        score = self.prediction + 0.3 * generator.normal(size=size)
        self.bins = (score > np.quantile(score, 0.7)).astype(np.int64)
        self.prevalence = float(self.votes.mean())

    def audit(self, generator: np.random.Generator, each: int) -> tuple[Bins, AuditSample]:
        chosen = np.concatenate([generator.choice(np.flatnonzero(self.bins == b), each, replace=False) for b in (0, 1)])
        sizes = np.bincount(self.bins)[self.bins[chosen]].astype(np.float64)
        sample = audit_sample(self.votes[chosen], np.zeros(len(chosen)), self.bins[chosen], each / sizes, sizes)
        return chosen, sample


def _powered(pool: _Pool, chosen: Bins, sample: AuditSample, tuning: float | None, seed: int = 0) -> list[float]:
    found = prediction_powered_prevalence(
        sample, pool.prediction[chosen], float(pool.prediction.mean()), tuning=tuning, resamples=200, seed=seed
    )
    values = (found.prevalence.estimate, found.prevalence.low, found.prevalence.high, found.tuning)
    return [np.nan if value is None else value for value in values]


def test_at_lambda_zero_it_is_the_classical_estimate() -> None:
    pool = _Pool(0)
    chosen, sample = pool.audit(np.random.default_rng(1), 60)
    found = prediction_powered_prevalence(sample, pool.prediction[chosen], 0.3, tuning=0.0)
    assert found.prevalence == found.classical == audit_prevalence(sample)


@pytest.mark.parametrize("tuning", [None, 0.5, 1.0])
def test_it_is_unbiased_and_covers_and_is_narrower(tuning: float | None) -> None:
    pool, generator = _Pool(0), np.random.default_rng(2)
    found, classical = [], []
    for seed in range(150):
        chosen, sample = pool.audit(generator, 60)
        found.append(_powered(pool, chosen, sample, tuning, seed))
        plain = audit_prevalence(sample, resamples=200, seed=seed)
        assert plain.low is not None
        assert plain.high is not None
        classical.append(plain.high - plain.low)
    estimates, lows, highs, chosen_tuning = np.array(found).T
    assert estimates.mean() == pytest.approx(pool.prevalence, abs=4 * estimates.std() / 150**0.5)
    assert 0.90 <= ((lows <= pool.prevalence) & (pool.prevalence <= highs)).mean() <= 0.99
    assert (highs - lows).mean() < 0.92 * np.mean(classical)
    assert (chosen_tuning >= 0).all()
    assert (chosen_tuning <= 1).all()


def test_the_tuning_is_the_lambda_of_least_variance() -> None:
    pool = _Pool(3)
    chosen, sample = pool.audit(np.random.default_rng(3), 200)
    prediction, share = pool.prediction[chosen], sample.positive_share

    def variance(tuning: float) -> float:
        total = 0.0
        for stratum in (0, 1):
            here = sample.strata == stratum
            total += sample.weights[here].sum() ** 2 * (share - tuning * prediction)[here].var(ddof=1) / here.sum()
        return total

    grid = np.linspace(0, 1, 201)
    best = grid[np.argmin([variance(each) for each in grid])]
    assert power_tuning(sample, prediction) == pytest.approx(best, abs=0.005)


def test_worthless_predictions_are_hardly_trusted_and_do_no_harm() -> None:
    pool, generator = _Pool(4), np.random.default_rng(4)
    noise: Floats = generator.random(len(pool.prediction))
    widths, tunings = [], []
    for seed in range(40):
        chosen, sample = pool.audit(generator, 100)
        found = prediction_powered_prevalence(sample, noise[chosen], float(noise.mean()), resamples=300, seed=seed)
        tunings.append(found.tuning)
        ends = (found.prevalence.low, found.prevalence.high, found.classical.low, found.classical.high)
        widths.append([np.nan if end is None else end for end in ends])
    assert np.mean(tunings) < 0.1
    low, high, plain_low, plain_high = np.array(widths).T
    assert (high - low).mean() <= 1.01 * (plain_high - plain_low).mean()


def test_predictions_constant_within_strata_add_nothing() -> None:
    pool = _Pool(5)
    chosen, sample = pool.audit(np.random.default_rng(5), 60)
    assert power_tuning(sample, pool.bins[chosen].astype(np.float64)) == 0


@pytest.mark.parametrize(
    ("prediction", "mean", "message"),
    [
        (np.zeros(3), 0.1, "prediction: shape"),
        (np.full(20, np.nan), 0.1, "finite numbers"),
        (np.zeros(20), np.nan, "finite numbers"),
    ],
)
def test_unusable_predictions_are_refused(prediction: Floats, mean: float, message: str) -> None:
    sample = audit_sample(np.ones((20, 2)), np.zeros(20), np.zeros(20), np.full(20, 0.1))
    with pytest.raises(ValueError, match=message):
        prediction_powered_prevalence(sample, prediction, mean)


def test_rogan_gladen_on_a_published_example() -> None:
    # Cole et al. (2023, American Journal of Epidemiology 192:467-474), data as in delicatessen's ee_rogan_gladen:
    # 680 of 950 positive; validated: 203 of 241 true positives and 71 of 89 true negatives labelled right.
    share = 680 / 950
    found = rogan_gladen(share, (share * (1 - share) / 950) ** 0.5, (203, 241), (71, 89))
    assert found.estimate == pytest.approx(0.80, abs=0.005)
    assert (found.low, found.high) == pytest.approx((0.72, 0.88), abs=0.006)


def test_rogan_gladen_covers_the_true_share() -> None:
    generator = np.random.default_rng(6)
    true, hit, rejected, covered = 0.2, 0.85, 0.9, []
    for _ in range(2_000):
        share = generator.binomial(600, true * hit + (1 - true) * (1 - rejected)) / 600
        found = rogan_gladen(
            share,
            (share * (1 - share) / 600) ** 0.5,
            (int(generator.binomial(120, hit)), 120),
            (int(generator.binomial(200, rejected)), 200),
        )
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= true <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_perfect_labels_are_not_corrected_and_guesses_cannot_be() -> None:
    found = rogan_gladen(0.3, 0.02, (50, 50), (80, 80))
    assert found.estimate == pytest.approx(0.3)
    assert found.high == pytest.approx(0.3 + 1.96 * 0.02, abs=1e-4)
    guesses = rogan_gladen(0.3, 0.02, (25, 50), (40, 80))
    assert guesses.estimate is None
    assert guesses.reason is not None
    assert "no better than chance" in guesses.reason
    assert rogan_gladen(0.05, 0.02, (45, 50), (70, 80)).estimate == 0


@pytest.mark.parametrize(
    ("apparent", "sensitivity", "message"),
    [(1.2, (9, 10), "apparent"), (0.5, (11, 10), "sensitivity: 11 of 10"), (0.5, (0, 0), "sensitivity: 0 of 0")],
)
def test_impossible_rates_are_refused(apparent: float, sensitivity: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rogan_gladen(apparent, 0.01, sensitivity, (9, 10))
