"""Confidence intervals by resampling groups of items that belong together.

A group (a boundary pair, a family of near-duplicates) is drawn whole, with all its raters' votes. Intervals are BCa
(Efron 1987); one set of resamples serves every figure, so differences between figures are paired.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats

Statistic = Callable[[Floats], Floats]
Statistics = Callable[[Floats], Mapping[str, Floats]]

MIN_GROUPS = 10
MAX_UNDEFINED = 0.1
_CHUNK_VALUES = 2_000_000
_NORMAL = NormalDist()
_NO_JACKKNIFE: Floats = np.empty(0)
_KAPPAS = (
    "cohen_kappa", "expert_expert_kappa", "model_expert_kappa", "incumbent_expert_kappa", "parity_difference",
    "student_gain", "panel_gain", "fleiss_kappa", "krippendorff_alpha",
)  # fmt: skip


@dataclass(frozen=True)
class Resampling:
    """How intervals are made."""

    resamples: int = 2_000
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval; None where undefined, and then ``reason`` says why."""

    estimate: float | None
    low: float | None
    high: float | None
    items: int
    reason: str | None = None

    def within_unit(self) -> "Interval":
        """Return the interval of a share, cut off at 0 and 1."""
        low = None if self.low is None else max(0.0, self.low)
        high = None if self.high is None else min(1.0, self.high)
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class Distribution:
    """A figure, its bootstrap replicates and jackknife values: any interval or one-sided bound can be read from it.

    :param estimate: the figure on the sample itself, NaN if undefined.
    :param replicates: shape (resamples,), NaN where undefined.
    :param jackknife: shape (groups,), the figure without each group; empty gives percentile instead of BCa intervals.
    :param groups: number of independent units resampled.
    :param degrees: degrees of freedom of the replicates' variance, where few items carry the figure: the tails are then
        those of Student's t (expanded tails: Hesterberg 2015, The American Statistician 69:371-386).
    :param leverage: how far the figure moves per share of groups unlike any that were seen; bounds the interval when
        the replicates do not vary (perfect agreement). NaN: such an interval is not given.
    """

    estimate: float
    replicates: Floats
    groups: int
    jackknife: Floats = field(default_factory=lambda: _NO_JACKKNIFE)
    leverage: float = float("nan")
    degrees: float = float("inf")

    def interval(self, items: int, confidence: float = 0.95, undefined: str = "the figure is undefined") -> Interval:
        """Return the two-sided interval; each end is a one-sided bound at (1 + confidence) / 2.

        No interval is given (low and high None, the estimate stays) from fewer than 10 groups, when more than a
        tenth of the resamples leave the figure undefined, or when they do not vary and no leverage is known.

        :param undefined: the reason to give when the estimate is NaN.
        """
        if np.isnan(self.estimate):
            return Interval(None, None, None, items, undefined)
        replicates = np.sort(self.replicates[~np.isnan(self.replicates)])
        missing = len(self.replicates) - len(replicates)
        reason = None
        if self.groups < MIN_GROUPS:
            reason = f"no interval: {self.groups} independent groups; it takes at least {MIN_GROUPS}"
        elif missing > MAX_UNDEFINED * len(self.replicates):
            reason = f"no interval: undefined in {missing} of {len(self.replicates)} resamples; label more items"
        elif np.ptp(replicates) < 1e-12:
            return self._unvarying(items, confidence)
        if reason:
            return Interval(self.estimate, None, None, items, reason)
        tail = (1 - confidence) / 2
        low, high = np.quantile(replicates, [self._level(tail, replicates), self._level(1 - tail, replicates)])
        return Interval(self.estimate, float(low), float(high), items)

    def _unvarying(self, items: int, confidence: float) -> Interval:
        if np.isnan(self.leverage):
            return Interval(self.estimate, None, None, items, "no interval: every resample gives the same figure")
        unseen = 1 - ((1 - confidence) / 2) ** (1 / self.groups)
        low, high = self.estimate - unseen * self.leverage, self.estimate + unseen * self.leverage
        return Interval(self.estimate, max(-1.0, low), min(1.0, high), items)

    def _level(self, tail: float, replicates: Floats) -> float:
        place = self._place(tail)
        if not len(self.jackknife):
            return _NORMAL.cdf(place)
        below = float((replicates < self.estimate - 1e-12).mean())
        same = float((np.abs(replicates - self.estimate) <= 1e-12).mean())
        edge = 0.5 / len(replicates)
        shift = _NORMAL.inv_cdf(min(max(below + same / 2, edge), 1 - edge))
        moved = shift + place
        scale = 1 - self._acceleration * moved
        return _NORMAL.cdf(shift + moved / scale) if scale > 0 else tail

    def _place(self, tail: float) -> float:
        """Return how many standard errors from the estimate an end lies."""
        if np.isinf(self.degrees):
            return _NORMAL.inv_cdf(tail)
        from scipy.special import stdtrit

        return float(stdtrit(self.degrees, tail))

    @cached_property
    def _acceleration(self) -> float:
        values = self.jackknife[~np.isnan(self.jackknife)]
        deviations = values.mean() - values if len(values) else values
        spread = float((deviations**2).sum())
        return float((deviations**3).sum()) / (6 * spread**1.5) if spread > 1e-18 else 0.0


