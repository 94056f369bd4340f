import warnings
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from al_assets.agreement.kappa import (
    Panel,
    cohen_kappa,
    gwet_ac1,
    krippendorff_alpha,
    mean_model_kappa,
    mean_pairwise_kappa,
    negative_agreement,
    observed_agreement,
    panel,
    positive_agreement,
)

NAN = float("nan")
VOTES = arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(2, 4)), elements=st.sampled_from([0.0, 1.0, NAN]))


def _pair(a: int, b: int, c: int, d: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    return first, second


def _noisy_votes(seed: int, items: int = 80, raters: int = 3, missing: float = 0.2) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < 0.3
    votes = np.where(generator.random((items, raters)) < 0.15, ~truth[:, None], truth[:, None]).astype(np.float64)
    votes[generator.random((items, raters)) < missing] = np.nan
    return votes


def test_the_published_paradox_tables() -> None:
    # Feinstein and Cicchetti 1990: 118/5/2/0 agrees on 94 % of the items with a kappa below 0.
    first, second = _pair(118, 5, 2, 0)
    assert cohen_kappa(first, second) == pytest.approx(-0.0234, abs=1e-4)
    assert observed_agreement(first, second) == pytest.approx(0.944)
    assert positive_agreement(first, second) == pytest.approx(236 / 243)
    assert negative_agreement(first, second) == 0
    assert gwet_ac1(np.stack([first, second], axis=1)) == pytest.approx(0.9408, abs=1e-3)
    # Wikipedia's grant-proposal table: 20/5/10/15 has kappa .4.
    assert cohen_kappa(*_pair(20, 5, 10, 15)) == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(5))
def test_cohen_kappa_equals_scikit_learn_and_statsmodels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    votes = _noisy_votes(seed, missing=0.0)
    weights = generator.random(len(votes)) * 5
    expected = cohen_kappa_score(votes[:, 0], votes[:, 1], sample_weight=weights)
    assert cohen_kappa(votes[:, 0], votes[:, 1], weights) == pytest.approx(expected)
    table = np.array([[np.sum((votes[:, 0] == i) & (votes[:, 1] == j)) for j in (0, 1)] for i in (0, 1)])
    assert cohen_kappa(votes[:, 0], votes[:, 1]) == pytest.approx(cohens_kappa(table).kappa)


@pytest.mark.parametrize("seed", range(5))
def test_krippendorff_alpha_equals_the_krippendorff_package(seed: int) -> None:
    votes = _noisy_votes(seed, raters=4, missing=0.4)
    expected = krippendorff.alpha(votes.T, value_domain=[0.0, 1.0], level_of_measurement="nominal")
    assert krippendorff_alpha(votes) == pytest.approx(expected)


def test_ac1_of_many_raters_equals_its_definition_item_by_item() -> None:
    votes = _noisy_votes(3, raters=4, missing=0.4)
    agreement, shares = [], []
    for row in votes:
        given_votes = row[~np.isnan(row)]
        if len(given_votes) >= 2:
            pairs = list(combinations(given_votes, 2))
            agreement.append(sum(a == b for a, b in pairs) / len(pairs))
        if len(given_votes):
            shares.append(given_votes.mean())
    chance = 2 * np.mean(shares) * (1 - np.mean(shares))
    assert gwet_ac1(votes) == pytest.approx((np.mean(agreement) - chance) / (1 - chance))


def test_means_are_over_pairs_and_over_raters() -> None:
    votes = _noisy_votes(1, missing=0.0)
    model = votes[::-1, 0]
    pairs = [cohen_kappa_score(votes[:, j], votes[:, k]) for j, k in combinations(range(3), 2)]
    assert mean_pairwise_kappa(votes) == pytest.approx(np.mean(pairs))
    assert mean_model_kappa(model, votes) == pytest.approx(
        np.mean([cohen_kappa_score(model, votes[:, j]) for j in range(3)])
    )


