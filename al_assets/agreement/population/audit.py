"""What holds for the whole pool, from stratified random audits whose inclusion probabilities are known.

Boundary items are chosen by rule and have no inclusion probability: no weighting can make them speak for the pool.
Every round's audit is drawn afresh from the pool that was not yet labelled; each estimates the same population, and
rounds are combined in proportion to their labelled items.

Intervals are BCa on Rao-Wu replicates, with the jackknife of a stratified sample; ``python -m benchmarks coverage``
holds them against simulated pools.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval, batch_sizes, collect_replicates
from al_assets.agreement.core.kappa import Floats, Panel, ratio
from al_assets.agreement.core.labelled_items import LabelledItems

# Half a pseudo-item of the sample at large in each stratum, as a stratum of a few items without a positive shows no
# variance at all: in simulation this takes the coverage at 30 items from .80 to .98, and widens nothing at 400.
_PSEUDO_ITEMS = 0.5


@dataclass(frozen=True)
class AuditSample:
    """Labelled audit items of one or more rounds.

    :param votes: shape (items, raters); every item has at least one decisive vote.
    :param weights: shape (items,): how many pool items each stands for, up to a common factor; they average 1.
    :param strata: shape (items,), strata of all rounds numbered from 0, each with at least 2 items if there are 2.
    """

    votes: Floats
    weights: Floats
    strata: NDArray[np.int64]

    @property
    def positive_share(self) -> Floats:
        """Each item's share of positive votes, shape (items,)."""
        return np.asarray(np.nanmean(self.votes, axis=1))


