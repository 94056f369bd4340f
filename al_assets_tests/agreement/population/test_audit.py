from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, cohen_kappa, pooled_model_kappa
from al_assets.agreement.population.audit import (
    AuditSample,
    audit_distributions,
    audit_prevalence,
    audit_sample,
    mean_distribution,
    rao_wu_weights,
)

Bins = NDArray[np.int64]


def _pool(generator: np.random.Generator, size: int = 40_000) -> tuple[Floats, Floats, Bins]:
    latent = generator.normal(size=size)
    votes = (latent[:, None] + 0.4 * generator.normal(size=(size, 2)) > 1.5).astype(np.float64)
    score = latent + 0.6 * generator.normal(size=size)
    bins = np.digitize(score, np.quantile(score, [0.5, 0.8, 0.95]))
    return votes, (score > 1.5).astype(np.float64), bins.astype(np.int64)


def _draw(generator: np.random.Generator, votes: Floats, bins: Bins, each: int) -> tuple[Bins, AuditSample]:
    chosen = np.concatenate([generator.choice(np.flatnonzero(bins == b), each, replace=False) for b in range(4)])
    sizes = np.bincount(bins)[bins[chosen]].astype(np.float64)
    return chosen, audit_sample(votes[chosen], np.zeros(len(chosen)), bins[chosen], each / sizes, sizes)


def test_weighting_recovers_the_pool_where_counting_does_not() -> None:
    generator = np.random.default_rng(0)
    votes, model, bins = _pool(generator)
    estimates, kappas = [], []
    for _ in range(60):
        chosen, sample = _draw(generator, votes, bins, 60)
        figures = audit_distributions(sample, {"model": model[chosen]}, resamples=1)
        estimates.append([figures[name].estimate for name in ("prevalence", "model_precision", "model_recall")])
        kappas.append(figures["model_expert_kappa"].estimate)
    truth = [
        votes.mean(),
        (model * votes.mean(axis=1)).sum() / model.sum(),
        (model * votes.mean(axis=1)).sum() / votes.mean(axis=1).sum(),
    ]
    assert np.mean(estimates, axis=0) == pytest.approx(truth, rel=0.06)
    assert np.mean(kappas) == pytest.approx(pooled_model_kappa(model, votes), abs=0.03)
    assert votes[chosen].mean() > 3 * votes.mean()


def test_coverage_of_prevalence_and_kappa() -> None:
    generator = np.random.default_rng(1)
    votes, model, bins = _pool(generator)
    prevalence, kappa = votes.mean(), pooled_model_kappa(model, votes)
    covered, rounds = np.zeros(2), 120
    for seed in range(rounds):
        chosen, sample = _draw(generator, votes, bins, 80)
        found = audit_distributions(sample, {"model": model[chosen]}, resamples=300, seed=seed)
        for place, (figure, truth) in enumerate((("prevalence", prevalence), ("model_expert_kappa", kappa))):
            interval = found[figure].interval(len(chosen))
            assert interval.low is not None
            assert interval.high is not None
            covered[place] += interval.low <= truth <= interval.high
    assert (covered / rounds >= 0.90).all()
    assert (covered / rounds <= 0.99).all()


def test_bootstrap_variance_is_the_stratified_one_even_in_strata_of_two() -> None:
    generator = np.random.default_rng(2)
    strata = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2])
    sizes = np.array([100.0, 400.0, 50.0])[strata]
    values = generator.normal(size=9)
    sample = audit_sample(np.zeros((9, 2)), np.zeros(9), strata, np.full(9, 0.01), sizes)
    weights = np.concatenate(list(rao_wu_weights(sample, resamples=200_000)))
    assert weights.mean(axis=0) == pytest.approx(sample.weights, rel=0.02)
    expected = sum(
        (sample.weights[strata == h].sum()) ** 2 * values[strata == h].var(ddof=1) / (strata == h).sum()
        for h in range(3)
    )
    assert (weights @ values).var() == pytest.approx(expected, rel=0.03)
    for h in range(3):
        assert weights[:, strata == h].sum(axis=1) == pytest.approx(sample.weights[strata == h].sum())


def test_prevalence_is_covered_when_a_stratum_shows_none_of_its_positives() -> None:
    generator = np.random.default_rng(5)
    votes, model, bins = _pool(generator)
    covered = []
    for seed in range(150):
        chosen, sample = _draw(generator, votes, bins, 8)
        found = audit_prevalence(sample, resamples=300, seed=seed)
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= votes.mean() <= found.high)
    assert np.mean(covered) >= 0.92


def test_the_stratified_jackknife_has_the_skewness_of_a_stratified_mean() -> None:
    generator = np.random.default_rng(6)
    strata = np.repeat([0, 1], [12, 30])
    sizes = np.where(strata == 0, 900.0, 300.0)
    share = generator.random(42) < np.where(strata == 0, 0.3, 0.5)
    sample = audit_sample(
        np.repeat(share[:, None], 2, axis=1).astype(float), np.zeros(42), strata, np.full(42, 0.1), sizes
    )
    found = audit_distributions(sample, {}, resamples=10)["prevalence"]
    deviation = found.jackknife.mean() - found.jackknife
    parts = [(sample.weights[strata == h].sum() / 42, share[strata == h] - share[strata == h].mean()) for h in (0, 1)]
    variance = sum(w**2 * (d**2).sum() / (len(d) * (len(d) - 1)) for w, d in parts)
    third = sum(w**3 * (d**3).sum() / len(d) ** 3 for w, d in parts)
    assert found.jackknife.mean() == pytest.approx(found.estimate)
    assert (deviation**2).sum() == pytest.approx(variance, rel=0.1)
    assert (deviation**3).sum() == pytest.approx(third)