def test_the_model_is_compared_on_the_items_the_experts_are_compared_on() -> None:
    votes = _noisy_votes(2, missing=0.0)
    model = np.round(np.random.default_rng(0).random(len(votes)))
    alone = np.array([[1.0, NAN, NAN], [NAN, 0.0, NAN], [NAN, NAN, NAN]])
    with_single_votes = np.concatenate([votes, alone])
    model_there = np.concatenate([model, [0.0, 1.0, 1.0]])
    assert mean_model_kappa(model_there, with_single_votes) == pytest.approx(mean_model_kappa(model, votes))


def test_a_model_that_is_one_of_the_experts_beats_the_majority_comparison_by_nothing() -> None:
    # An exchangeable extra rater must score as the experts do; against the majority vote it would look better.
    votes = _noisy_votes(5, items=20_000, raters=4, missing=0.0)
    model, experts = votes[:, 3], votes[:, :3]
    majority = (experts.mean(axis=1) > 0.5).astype(np.float64)
    assert mean_model_kappa(model, experts) == pytest.approx(mean_pairwise_kappa(experts), abs=0.015)
    assert cohen_kappa(model, majority) > mean_pairwise_kappa(experts) + 0.05


def test_undefined_figures_are_nan_and_never_a_number() -> None:
    negative = np.zeros(20)
    assert np.isnan(cohen_kappa(negative, negative))
    assert np.isnan(krippendorff_alpha(np.zeros((20, 2))))
    assert np.isnan(positive_agreement(negative, negative))
    assert negative_agreement(negative, negative) == 1
    assert np.isnan(cohen_kappa(np.array([1.0, NAN]), np.array([NAN, 0.0])))
    assert np.isnan(mean_pairwise_kappa(np.array([[1.0, NAN], [NAN, 0.0]])))
    assert np.isnan(mean_pairwise_kappa(np.array([[1.0], [0.0]])))
    assert np.isnan(gwet_ac1(np.array([[1.0, NAN], [NAN, 0.0]])))


def test_a_constant_model_among_disagreeing_raters_scores_zero() -> None:
    votes = _noisy_votes(4, missing=0.0)
    assert mean_model_kappa(np.zeros(len(votes)), votes) == 0


def test_wrong_input_is_refused_with_the_value_named() -> None:
    with pytest.raises(ValueError, match=r"votes: .*0.5"):
        mean_pairwise_kappa(np.array([[0.5, 1.0]]))
    with pytest.raises(ValueError, match=r"votes: shape \(3,\)"):
        mean_pairwise_kappa(np.ones(3))
    with pytest.raises(ValueError, match="weights"):
        cohen_kappa(np.ones(3), np.zeros(3), np.array([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match="models"):
        Panel(np.ones((3, 2)), {"model": np.ones(4)})


@settings(max_examples=60, deadline=None)
@given(votes=VOTES, seed=st.integers(0, 99))
def test_weights_are_multiplicities_in_every_figure(votes: NDArray[np.float64], seed: int) -> None:
    generator = np.random.default_rng(seed)
    times = generator.integers(0, 4, len(votes))
    model = generator.integers(0, 2, len(votes)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighted = panel(votes, {"model": model}, times.astype(np.float64))
        repeated = panel(np.repeat(votes, times, axis=0), {"model": np.repeat(model, times)})
    assert weighted == pytest.approx(repeated, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(votes=VOTES)
def test_the_order_of_raters_and_items_and_the_names_of_labels_do_not_matter(votes: NDArray[np.float64]) -> None:
    found, turned, swapped = panel(votes), panel(votes[::-1, ::-1]), panel(1 - votes)
    assert found == pytest.approx(turned, nan_ok=True)
    for figure in ("expert_expert_kappa", "krippendorff_alpha", "gwet_ac1", "observed_agreement"):
        assert found[figure] == pytest.approx(swapped[figure], nan_ok=True)
    assert found["positive_agreement"] == pytest.approx(swapped["negative_agreement"], nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(votes=VOTES)
def test_every_figure_stays_in_its_range(votes: NDArray[np.float64]) -> None:
    for figure, value in panel(votes).items():
        low = -1 if figure in ("expert_expert_kappa", "krippendorff_alpha", "gwet_ac1") else 0
        assert np.isnan(value) or low - 1e-9 <= value <= 1 + 1e-9, figure
