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
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss_kappa

from al_assets.agreement.core.kappa import (
    TABLE_FIGURES,
    Floats,
    Panel,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    mean_pairwise_kappa,
    negative_of,
    observed_of,
    pair_cells,
    pooled_kappa,
    pooled_model_kappa,
    positive_of,
    table_figures,
)
from al_assets_tests.support.votes import panel

NAN = float("nan")
KAPPAS = ("expert_expert_kappa", "expert_expert_mean_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1")
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
    cells = pair_cells(first, second).sum(axis=0)
    assert observed_of(cells) == pytest.approx(0.944)
    assert positive_of(cells) == pytest.approx(236 / 243)
    assert negative_of(cells) == 0
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


def test_krippendorff_2011_the_worked_binary_example() -> None:
    # Krippendorff 2011, Computing Krippendorff's alpha-reliability, section A: alpha = .095.
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha(np.array([meg, owen], dtype=np.float64).T) == pytest.approx(0.095, abs=5e-4)


def test_the_published_table_of_four_raters_and_five_labels_with_missing_ratings() -> None:
    # Krippendorff 2011, section C: alpha .743. Gwet's irrCAC gives, for the same table, Fleiss' kappa .76117, AC1
    # .77544 and alpha .74342. Figures of several labels are averages of those of "this label or another".
    rated = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
            [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
        ]
    ).T
    binary = [np.where(np.isnan(rated), NAN, (rated == label).astype(np.float64)) for label in range(1, 6)]
    shares = np.array([np.nanmean(votes, axis=1).mean() for votes in binary])
    chance = shares * (1 - shares)
    fleiss = np.array([fleiss_kappa(votes) for votes in binary])
    assert np.average(fleiss, weights=chance) == pytest.approx(0.76117, abs=1e-5)
    disagreement = sum((1 - gwet_ac1(v)) * (1 - 2 * c) for v, c in zip(binary, chance, strict=True)) / 2
    assert 1 - disagreement / (1 - chance.sum() / 4) == pytest.approx(0.77544, abs=1e-5)
    paired = [votes[(~np.isnan(votes)).sum(axis=1) > 1] for votes in binary]
    expected = [np.nansum(votes) * np.nansum(1 - votes) for votes in paired]
    alpha = np.average([krippendorff_alpha(votes) for votes in paired], weights=expected)
    assert alpha == pytest.approx(0.74342, abs=1e-5)


def test_fleiss_kappa_of_the_fourteen_raters_of_the_textbook_table() -> None:
    # Ten subjects, 14 raters, 5 labels: kappa .210 (the table of Wikipedia's article on Fleiss' kappa).
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ]
    )  # fmt: skip
    labels = np.array([np.repeat(np.arange(5), row) for row in counts])
    shares = counts.sum(axis=0) / counts.sum()
    kappas = [fleiss_kappa((labels == label).astype(np.float64)) for label in range(5)]
    assert np.average(kappas, weights=shares * (1 - shares)) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_fleiss_kappa_equals_statsmodels(seed: int) -> None:
    votes = _noisy_votes(seed, raters=4, missing=0.0)
    table = np.stack([(votes == 0).sum(axis=1), (votes == 1).sum(axis=1)], axis=1)
    assert fleiss_kappa(votes) == pytest.approx(statsmodels_fleiss_kappa(table))


def test_figures_with_missing_votes_equal_irrcac() -> None:
    # Computed with irrCAC 0.4.4, categories 0 and 1; it pins scipy 1.12, so it is not run here.
    generator = np.random.default_rng(7)
    truth = generator.random(200) < 0.25
    votes = np.where(generator.random((200, 3)) < 0.12, ~truth[:, None], truth[:, None]).astype(np.float64)
    votes[generator.random((200, 3)) < 0.15] = NAN
    assert fleiss_kappa(votes) == pytest.approx(0.53587, abs=1e-5)
    assert gwet_ac1(votes) == pytest.approx(0.67694, abs=1e-5)
    assert krippendorff_alpha(votes) == pytest.approx(0.52658, abs=1e-5)


@settings(max_examples=60)
@given(table=st.tuples(*[st.integers(0, 60)] * 4))
def test_the_figures_of_a_table_are_those_of_the_votes_in_it(table: tuple[int, int, int, int]) -> None:
    first, second = _pair(*table)
    votes = np.stack([first, second], axis=1)
    found = table_figures(np.array(table, dtype=np.float64))
    assert tuple(found) == TABLE_FIGURES
    whole = panel(votes)
    for figure in TABLE_FIGURES:
        expected = whole["expert_expert_kappa" if figure == "cohen_kappa" else figure]
        assert float(found[figure]) == pytest.approx(expected, nan_ok=True), figure