def degrees_of_freedom(jackknife: Floats) -> float:
    """Return 2 (sum u^2)^2 / sum u^4 of the distances from the mean: twice k where k units carry a figure alike."""
    distance = jackknife - jackknife.mean()
    fourth = float((distance**4).sum())
    return 2 * float((distance**2).sum()) ** 2 / fourth if fourth > 1e-30 else float("inf")


def grouped_distributions(
    statistics: Statistics,
    groups: NDArray[Any],
    *,
    resamples: int = 2_000,
    seed: int = 0,
    leverage: Mapping[str, float] | None = None,
) -> dict[str, Distribution]:
    """Return the bootstrap distribution of several figures over the same resamples of groups.

    :param statistics: item weights of shape (batch, items) -> figure name -> shape (batch,).
    :param groups: shape (items,); resampled whole, with replacement, as many as there are.
    """
    members, count = _members(groups)
    estimates = statistics(np.ones((1, len(groups))))
    replicates = collect_replicates(statistics, _group_draws(members, count, resamples, seed))
    jackknife = collect_replicates(statistics, _without_each_group(members, count))
    return {
        name: Distribution(
            float(value[0]), replicates[name], count, jackknife[name], (leverage or {}).get(name, float("nan"))
        )
        for name, value in estimates.items()
    }


def table_distribution(
    cells: Floats, statistic: Statistic, *, resamples: int = 2_000, seed: int = 0, leverage: float = float("nan")
) -> Distribution:
    """Return the bootstrap distribution of a figure of independent items counted in the cells of one table.

    The same as ``grouped_distributions`` with every item its own group, in time that does not grow with the items.

    :param cells: shape (cells,), whole numbers of items.
    :param statistic: tables of shape (batch, cells) -> shape (batch,).
    """
    items = int(cells.sum())
    draws = np.random.default_rng(seed).multinomial(items, cells / max(items, 1), size=resamples)
    without = cells[None, :] - np.eye(len(cells))[cells > 0]
    return Distribution(
        float(statistic(cells[None, :].astype(np.float64))[0]),
        statistic(draws.astype(np.float64)),
        items,
        np.repeat(statistic(without), cells[cells > 0].astype(np.int64)),
        leverage,
    )


