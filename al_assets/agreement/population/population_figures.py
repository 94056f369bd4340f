"""Figures of the whole pool, from labelled items that are weighted to it, with their bootstrap distributions.

Intervals are BCa on Rao-Wu replicates, with the jackknife of a stratified sample, and percentile intervals for
differences; their tails are Student's, as a handful of items may carry a figure. ``python -m benchmarks coverage``
holds them against simulated pools.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from al_assets.agreement.core.bootstrap import Distribution, Statistics, collect_replicates, degrees_of_freedom
from al_assets.agreement.core.kappa import Floats, Panel, ratio
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.thresholds import average_precision

# Half a pseudo-item of the sample at large in each stratum, as a stratum of a few items without a positive shows no
# variance at all: in simulation this takes the coverage at 30 items from .80 to .98, and widens nothing at 400.
_PSEUDO_ITEMS = 0.5
DIFFERENCES = {
    "parity_difference": ("model_expert_kappa", "expert_expert_kappa"),
    "student_gain": ("model_expert_kappa", "incumbent_expert_kappa"),
    "gain_over_recommended": ("model_expert_kappa", "recommended_expert_kappa"),
}


def population_distributions(
    sample: PoolSample,
    votes: Floats,
    models: Mapping[str, Floats],
    *,
    scores: Mapping[str, Floats] | None = None,
    resamples: int = 2_000,
    seed: int = 0,
) -> dict[str, Distribution]:
    """Return every figure of the pool with its replicates.

    :param votes: shape (items, raters), a decisive vote at least on each item.
    :param models: name -> shape (items,) labels, 1 or 0.
    :param scores: name -> shape (items,), for <name>_average_precision.
    :return: the figures of ``Panel`` and their ``DIFFERENCES``, prevalence, and <name>_precision, <name>_recall,
        <name>_positive_share of each model, where a split vote counts as its share of positives.
    :raises ValueError: there is no random item, or an item has no decisive vote.
    """
    if not sample.random.any():
        raise ValueError("sample: no labelled random item; raise selection.shares.audit or wait for labels")
    if bool(np.isnan(votes).all(axis=1).any()):
        raise ValueError("votes: an item without a decisive vote; leave such items out")
    share, agreement = np.asarray(np.nanmean(votes, axis=1)), Panel(votes, models)
    width = agreement.features.shape[1]
    counted = [np.ones(len(share)), share]
    for labels in models.values():
        counted += [labels, labels * share]

    def figures_of(sums: Floats) -> dict[str, Floats]:
        figures = agreement.figures_of(sums[:, :width])
        for name, (first, second) in DIFFERENCES.items():
            if first in figures and second in figures:
                figures[name] = figures[first] - figures[second]
        total, positive, *of_models = sums[:, width:].T
        for place, name in enumerate(models):
            called, hit = of_models[2 * place : 2 * place + 2]
            figures[f"{name}_precision"] = ratio(hit, called)
            figures[f"{name}_recall"] = ratio(hit, positive)
            figures[f"{name}_positive_share"] = ratio(called, total)
        return figures

    features = np.concatenate([agreement.features, np.stack(counted, axis=1)], axis=1)
    leverage = _leverage(sample, share, models)
    distributions = sample_distributions(
        sample, figures_of, features=features, resamples=resamples, seed=seed, leverage=leverage
    )
    if scores:
        ranked = {f"{name}_average_precision": score for name, score in scores.items()}
        distributions |= sample_distributions(
            sample,
            lambda weights: {name: average_precision(score, share, weights) for name, score in ranked.items()},
            resamples=resamples,
            seed=seed,
        )
    return {**distributions, "prevalence": prevalence_distribution(sample, share, resamples=resamples, seed=seed)}


def sample_distributions(
    sample: PoolSample,
    statistics: Statistics,
    *,
    features: Floats | None = None,
    resamples: int = 2_000,
    seed: int = 0,
    leverage: Mapping[str, float] | None = None,
) -> dict[str, Distribution]:
    """Return figures of the pool with their replicates.

    :param statistics: item weights of shape (batch, items) -> figure name -> shape (batch,); with ``features`` of
        weighted sums of those instead, of shape (batch, features), which is far faster with thousands of items.
    :param features: shape (items, features).
    :param leverage: see ``Distribution``.
    """

    def of_weights(weights: Floats) -> Mapping[str, Floats]:
        return statistics(weights if features is None else weights @ features)

    replicates = collect_replicates(of_weights, sample.replicates(resamples=resamples, seed=seed))
    estimates = of_weights(sample.weights[None, :])
    if features is None:
        without: Mapping[str, Floats] = collect_replicates(statistics, sample.without_each_item())
    else:
        without = statistics(sample.sums_without_each_item(features))
    units = int(sample.random.sum())
    distributions = {}
    for name, value in estimates.items():
        jackknife = sample.jackknife(float(value[0]), without[name])
        distributions[name] = Distribution(
            float(value[0]),
            replicates[name],
            units,
            # A difference rests on the few items where two raters or models differ: too few for BCa's corrections.
            jackknife[:0] if name in DIFFERENCES else jackknife,
            (leverage or {}).get(name, float("nan")),
            degrees_of_freedom(jackknife),
        )
    return distributions


def prevalence_distribution(
    sample: PoolSample, share: Floats, *, resamples: int = 2_000, seed: int = 0
) -> Distribution:
    """Return the pool's share of positives, with Rao-Wu replicates to which half a pseudo-item a stratum is added.

    Each draw of a stratum of n_h items takes, with chance .5 / (n_h + .5), any random item of the whole sample instead
    of one of its own, so a stratum whose few items agree is not taken to be sure. Without a single positive the upper
    end is the rule of three, generalised to unequal weights.

    :param share: shape (items,), each item's share of positive votes.
    """
    estimate = sample.mean(share)
    total = float(sample.weights.sum())
    jackknife = sample.jackknife(estimate, sample.mean_without_each_item(share))
    replicates = estimate + _deviations(sample, share - estimate, resamples, seed) / total
    leverage = len(sample) * _heaviest(sample.drawn, total)
    degrees = degrees_of_freedom(jackknife)
    return Distribution(estimate, replicates, int(sample.random.sum()), jackknife, leverage, degrees)


def _deviations(sample: PoolSample, values: Floats, resamples: int, seed: int) -> Floats:
    """Return how far resamples' sums of the weighted values lie from the sample's, shape (resamples,)."""
    generator = np.random.default_rng((seed, 1))
    random = sample.random
    common, times = np.unique(values[random], return_counts=True)
    moved = np.zeros(resamples)
    for stratum in np.unique(sample.stratum[random]):
        own = np.flatnonzero(random & (sample.stratum == stratum))
        drawn = np.concatenate([sample.drawn[own] * values[own], sample.drawn[own].mean() * common])
        shares = np.concatenate([np.ones(len(own)), _PSEUDO_ITEMS * times / times.sum()]) / (len(own) + _PSEUDO_ITEMS)
        draws = max(len(own) - 1, 1)
        counts = generator.multinomial(draws, shares, size=resamples)
        unseen = float(np.sqrt(sample.stratum_unseen[own[0]]))
        moved += unseen * (counts @ drawn / draws - shares @ drawn) * len(own)
    if sample.known.any():
        only_known = replace(sample, drawn=np.zeros(len(sample)))
        sums = [rows @ values for rows in only_known.replicates(resamples=resamples, seed=seed)]
        moved += np.concatenate(sums) - sample.known @ values
    return moved


def _leverage(sample: PoolSample, share: Floats, models: Mapping[str, Floats]) -> dict[str, float]:
    # Without variation among the votes seen, the worst that could have been missed sits on the heaviest item.
    items, bounds = len(share), {}
    for name, labels in models.items():
        called, positive = float(sample.weights @ labels), float(sample.weights @ share)
        bounds[f"{name}_precision"] = items * _heaviest(sample.drawn * labels, called)
        bounds[f"{name}_recall"] = items * _heaviest(sample.drawn * share, positive)
    return bounds


def _heaviest(weights: Floats, total: float) -> float:
    return float(weights.max()) / total if total > 0 else float("nan")