@settings(max_examples=60)
@given(table=st.tuples(*[st.integers(1, 60)] * 4))
def test_kappa_follows_from_agreement_prevalence_and_bias(table: tuple[int, int, int, int]) -> None:
    # Byrt, Bishop and Carlin 1993: kappa = (PABAK - PI^2 + BI^2) / (1 - PI^2 + BI^2), PABAK = 2 Po - 1.
    found = {name: float(value) for name, value in table_figures(np.array(table, dtype=np.float64)).items()}
    shift = found["bias_index"] ** 2 - found["prevalence_index"] ** 2
    expected = (2 * found["observed_agreement"] - 1 + shift) / (1 + shift)
    assert found["cohen_kappa"] == pytest.approx(expected)


@settings(max_examples=60)
@given(
    said=arrays(np.float64, st.integers(2, 30), elements=st.sampled_from([0.0, 1.0])).filter(
        lambda x: 0 < x.mean() < 1
    ),
    raters=st.integers(2, 5),
)
def test_raters_who_agree_on_everything_score_one(said: NDArray[np.float64], raters: int) -> None:
    found = panel(np.repeat(said[:, None], raters, axis=1), {"model": said})
    for figure in (*KAPPAS, "observed_agreement", "positive_agreement", "negative_agreement", "model_expert_kappa"):
        assert found[figure] == pytest.approx(1), figure
    assert found["bias_index"] == 0


@settings(max_examples=60)
@given(votes=VOTES, times=st.integers(2, 4))
def test_repeating_every_item_changes_nothing_but_alpha(votes: NDArray[np.float64], times: int) -> None:
    once, often = panel(votes), panel(np.tile(votes, (times, 1)))
    # Alpha alone corrects for the number of values, so it falls, or rises, with it.
    del once["krippendorff_alpha"], often["krippendorff_alpha"]
    assert once == pytest.approx(often, nan_ok=True)


def test_raters_who_answer_independently_average_zero() -> None:
    generator = np.random.default_rng(0)
    drawn = [panel((generator.random((100, 3)) < 0.3).astype(np.float64)) for _ in range(300)]
    for figure in ("expert_expert_kappa", "fleiss_kappa", "krippendorff_alpha"):
        values = np.array([found[figure] for found in drawn])
        # Fleiss' kappa is biased by about -1 / (n (r - 1)) = -.005, which alpha corrects.
        assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values)) + 0.005 * (figure == "fleiss_kappa"), figure


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
    with_raters = [cohen_kappa_score(model, votes[:, j]) for j in range(3)]
    figures = Panel(votes, {"model": model}).figures(np.ones((1, len(votes))))
    assert figures["model_expert_mean_kappa"][0] == pytest.approx(np.mean(with_raters))


def _pooled_by_definition(pairs: list[tuple[Floats, Floats]], answers: list[tuple[Floats, Floats]]) -> float:
    """Return sum n (Po - Pe) / sum n (1 - Pe), written out.

    :param pairs: both raters' votes; ``answers`` what each of them answered elsewhere too.
    """
    above = below = 0.0
    for (one, other), (all_one, all_other) in zip(pairs, answers, strict=True):
        both = ~np.isnan(one) & ~np.isnan(other)
        p, q = np.nanmean(all_one), np.nanmean(all_other)
        chance = p * q + (1 - p) * (1 - q)
        above += both.sum() * ((one[both] == other[both]).mean() - chance) if both.any() else 0.0
        below += both.sum() * (1 - chance)
    return float(above / below)


def test_pooled_kappas_are_their_definition_for_raters_who_share_some_items() -> None:
    votes = _noisy_votes(3, raters=5, missing=0.5)
    model = votes[::-1].mean(axis=1) > 0.5
    shared = np.where((~np.isnan(votes)).sum(axis=1, keepdims=True) >= 2, votes, NAN)
    pairs = [(shared[:, j], shared[:, k]) for j, k in combinations(range(5), 2)]
    assert pooled_kappa(votes) == pytest.approx(_pooled_by_definition(pairs, pairs))
    counted = np.where(np.isnan(shared).all(axis=1), NAN, model)
    with_model = [(counted, shared[:, j]) for j in range(5)]
    assert pooled_model_kappa(model.astype(float), votes) == pytest.approx(
        _pooled_by_definition(with_model, with_model)
    )
    twice = np.concatenate([votes, votes[:40]])
    heavy = np.where(np.arange(len(votes)) < 40, 2.0, 1.0)
    assert pooled_kappa(votes, heavy) == pytest.approx(pooled_kappa(twice))


def test_two_raters_who_answer_everything_pool_to_cohens_kappa() -> None:
    votes = _noisy_votes(6, missing=0.0)[:, :2]
    assert pooled_kappa(votes) == pytest.approx(cohen_kappa_score(votes[:, 0], votes[:, 1]))