def test_pseudo_items_widen_a_small_audit_and_leave_a_large_one() -> None:
    generator = np.random.default_rng(7)
    votes, _, bins = _pool(generator)
    ratios = []
    for each in (6, 150):
        _, sample = _draw(generator, votes, bins, each)
        values = sample.positive_share
        plain = np.concatenate(list(rao_wu_weights(sample))) @ values / sample.weights.sum()
        smoothed = mean_distribution(sample, values).replicates
        assert smoothed.mean() == pytest.approx(sample.weights @ values / sample.weights.sum(), abs=0.1 * plain.std())
        ratios.append(smoothed.std() / plain.std())
    assert ratios[0] > 1.05
    assert ratios[1] == pytest.approx(1, abs=0.05)


def test_unit_weights_give_the_plain_kappa() -> None:
    generator = np.random.default_rng(3)
    votes = (generator.random((90, 1)) < 0.4).astype(np.float64)
    model = np.where(generator.random(90) < 0.1, 1 - votes[:, 0], votes[:, 0])
    both = np.concatenate([votes, votes], axis=1)
    sample = audit_sample(both, np.zeros(90), np.zeros(90), np.full(90, 0.3))
    assert sample.weights == pytest.approx(np.ones(90))
    kappa = audit_distributions(sample, {"model": model})["model_expert_kappa"]
    assert kappa.estimate == pytest.approx(cohen_kappa(model, votes[:, 0]))


def test_rounds_count_by_their_labelled_items_whatever_the_pool_size_was() -> None:
    rounds = np.repeat(["0000", "0001"], [10, 30])
    sizes = np.repeat([100_000.0, 1_000.0], [10, 30])
    sample = audit_sample(np.ones((40, 2)), rounds, np.zeros(40), np.full(40, 0.01), sizes)
    assert sample.weights[rounds == "0000"].sum() == pytest.approx(10)
    assert sample.weights[rounds == "0001"].sum() == pytest.approx(30)
    assert len(np.unique(sample.strata)) == 2


def test_an_unanswered_item_is_made_up_for_by_its_own_stratum() -> None:
    strata = np.array(["a"] * 4 + ["b"] * 2)
    sizes = np.where(strata == "a", 40.0, 40.0)
    pi = np.full(6, 0.1)
    sample = audit_sample(np.ones((6, 2)), np.zeros(6), strata, pi, sizes)
    assert sample.weights[strata == "b"].sum() == pytest.approx(sample.weights[strata == "a"].sum())


def test_a_stratum_with_one_item_is_joined_with_its_neighbour() -> None:
    sample = audit_sample(np.ones((6, 2)), np.zeros(6), np.array([0, 1, 1, 1, 2, 2]), np.full(6, 0.1))
    assert np.bincount(sample.strata).min() >= 2
    last = audit_sample(np.ones((4, 2)), np.zeros(4), np.array([0, 0, 0, 1]), np.full(4, 0.1))
    assert np.bincount(last.strata).tolist() == [4]


def test_no_positive_bounds_the_prevalence_by_the_rule_of_three() -> None:
    sample = audit_sample(np.zeros((100, 2)), np.zeros(100), np.zeros(100), np.full(100, 0.1))
    found = audit_prevalence(sample, confidence=0.90)
    assert (found.estimate, found.low) == (0, 0)
    assert found.high == pytest.approx(3 / 100, rel=0.03)
    uneven = audit_sample(np.zeros((100, 2)), np.zeros(100), np.zeros(100), np.repeat([0.1, 0.01], 50))
    assert audit_prevalence(uneven).high > 1.5 * audit_prevalence(sample).high  # type: ignore[operator]


def test_a_model_that_calls_nothing_positive_has_no_precision() -> None:
    votes = np.repeat([[1.0, 1.0], [0.0, 0.0]], 20, axis=0)
    sample = audit_sample(votes, np.zeros(40), np.zeros(40), np.full(40, 0.1))
    found = audit_distributions(sample, {"model": np.zeros(40)})
    assert np.isnan(found["model_precision"].estimate)
    assert found["model_recall"].estimate == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda votes, pi: (votes, np.where(np.arange(4) == 1, np.nan, pi)), "inclusion_probability: 1 of 4"),
        (lambda votes, pi: (votes, pi * 20), "inclusion_probability: 4 of 4"),
        (lambda votes, pi: (np.full((4, 2), np.nan), pi), "without a decisive vote"),
    ],
)
def test_items_that_cannot_stand_for_the_pool_are_refused(
    change: Callable[[Floats, Floats], tuple[Floats, Floats]], message: str
) -> None:
    votes, pi = change(np.ones((4, 2)), np.full(4, 0.1))
    with pytest.raises(ValueError, match=message):
        audit_sample(votes, np.zeros(4), np.zeros(4), pi)


def test_an_empty_audit_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="audit: no labelled audit item"):
        audit_prevalence(audit_sample(np.ones((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0)))
