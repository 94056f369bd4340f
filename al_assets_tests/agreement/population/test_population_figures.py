import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, pooled_kappa, pooled_model_kappa
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.population_figures import population_distributions, prevalence_distribution

SIZE, STRATA = 4_000, 4


def pool(seed: int = 0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return the votes of two experts on every item of a pool, a model's labels, and strata of its score."""
    generator = np.random.default_rng(seed)
    truth = generator.random(SIZE) < 0.15
    score = truth + 0.6 * generator.standard_normal(SIZE)
    votes = (generator.random((SIZE, 2)) < np.where(truth, 0.92, 0.02)[:, None]).astype(np.float64)
    model = (score > np.quantile(score, 0.85)).astype(np.float64)
    return votes, model, score.argsort().argsort() * STRATA // SIZE


def drawn(strata: NDArray[np.int64], each: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], PoolSample]:
    """Draw items of each stratum, three times as many of the last."""
    counts = [each, each, each, 3 * each]
    chosen = np.concatenate(
        [generator.choice(np.flatnonzero(strata == h), count, replace=False) for h, count in enumerate(counts)]
    )
    code = strata[chosen]
    weights = (SIZE / STRATA) / np.array(counts)[code]
    unseen = 1 - np.array(counts)[code] / (SIZE / STRATA)
    return chosen, PoolSample(weights / weights.mean(), np.zeros(len(code)), code, code, unseen, unseen)


def test_every_figure_of_the_pool_is_met_on_average_and_covered() -> None:
    votes, model, strata = pool()
    share = votes.mean(axis=1)
    truth = {
        "prevalence": share.mean(),
        "expert_expert_kappa": pooled_kappa(votes),
        "model_expert_kappa": pooled_model_kappa(model, votes),
        "model_precision": share[model == 1].mean(),
        "model_recall": (model * share).sum() / share.sum(),
    }
    truth["parity_difference"] = truth["model_expert_kappa"] - truth["expert_expert_kappa"]
    generator = np.random.default_rng(1)
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in truth}
    for seed in range(40):
        chosen, sample = drawn(strata, 40, generator)
        figures = population_distributions(sample, votes[chosen], {"model": model[chosen]}, resamples=300, seed=seed)
        for name, value in truth.items():
            interval = figures[name].interval(len(chosen))
            assert interval.low is not None
            assert interval.high is not None
            found[name].append((figures[name].estimate, interval.low <= value <= interval.high))
    for name, value in truth.items():
        assert np.mean([estimate for estimate, _ in found[name]]) == pytest.approx(value, abs=0.02), name
        assert np.mean([held for _, held in found[name]]) >= 0.85, name


def test_the_same_seed_gives_the_same_replicates() -> None:
    votes, model, strata = pool()
    chosen, sample = drawn(strata, 10, np.random.default_rng(0))
    one, other = (
        population_distributions(sample, votes[chosen], {"model": model[chosen]}, resamples=50, seed=7)
        for _ in range(2)
    )
    assert all(np.array_equal(one[name].replicates, other[name].replicates, equal_nan=True) for name in one)


def test_no_positive_at_all_leaves_an_upper_end() -> None:
    chosen, sample = drawn(pool()[2], 20, np.random.default_rng(0))
    interval = prevalence_distribution(sample, np.zeros(len(chosen)), resamples=200).interval(len(chosen))
    assert interval.estimate == 0
    assert interval.high is not None
    assert 0.01 < interval.high < 0.3


def test_differences_are_those_of_their_figures_on_the_same_resamples() -> None:
    votes, model, strata = pool()
    chosen, sample = drawn(strata, 40, np.random.default_rng(0))
    models = {"model": model[chosen], "incumbent": np.roll(model, 1)[chosen], "recommended": 1 - model[chosen]}
    figures = population_distributions(sample, votes[chosen], models, resamples=100)
    for name, other in (("student_gain", "incumbent"), ("gain_over_recommended", "recommended")):
        expected = figures["model_expert_kappa"].replicates - figures[f"{other}_expert_kappa"].replicates
        assert figures[name].replicates == pytest.approx(expected, nan_ok=True)
        assert not len(figures[name].jackknife)
        assert figures[name].degrees < np.inf


def test_what_cannot_speak_for_the_pool_is_refused() -> None:
    nothing, code = np.zeros(3), np.zeros(3, dtype=np.int64)
    by_rule = PoolSample(nothing, np.ones(3), code, code, nothing, nothing)
    with pytest.raises(ValueError, match="no labelled random item; raise selection.shares.audit"):
        population_distributions(by_rule, np.ones((3, 2)), {})
    random = PoolSample(np.ones(3), nothing, code, code, np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="an item without a decisive vote"):
        population_distributions(random, np.array([[1.0, 0.0], [np.nan, np.nan], [1.0, 1.0]]), {})