def test_many_raters_who_share_few_items_do_not_lower_kappa() -> None:
    # 20 raters, 150 items, two votes each: the plain mean of the pairs says .50 where kappa is .80.
    generator = np.random.default_rng(0)
    pooled, plain = [], []
    for _ in range(60):
        truth = generator.random(150) < 0.1
        skill = np.sqrt(0.8)
        chance = np.where(truth, 0.1 + 0.9 * skill, 0.1 * (1 - skill))
        votes = np.full((150, 20), NAN)
        for item in range(150):
            who = generator.choice(20, 2, replace=False)
            votes[item, who] = generator.random(2) < chance[item]
        pooled.append(pooled_kappa(votes))
        plain.append(mean_pairwise_kappa(votes))
    assert np.nanmean(pooled) == pytest.approx(0.8, abs=0.03)
    assert np.nanmean(plain) < 0.65


def test_the_model_is_compared_on_the_items_the_experts_are_compared_on() -> None:
    votes = _noisy_votes(2, missing=0.0)
    model = np.round(np.random.default_rng(0).random(len(votes)))
    alone = np.array([[1.0, NAN, NAN], [NAN, 0.0, NAN], [NAN, NAN, NAN]])
    with_single_votes = np.concatenate([votes, alone])
    model_there = np.concatenate([model, [0.0, 1.0, 1.0]])
    assert pooled_model_kappa(model_there, with_single_votes) == pytest.approx(pooled_model_kappa(model, votes))


def test_a_model_that_is_one_of_the_experts_beats_the_majority_comparison_by_nothing() -> None:
    # An exchangeable extra rater must score as the experts do; against the majority vote it would look better.
    votes = _noisy_votes(5, items=20_000, raters=4, missing=0.0)
    model, experts = votes[:, 3], votes[:, :3]
    majority = (experts.mean(axis=1) > 0.5).astype(np.float64)
    assert pooled_model_kappa(model, experts) == pytest.approx(pooled_kappa(experts), abs=0.015)
    assert cohen_kappa(model, majority) > pooled_kappa(experts) + 0.05


def test_undefined_figures_are_nan_and_never_a_number() -> None:
    negative = np.zeros(20)
    assert np.isnan(cohen_kappa(negative, negative))
    assert np.isnan(krippendorff_alpha(np.zeros((20, 2))))
    cells = pair_cells(negative, negative).sum(axis=0)
    assert np.isnan(positive_of(cells))
    assert negative_of(cells) == 1
    assert np.isnan(cohen_kappa(np.array([1.0, NAN]), np.array([NAN, 0.0])))
    assert np.isnan(mean_pairwise_kappa(np.array([[1.0, NAN], [NAN, 0.0]])))
    assert np.isnan(mean_pairwise_kappa(np.array([[1.0], [0.0]])))
    assert np.isnan(pooled_kappa(np.array([[1.0, NAN], [NAN, 0.0]])))
    assert np.isnan(pooled_kappa(np.array([[1.0, 1.0, NAN], [NAN, 1.0, 1.0]]), np.array([0.3, 0.7])))
    assert np.isnan(gwet_ac1(np.array([[1.0, NAN], [NAN, 0.0]])))


def test_a_constant_model_among_disagreeing_raters_scores_zero() -> None:
    votes = _noisy_votes(4, missing=0.0)
    assert pooled_model_kappa(np.zeros(len(votes)), votes) == pytest.approx(0, abs=1e-12)


def test_wrong_input_is_refused_with_the_value_named() -> None:
    with pytest.raises(ValueError, match=r"votes: .*0.5"):
        mean_pairwise_kappa(np.array([[0.5, 1.0]]))
    with pytest.raises(ValueError, match=r"votes: shape \(3,\)"):
        mean_pairwise_kappa(np.ones(3))
    with pytest.raises(ValueError, match="weights"):
        cohen_kappa(np.ones(3), np.zeros(3), np.array([1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match="models"):
        Panel(np.ones((3, 2)), {"model": np.ones(4)})


@settings(max_examples=60)
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


@settings(max_examples=60)
@given(votes=VOTES)
def test_the_order_of_raters_and_items_and_the_names_of_labels_do_not_matter(votes: NDArray[np.float64]) -> None:
    found, turned, swapped = panel(votes), panel(votes[::-1, ::-1]), panel(1 - votes)
    assert found == pytest.approx(turned, nan_ok=True)
    for figure in (*KAPPAS, "observed_agreement"):
        assert found[figure] == pytest.approx(swapped[figure], nan_ok=True)
    assert found["positive_agreement"] == pytest.approx(swapped["negative_agreement"], nan_ok=True)


@settings(max_examples=60)
@given(votes=VOTES)
def test_every_figure_stays_in_its_range(votes: NDArray[np.float64]) -> None:
    for figure, value in panel(votes).items():
        low = -1.0 if figure in KAPPAS else 0.0
        if figure in ("fleiss_kappa", "expert_expert_kappa") and np.isnan(votes).any():
            # Chance is of all a rater's items, agreement of those they share.
            low = -np.inf
        assert np.isnan(value) or low - 1e-9 <= value <= 1 + 1e-9, figure
