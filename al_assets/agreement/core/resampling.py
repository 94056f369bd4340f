"""Figures that are functions of sums over items: resampled by group, given as rows of one tidy frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, grouped_distributions
from al_assets.agreement.core.two_by_two import Floats
from al_assets.agreement.population.audit import within_unit

SCHEMA = {
    "slice_kind": pl.String,
    "slice": pl.String,
    "against": pl.String,
    "figure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "items": pl.Int64,
    "reason": pl.String,
}
_SHARES = frozenset(
    (
        "observed_agreement", "positive_agreement", "negative_agreement", "prevalence_index", "bias_index",
        "undecided_share", "positive_share", "retest_agreement",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of resamples, seed, confidence."""

    resamples: int = 2_000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class Row:
    """A figure of a slice of the votes with its interval; None where undefined, with the reason.

    :param slice_kind: what the votes are divided by: all, reason, iteration, policy_version or rater.
    :param slice: which part: a label reason, an iteration, a policy version, a rater.
    :param against: for a rater, whom they are compared with; None elsewhere.
    :param items: items the figure rests on.
    """

    slice_kind: str
    slice: str
    against: str | None
    figure: str
    estimate: float | None
    low: float | None
    high: float | None
    items: int
    reason: str | None


def frame_of_rows(rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows as a frame with the columns of ``SCHEMA``."""
    return pl.DataFrame([vars(row) for row in rows], schema=SCHEMA)


def figure_row(
    key: tuple[str, str, str | None, str],
    distribution: Distribution,
    *,
    items: int,
    groups: int,
    undefined: str,
    leverage: float = float("nan"),
    confidence: float = 0.95,
) -> Row:
    """Return a figure's distribution as a row.

    :param key: slice_kind, slice, against, figure.
    :param items: items the figure rests on; ``groups`` of them are independent.
    :param undefined: the reason to give if the estimate is undefined.
    :param leverage: see ``Distribution``.
    """
    found = replace(distribution, groups=groups, leverage=leverage).interval(items, confidence, undefined)
    if key[3] in _SHARES:
        found = within_unit(found)
    # Rounded, because the last digits of a matrix product depend on the number of threads.
    estimate, low, high = (None if end is None else round(end, 12) for end in (found.estimate, found.low, found.high))
    return Row(*key, estimate, low, high, items, found.reason)


def group_sums(features: Floats, group: NDArray[Any]) -> Floats:
    """Return the sum of the features of each group's items, shape (groups, features), groups in sorted order.

    :param features: shape (items, features).
    :param group: shape (items,).
    """
    order = np.argsort(group, kind="stable")
    starts = np.unique(group[order], return_index=True)[1]
    return np.asarray(np.add.reduceat(features[order], starts, axis=0))


def resampled(
    sums: Floats, figures_of: Callable[[Floats], Mapping[str, Floats]], how: Resampling
) -> dict[str, Distribution]:
    """Return the bootstrap distributions of figures that are functions of sums over groups.

    The same draws, and so the same figures, as ``grouped_distributions`` of the items, at the cost of the groups.

    :param sums: shape (groups, features), see ``group_sums``.
    :param figures_of: totals of shape (batch, features) -> figure -> shape (batch,).
    """
    return grouped_distributions(
        lambda times: figures_of(times @ sums), np.arange(len(sums)), resamples=how.resamples, seed=how.seed
    )