def rao_wu_weights(sample: AuditSample, *, resamples: int = 2_000, seed: int = 0) -> Iterator[Floats]:
    """Yield bootstrap weights, shape (batch, items), ``resamples`` rows in all (Rao and Wu 1988, rescaled).

    In each stratum n_h - 1 items are drawn with replacement and weigh n_h / (n_h - 1) times what they did, which
    makes the bootstrap variance the usual stratified one even for strata of two.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(sample.strata == stratum) for stratum in np.unique(sample.strata)]
    for rows in batch_sizes(resamples, len(sample.weights)):
        factors = np.ones((rows, len(sample.weights)))
        for items in members:
            if len(items) > 1:
                draws = generator.multinomial(len(items) - 1, np.full(len(items), 1 / len(items)), size=rows)
                factors[:, items] = draws * (len(items) / (len(items) - 1))
        yield factors * sample.weights


def mean_distribution(sample: AuditSample, values: Floats, *, resamples: int = 2_000, seed: int = 0) -> Distribution:
    """Return the weighted mean of some values, with Rao-Wu replicates to which half a pseudo-item a stratum is added.

    Each draw of a stratum of n_h items takes, with chance .5 / (n_h + .5), any item of the whole sample instead of
    one of its own, so a stratum whose few items agree is not taken to be sure. The replicates are moved to have the
    plain estimate, which is unbiased, for their mean.

    :param values: shape (items,), such as the share of positive votes.
    """
    estimate = float(_mean(sample.weights[None, :], values)[0])
    without = np.concatenate([_mean(weights, values) for weights in without_each_item(sample)])
    replicates = _smoothed_mean_replicates(sample, values, resamples=resamples, seed=seed)
    return Distribution(estimate, replicates, len(values), stratified_jackknife(sample, estimate, without))


def without_each_item(sample: AuditSample) -> Iterator[Floats]:
    """Yield the weights with each item left out in turn, shape (batch, items), as many rows as items in all."""
    # The others of its stratum stand for the item that is left out.
    size = np.bincount(sample.strata, minlength=1)
    start = 0
    for rows in batch_sizes(len(sample.weights), len(sample.weights)):
        left_out = np.arange(start, start + rows)
        same = sample.strata[left_out][:, None] == sample.strata[None, :]
        scale = (size / np.maximum(size - 1, 1))[sample.strata[left_out]]
        weights = np.where(same, scale[:, None], 1.0) * sample.weights
        weights[np.arange(rows), left_out] = 0.0
        yield weights
        start += rows


def stratified_jackknife(sample: AuditSample, estimate: float, without: Floats) -> Floats:
    """Return what ``Distribution`` takes for its jackknife, from a figure's values without each item.

    :param without: shape (items,), NaN where undefined, see ``without_each_item``.
    :return: shape (items,); its mean is the estimate.
    """
    # Shifted and scaled so that their skewness, which BCa calls the acceleration, is that of the stratified estimate:
    # an item's part in it is (n_h - 1) / n_h times the distance from the mean of its own stratum.
    values = np.full(len(without), estimate)
    for stratum in np.unique(sample.strata):
        here = (sample.strata == stratum) & ~np.isnan(without)
        if here.sum() > 1:
            distance = without[here].mean() - without[here]
            values[here] -= distance * (1 - 1 / (sample.strata == stratum).sum())
    return values


def _smoothed_mean_replicates(sample: AuditSample, values: Floats, *, resamples: int, seed: int) -> Floats:
    generator = np.random.default_rng((seed, 1))
    common, times = np.unique(values, return_counts=True)
    total, mass = np.zeros(resamples), np.zeros(resamples)
    centre = 0.0
    for stratum in np.unique(sample.strata):
        own = np.flatnonzero(sample.strata == stratum)
        mean_weight = sample.weights[own].mean()
        weights = np.concatenate([sample.weights[own], np.full(len(common), mean_weight)])
        shares = np.concatenate([np.ones(len(own)), _PSEUDO_ITEMS * times / len(values)]) / (len(own) + _PSEUDO_ITEMS)
        drawn = weights * np.concatenate([values[own], common])
        draws = max(len(own) - 1, 1)
        counts = generator.multinomial(draws, shares, size=resamples)
        total += counts @ drawn * (len(own) / draws)
        mass += counts @ weights * (len(own) / draws)
        centre += len(own) * float(shares @ drawn)
    estimate = float(sample.weights @ values / sample.weights.sum())
    return np.asarray(total / mass + (estimate - centre / sample.weights.sum()))


def _mean(weights: Floats, values: Floats) -> Floats:
    return ratio(weights @ values, weights.sum(axis=1))


def audit_sample(
    votes: Floats,
    rounds: NDArray[Any],
    strata: NDArray[Any],
    inclusion_probability: Floats,
    stratum_size: Floats | None = None,
) -> AuditSample:
    """Return the audit items as a weighted sample of the pool.

    An item weighs N_h / n_h with n_h the labelled items of its stratum, so items still waiting for a label are
    taken to be missing at random within a stratum; without a stratum size it weighs 1 / pi. Rounds are weighted by
    their labelled items. A stratum with one item is joined with its neighbour, as it has no variance of its own.

    :param votes: shape (items, raters), each item with at least one decisive vote.
    :param rounds: shape (items,), the iteration that drew it.
    :param strata: shape (items,), its stratum within that round.
    :param inclusion_probability: shape (items,), 0 < pi <= 1.
    :param stratum_size: shape (items,), pool items in the stratum when drawn; NaN where unknown.
    :raises ValueError: an item without a vote or without an inclusion probability.
    """
    items = len(votes)
    wrong = ~((inclusion_probability > 0) & (inclusion_probability <= 1))
    if wrong.any():
        raise ValueError(
            f"inclusion_probability: {int(wrong.sum())} of {items} audit items have none in (0, 1]; "
            "only items drawn with a known probability can stand for the pool"
        )
    if items and bool(np.isnan(votes).all(axis=1).any()):
        raise ValueError("votes: an audit item without a decisive vote; leave such items out")
    sizes = np.full(items, np.nan) if stratum_size is None else stratum_size
    keys = np.array([f"{a}\0{b}\0{c}" for a, b, c in zip(rounds, strata, sizes, strict=True)], dtype=np.str_)
    code = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    labelled = np.bincount(code)[code] if items else np.zeros(0)
    weight = np.where(np.isnan(sizes), 1 / inclusion_probability, sizes / np.maximum(labelled, 1))
    weights = _combine_rounds(weight, rounds)
    return AuditSample(votes, weights, _join_single_items(code))


def audit_prevalence(
    sample: AuditSample, *, resamples: int = 2_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Return the pool's share of positives (Hajek mean) with a Rao-Wu bootstrap interval.

    Without a single positive the upper end is the rule of three, generalised to unequal weights: the largest share
    that a sample like this would miss with probability (1 - confidence) / 2.
    """
    distribution = audit_distributions(sample, {}, resamples=resamples, seed=seed)["prevalence"]
    return distribution.interval(len(sample.weights), confidence).within_unit()