def smoothed_distribution(
    statistic: Statistic,
    groups: NDArray[Any],
    pseudo_items: int,
    mass: float,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> Distribution:
    """Return a figure's bootstrap distribution with a few pseudo-items mixed in, for percentile intervals.

    For figures that rest on a handful of items: what none of the few has shown happens in no plain resample, as if it
    could not. Each draw takes, with chance mass / (groups + mass), a pseudo-item instead of a group. The estimate is
    that of the items alone, and the replicates are moved by as much as the pseudo-items moved their centre.

    :param statistic: weights of shape (batch, items + pseudo-items), pseudo-items last -> shape (batch,).
    :param groups: shape (items,); each pseudo-item is a group of its own. Without any the bootstrap is the plain one.
    :param mass: how many groups the pseudo-items count for together.
    """
    members, count = _members(groups)
    members = np.concatenate([members, count + np.arange(pseudo_items)])
    real = (members < count).astype(np.float64)
    mass = mass if pseudo_items else 0.0
    expected = np.where(real > 0, 1.0, mass / max(pseudo_items, 1)) * (count / (count + mass))
    estimate, centre = (float(statistic(weights[None, :])[0]) for weights in (real, expected))
    batches = _smoothed_draws(members, count, pseudo_items, mass, resamples, seed)
    replicates = np.concatenate([statistic(weights) for weights in batches])
    return Distribution(estimate, replicates + (estimate - centre), count)


def collect_replicates(statistics: Statistics, batches: Iterable[Floats]) -> dict[str, Floats]:
    """Return each figure over batches of item weights, joined."""
    parts: dict[str, list[Floats]] = {}
    for weights in batches:
        for name, values in statistics(weights).items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def group_sums(features: Floats, group: NDArray[Any]) -> Floats:
    """Return the sum of the features of each group's items, shape (groups, features), groups in sorted order.

    :param features: shape (items, features).
    :param group: shape (items,).
    """
    order = np.argsort(group, kind="stable")
    starts = np.unique(group[order], return_index=True)[1]
    return np.asarray(np.add.reduceat(features[order], starts, axis=0))


def resampled_sums(
    sums: Floats, figures_of: Callable[[Floats], Mapping[str, Floats]], how: Resampling
) -> dict[str, Distribution]:
    """Return the bootstrap distributions of figures that are functions of sums over groups.

    The same draws, and so the same figures, as ``grouped_distributions`` of the items, at the cost of the groups.

    :param sums: shape (groups, features), see ``group_sums``.
    :param figures_of: totals of shape (batch, features) -> figure -> shape (batch,).
    :raises ValueError: there is no group.
    """
    members, count = _members(np.arange(len(sums)))
    estimates = figures_of(np.ones((1, count)) @ sums)
    draws = _group_draws(members, count, how.resamples, how.seed)
    replicates = collect_replicates(lambda times: figures_of(times @ sums), draws)
    # A total less one group's sums: of thousands of groups the product with all weights but one would take minutes.
    jackknife = figures_of(sums.sum(axis=0) - sums)
    return {
        name: Distribution(float(value[0]), replicates[name], count, jackknife[name])
        for name, value in estimates.items()
    }


def agreement_leverage(share: Floats) -> dict[str, float]:
    """Return how far each figure falls per share of items that turn out discordant, where agreement is perfect.

    :param share: shape (items,), share of positive votes of each item.
    """
    positive = float(share.mean())
    chance = 2 * positive * (1 - positive)
    if chance <= 0:
        return {"observed_agreement": 1.0}
    return {
        **dict.fromkeys(_KAPPAS, 1 / chance),
        "gwet_ac1": 1 / (1 - chance),
        "observed_agreement": 1.0,
        "positive_agreement": 1 / (2 * positive),
        "negative_agreement": 1 / (2 * (1 - positive)),
    }


def table_leverage(cells: Floats) -> dict[str, float]:
    """Return the same for the figures of one 2 x 2 table; empty for an empty table.

    :param cells: shape (4,), see ``kappa.pair_cells``.
    """
    if not cells.sum():
        return {}
    return agreement_leverage(np.array([(2 * cells[0] + cells[1] + cells[2]) / (2 * cells.sum())]))


def batch_sizes(rows: int, width: int) -> Iterator[int]:
    """Yield row counts that add up to ``rows`` with bounded memory for matrices of that width."""
    size = max(1, _CHUNK_VALUES // max(width, 1))
    for start in range(0, rows, size):
        yield min(size, rows - start)


def _members(groups: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Return each item's group, numbered from 0, and the number of groups."""
    if not len(groups):
        raise ValueError("groups: no items; a figure needs at least one labelled item")
    members = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    return members, int(members.max()) + 1


def _group_draws(members: NDArray[np.int64], count: int, resamples: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    for rows in batch_sizes(resamples, max(count, len(members))):
        drawn = generator.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, members].astype(np.float64)


def _smoothed_draws(
    members: NDArray[np.int64], count: int, pseudo_items: int, mass: float, resamples: int, seed: int
) -> Iterator[Floats]:
    generator = np.random.default_rng((seed, 2))
    width = count + pseudo_items
    for rows in batch_sizes(resamples, max(width, len(members))):
        drawn = generator.integers(0, count, size=(rows, count))
        instead = generator.random((rows, count)) < mass / (count + mass)
        drawn[instead] = count + generator.integers(0, pseudo_items, size=int(instead.sum()))
        times = np.bincount((drawn + np.arange(rows)[:, None] * width).ravel(), minlength=rows * width)
        yield times.reshape(rows, width)[:, members].astype(np.float64)


def _without_each_group(members: NDArray[np.int64], count: int) -> Iterator[Floats]:
    start = 0
    for rows in batch_sizes(count, len(members)):
        yield (members[None, :] != np.arange(start, start + rows)[:, None]).astype(np.float64)
        start += rows
