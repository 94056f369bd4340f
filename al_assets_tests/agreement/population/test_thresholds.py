import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from al_assets.agreement.core.kappa import Floats, cohen_kappa
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.thresholds import (
    agreement_threshold,
    average_precision,
    estimate_prevalence,
    prevalence_threshold,
    probability_threshold,
)

SCORES = arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 0.99, 1.0]))


@given(scores=SCORES, prevalence=st.floats(0, 1))
def test_no_other_threshold_comes_nearer_to_the_prevalence(scores: NDArray[np.float64], prevalence: float) -> None:
    found = abs((scores >= prevalence_threshold(scores, prevalence)).mean() - prevalence)
    candidates = [*scores, scores.max() + 1]
    assert found <= min(abs((scores >= each).mean() - prevalence) for each in candidates) + 1e-12


@given(scores=SCORES, first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_higher_prevalence_never_raises_the_threshold(
    scores: NDArray[np.float64], first: float, second: float
) -> None:
    low, high = sorted((first, second))
    assert prevalence_threshold(scores, high) <= prevalence_threshold(scores, low)


def test_the_threshold_lies_between_scores_so_rounding_does_not_flip_labels() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.8])
    assert prevalence_threshold(scores, 0.5) == pytest.approx(0.4)
    nearest = np.array([0.5, np.nextafter(0.5, 1)])
    assert (nearest >= prevalence_threshold(nearest, 0.5)).tolist() == [False, True]


def test_equal_scores_stay_together() -> None:
    assert not (np.full(50, 0.5) >= prevalence_threshold(np.full(50, 0.5), 0.1)).any()
    assert (np.full(50, 1.0) >= prevalence_threshold(np.full(50, 1.0), 0.9)).all()


def test_a_threshold_needs_scores_and_a_share() -> None:
    with pytest.raises(ValueError, match="1 of 2 are NaN"):
        prevalence_threshold(np.array([0.1, np.nan]), 0.1)
    with pytest.raises(ValueError, match="scores: 0 of 0"):
        prevalence_threshold(np.array([]), 0.1)
    with pytest.raises(ValueError, match="prevalence: 2"):
        prevalence_threshold(np.array([0.1]), 2)


@given(scores=SCORES, exponent=st.floats(0.2, 5), least=st.floats(0, 1))
def test_the_probability_threshold_calls_those_likely_enough(
    scores: NDArray[np.float64], exponent: float, least: float
) -> None:
    probabilities = scores**exponent
    called = scores >= probability_threshold(scores, probabilities, least)
    assert np.array_equal(called, probabilities >= least)


@given(scores=SCORES, exponent=st.floats(0.2, 5))
def test_no_other_cut_expects_more_agreement(scores: NDArray[np.float64], exponent: float) -> None:
    probabilities = scores**exponent

    def expected_kappa(threshold: float) -> float:
        # Each item twice, as what is positive with P and what is negative with 1 - P.
        called = np.tile(scores >= threshold, 2).astype(np.float64)
        truth = np.repeat([1.0, 0.0], len(scores))
        return cohen_kappa(called, truth, np.concatenate([probabilities, 1 - probabilities]))

    found = agreement_threshold(scores, probabilities)
    kappas = [expected_kappa(each) for each in np.unique(scores)[1:]]
    if not kappas or np.isnan(kappas).all():
        assert np.isinf(found)
    else:
        assert expected_kappa(found) == pytest.approx(np.nanmax(kappas), abs=1e-9)


def _sample(drawn: Floats, strata: list[int], unseen: float = 1.0) -> PoolSample:
    items = len(drawn)
    codes, rest = np.array(strata, dtype=np.int64), np.full(items, unseen)
    return PoolSample(drawn / max(drawn.mean(), 1e-9) if items else drawn, np.zeros(items), codes, codes, rest, rest)


def test_the_prior_rules_without_labels_and_fades_with_them() -> None:
    assert estimate_prevalence(_sample(np.ones(0), []), np.ones(0), 0.1) == 0.1
    few = estimate_prevalence(_sample(np.ones(3), [0] * 3), np.ones(3), 0.1, 30)
    many = estimate_prevalence(_sample(np.ones(3_000), [0] * 3_000), np.ones(3_000), 0.1, 30)
    assert 0.1 < few < 0.3
    assert many > 0.98
    with pytest.raises(ValueError, match="prior_strength 0"):
        estimate_prevalence(_sample(np.ones(4), [0] * 4), np.ones(4), 0.5, 0)


def test_a_simple_random_sample_is_worth_the_items_it_has() -> None:
    share = np.repeat([1.0, 0.0], [50, 450])
    found = estimate_prevalence(_sample(np.ones(500), [0] * 500), share, 0.2, 30)
    assert found == pytest.approx((500 * 0.1 + 30 * 0.2) / 530, abs=0.0005)


def test_strata_make_a_sample_worth_more_and_the_prior_less() -> None:
    # 60 items: half of them from a tenth of the pool, where the positives are. By Kish's formula they are worth 22.
    weights = np.repeat([0.1, 0.9], [30, 30])
    share = np.concatenate([np.repeat([1.0, 0.0], [24, 6]), np.zeros(30)])
    stratified = estimate_prevalence(_sample(weights, [0] * 30 + [1] * 30), share, 0.2, 30)
    kish = weights.sum() ** 2 / (weights**2).sum()
    assert abs(stratified - 0.08) < abs((kish * 0.08 + 30 * 0.2) / (kish + 30) - 0.08) / 1.5


def test_what_is_known_of_the_whole_pool_leaves_the_prior_no_say() -> None:
    share = np.repeat([1.0, 0.0], [5, 95])
    assert estimate_prevalence(_sample(np.ones(100), [0] * 100, unseen=0.0), share, 0.3, 30) == pytest.approx(0.05)


@pytest.mark.parametrize("levels", [5, 1_000])
def test_average_precision_equals_scikit_learn(levels: int) -> None:
    generator = np.random.default_rng(levels)
    scores = generator.integers(0, levels, 200) / levels
    labels = (generator.random(200) < 0.2 + 0.5 * scores).astype(np.float64)
    weights = generator.integers(0, 4, (3, 200)).astype(np.float64)
    expected = [average_precision_score(labels, scores, sample_weight=row) for row in weights]
    assert average_precision(scores, labels, weights) == pytest.approx(expected)


def test_average_precision_counts_a_split_vote_as_half() -> None:
    scores, halves = np.array([0.9, 0.5, 0.1]), np.array([0.5, 1.0, 0.0])
    as_votes = average_precision_score([1, 0, 1, 1, 0, 0], [0.9, 0.9, 0.5, 0.5, 0.1, 0.1])
    assert average_precision(scores, halves, np.ones((1, 3)))[0] == pytest.approx(as_votes)
    assert np.isnan(average_precision(scores, np.zeros(3), np.ones((1, 3)))[0])
