import numpy as np
import pytest

from al_assets.agreement.core.bootstrap import Distribution, Statistic, grouped_distributions, smoothed_distribution
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.population.population_figures import population_distributions
from al_assets.agreement.report.panel_gain import differing_items
from benchmarks.statistics.counted_resamples import counted_groups, uniform_rounds, uniform_sample

RESAMPLES = 8_000


def _labels(items: int, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < 0.3
    return (
        np.column_stack([np.where(generator.random(items) < error, ~truth, truth) for error in (0.1, 0.1, 0.2)]) * 1.0
    )


def _difference(labels: Floats) -> Statistic:
    agreement = Panel(labels[:, :2], {"model": labels[:, 2]})

    def figure(weights: Floats) -> Floats:
        kappas = agreement.kappas(weights)
        return kappas["model_expert_kappa"] - kappas["expert_expert_kappa"]

    return figure


def _alike(fast: Distribution, slow: Distribution) -> None:
    assert fast.estimate == pytest.approx(slow.estimate)
    assert fast.groups == slow.groups
    assert fast.degrees == pytest.approx(slow.degrees)
    assert np.sort(fast.jackknife) == pytest.approx(np.sort(slow.jackknife))
    levels = [0.01, 0.05, 0.5, 0.95, 0.99]
    assert np.quantile(fast.replicates, levels) == pytest.approx(np.quantile(slow.replicates, levels), abs=0.015)


def test_counted_groups_are_resampled_as_the_report_does() -> None:
    labels, groups = _labels(120, 0), np.arange(120) // 2
    counted = counted_groups(labels, groups)
    slow = grouped_distributions(lambda w: {"d": _difference(labels)(w)}, groups, resamples=RESAMPLES)["d"]
    _alike(counted.distribution(_difference, resamples=RESAMPLES, seed=1), slow)
    votes, later = differing_items(2)
    pseudo = np.column_stack([votes, later])
    both = np.concatenate([labels, pseudo])
    smoothed = smoothed_distribution(_difference(both), groups, len(pseudo), 2.0, resamples=RESAMPLES)
    _alike(counted.smoothed(_difference, pseudo, 2.0, resamples=RESAMPLES, seed=1), smoothed)


def test_uniform_rounds_are_resampled_as_the_pool_is() -> None:
    labels, rounds = _labels(120, 1), np.arange(120) // 30
    fast = uniform_rounds(labels, rounds, _difference, resamples=RESAMPLES, seed=1)
    slow = population_distributions(
        uniform_sample(rounds), labels[:, :2], {"model": labels[:, 2]}, resamples=RESAMPLES, seed=2
    )
    _alike(fast, slow["parity_difference"])
