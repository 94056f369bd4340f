import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.calibration import (
    Calibration,
    CalibrationError,
    Method,
    fit_calibration,
    level_for,
    logit,
)

METHODS: list[Method] = ["logistic", "temperature", "isotonic"]


def overconfident(items: int, *, prevalence_shift: float = 0.0, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Scores whose log-odds are twice the true ones, the truth, and labels."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(size=items) * 1.5
    truth = expit(log_odds + prevalence_shift)
    return expit(2 * log_odds), truth, (generator.random(items) < truth).astype(np.float64)


def test_the_logit_of_a_share_is_finite() -> None:
    shares = np.array([0.0, 1e-9, 0.2, 0.5, 0.999, 1.0])
    assert expit(logit(shares)) == pytest.approx(shares, abs=2e-12)
    assert np.isfinite(logit(shares)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_finds_the_truth_behind_overconfident_scores(method: Method) -> None:
    scores, truth, labels = overconfident(4_000)
    found = fit_calibration(scores, labels, method)
    assert found.items == 4_000
    assert np.abs(found.probability(scores) - truth).mean() < 0.025
    assert np.abs(scores - truth).mean() > 0.08
    if method != "isotonic":
        assert found.slope == pytest.approx(0.5, abs=0.04)


def test_the_logistic_curve_is_scikit_learns_on_platts_targets() -> None:
    scores, _, labels = overconfident(300)
    positive, negative = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    twice = np.concatenate([logit(scores), logit(scores)])[:, None]
    expected = LogisticRegression(C=1e9, solver="lbfgs", tol=1e-10, max_iter=5_000).fit(
        twice, [1] * 300 + [0] * 300, sample_weight=np.concatenate([targets, 1 - targets])
    )
    found = fit_calibration(scores, labels)
    assert found.slope == pytest.approx(expected.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(expected.intercept_[0], abs=1e-4)


def test_separable_scores_have_a_finite_slope() -> None:
    scores = np.concatenate([np.linspace(0.01, 0.4, 20), np.linspace(0.6, 0.99, 20)])
    found = fit_calibration(scores, (scores > 0.5).astype(np.float64))
    assert 1 < found.slope < 20
    assert 0.5 < found.probability(np.array([0.6]))[0] < 1


def test_split_votes_count_by_their_share() -> None:
    scores, _, labels = overconfident(200)
    halves = np.concatenate([labels, np.full(100, 0.5)])
    at = np.concatenate([scores, scores[:100]])
    once = fit_calibration(at, halves)
    as_votes = fit_calibration(np.repeat(at, 2), np.ravel(np.stack([np.ceil(halves), np.floor(halves)], axis=1)))
    assert (once.slope, once.intercept) == pytest.approx((as_votes.slope, as_votes.intercept), rel=0.02)


@settings(max_examples=50)
@given(
    raw=arrays(np.float64, 60, elements=st.floats(0, 1)),
    prevalence=st.floats(0.01, 0.99),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 20),
)
def test_the_pools_mean_probability_is_its_prevalence_and_ranks_are_kept(
    raw: Floats, prevalence: float, method: Method, seed: int
) -> None:
    scores, _, labels = overconfident(80, seed=seed)
    moved = fit_calibration(scores, labels, method).moved_to(raw, prevalence)
    probabilities = moved.probability(raw)
    assert probabilities.mean() == pytest.approx(prevalence, abs=1e-9)
    assert (np.diff(probabilities[np.argsort(raw, kind="stable")]) >= -1e-12).all()


def test_the_shift_is_that_of_saerens_where_only_the_prevalence_differs() -> None:
    generator = np.random.default_rng(3)

    def draw(items: int, prevalence: float) -> tuple[Floats, Floats]:
        labels = (generator.random(items) < prevalence).astype(np.float64)
        return expit(generator.normal(size=items) + 2 * labels - 1), labels

    taught, labels = draw(20_000, 0.4)
    pool, _ = draw(20_000, 0.05)
    moved = fit_calibration(taught, labels).moved_to(pool, 0.05)
    assert moved.shift == pytest.approx(np.log(0.05 / 0.95) - np.log(0.4 / 0.6), abs=0.1)


def test_moving_twice_is_moving_once() -> None:
    scores, _, labels = overconfident(200)
    fitted = fit_calibration(scores, labels)
    assert fitted.moved_to(scores, 0.3).moved_to(scores, 0.1) == fitted.moved_to(scores, 0.1)


def test_without_a_curve_the_scores_own_log_odds_are_shifted() -> None:
    scores = np.array([0.2, 0.5, 0.9])
    assert Calibration().probability(scores) == pytest.approx(scores)
    assert Calibration().moved_to(scores, 0.2).probability(scores).mean() == pytest.approx(0.2)


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_fitted_is_refused(method: Method) -> None:
    scores, _, labels = overconfident(100)
    with pytest.raises(CalibrationError, match="9 positive and 91 negative"):
        fit_calibration(scores, (np.arange(100) < 9).astype(np.float64), method)
    with pytest.raises(CalibrationError, match="0 positive and 0 negative"):
        fit_calibration(scores, np.full(100, np.nan), method)
    with pytest.raises(CalibrationError, match="rank no better than chance"):
        fit_calibration(scores, (scores < np.median(scores)).astype(np.float64), method)


def test_a_prevalence_of_none_or_all_cannot_be_reached() -> None:
    with pytest.raises(ValueError, match="prevalence: 0 of 1 scores"):
        Calibration().moved_to(np.array([0.5]), 0)
    with pytest.raises(ValueError, match="of 0 scores"):
        Calibration().moved_to(np.array([]), 0.5)


@pytest.mark.parametrize("prevalence", [1e-6, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
def test_the_level_gives_the_prevalence(prevalence: float, scale: float) -> None:
    log_odds = scale * np.random.default_rng(1).normal(size=1_000)
    assert expit(log_odds + level_for(log_odds, prevalence)).mean() == pytest.approx(prevalence, rel=1e-5)