def audit_distributions(
    sample: AuditSample, models: Mapping[str, Floats], *, resamples: int = 2_000, seed: int = 0
) -> dict[str, Distribution]:
    """Return every pool-wide figure with its Rao-Wu replicates.

    :param models: name -> shape (items,) labels, 1 or 0.
    :return: the figures of ``Panel``, prevalence, and <name>_precision, <name>_recall, <name>_positive_share of
        each model, where a split vote counts as its share of positives.
    """
    if not len(sample.weights):
        raise ValueError("audit: no labelled audit item; raise selection.shares.audit or wait for labels")
    share = sample.positive_share
    agreement = Panel(sample.votes, models)

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = dict(agreement.figures(weights))
        total, positive = weights.sum(axis=1), weights @ share
        figures["prevalence"] = ratio(positive, total)
        for name, labels in models.items():
            called, hit = weights @ labels, weights @ (labels * share)
            figures[f"{name}_precision"] = ratio(hit, called)
            figures[f"{name}_recall"] = ratio(hit, positive)
            figures[f"{name}_positive_share"] = ratio(called, total)
        return figures

    replicates = collect_replicates(statistics, rao_wu_weights(sample, resamples=resamples, seed=seed))
    estimates = statistics(sample.weights[None, :])
    influence = collect_replicates(statistics, without_each_item(sample))
    leverage = _leverage(sample, models)
    distributions = {
        name: Distribution(
            float(value[0]),
            replicates[name],
            len(share),
            stratified_jackknife(sample, float(value[0]), influence[name]),
            leverage.get(name, float("nan")),
        )
        for name, value in estimates.items()
    }
    prevalence = mean_distribution(sample, share, resamples=resamples, seed=seed)
    return {**distributions, "prevalence": replace(prevalence, leverage=leverage["prevalence"])}


def audit_of(items: LabelledItems) -> AuditSample:
    """Return audit items with decisive votes as a weighted sample of the pool."""
    return audit_sample(items.votes, items.iteration, items.stratum, items.inclusion_probability, items.stratum_size)


def _combine_rounds(weight: Floats, rounds: NDArray[Any]) -> Floats:
    if not len(weight):
        return weight
    code = np.unique(rounds, return_inverse=True)[1]
    labelled = np.bincount(code)
    total = np.bincount(code, weights=weight)
    # Each round's items together weigh as many as they are, so a shrinking pool does not favour early rounds.
    return np.asarray(weight * (labelled / total)[code])


def _join_single_items(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    joined = np.zeros(len(strata), dtype=np.int64)
    current, held = 0, 0
    for stratum in np.unique(strata):
        if held >= 2:
            current, held = current + 1, 0
        joined[strata == stratum] = current
        held += int((strata == stratum).sum())
    if held == 1 and current:
        joined[joined == current] = current - 1
    return joined


def _leverage(sample: AuditSample, models: Mapping[str, Floats]) -> dict[str, float]:
    # Without variation among the votes seen, the worst that could have been missed sits on the heaviest item.
    share, items = sample.positive_share, len(sample.weights)
    bounds = {"prevalence": items * _heaviest(sample.weights)}
    for name, labels in models.items():
        bounds[f"{name}_precision"] = items * _heaviest(sample.weights * labels)
        bounds[f"{name}_recall"] = items * _heaviest(sample.weights * share)
    return bounds


def _heaviest(weights: Floats) -> float:
    total = float(weights.sum())
    return float(weights.max()) / total if total > 0 else float("nan")
