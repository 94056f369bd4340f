"""The one form of a figure: its value with an interval, which items it rests on, and how it was made."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from al_assets.agreement.core.bootstrap import Distribution, Interval
from al_assets.tables import AGREEMENT_FIGURES

_POPULATION = tuple(
    f"{who}{what}" for who in ("", "incumbent_", "model_") for what in ("precision", "recall", "positive_share")
)
NEEDS_ONE_VOTE = frozenset(
    ("prevalence", "average_precision", "incumbent_average_precision", "model_average_precision", *_POPULATION)
)
"""Figures that rest on items with one decisive vote; the others take two."""
SHARES = NEEDS_ONE_VOTE | {
    "observed_agreement", "positive_agreement", "negative_agreement", "prevalence_index", "bias_index",
    "undecided_share", "retest_agreement",
}  # fmt: skip
"""Figures that lie between 0 and 1, and so do the ends of their intervals."""


@dataclass(frozen=True)
class Figure:
    """A figure of some items with its 95 % interval.

    :param scope: which items: one of the report's (evaluation, audit, loop, ...), or by what the votes are divided
        (all, reason, iteration, policy_version, rater).
    :param estimate: None where undefined; low and high are None where there is no interval.
    :param items: items it rests on; None where it rests on none.
    :param detail: how it was made; where there is no estimate or no interval, why not.
    :param slice: which part of a division: a label reason, an iteration, a policy version, a rater.
    :param against: for a rater, whom they are compared with.
    """

    figure: str
    scope: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    items: int | None = None
    detail: str | None = None
    slice: str | None = None
    against: str | None = None

    @property
    def interval(self) -> Interval:
        """The figure as an interval; its reason is the detail."""
        return Interval(self.estimate, self.low, self.high, self.items or 0, self.detail)


def as_figure(
    figure: str,
    scope: str,
    interval: Interval,
    detail: str | None = None,
    *,
    part: str | None = None,
    against: str | None = None,
) -> Figure:
    """Return an interval as a figure; what could not be computed puts its reason in place of the detail."""
    bounded = interval.within_unit() if figure in SHARES else interval
    # Rounded, because the last digits of a matrix product depend on the number of threads.
    estimate, low, high = (
        None if value is None else round(value, 12) for value in (bounded.estimate, bounded.low, bounded.high)
    )
    return Figure(figure, scope, estimate, low, high, interval.items, interval.reason or detail, part, against)


def slice_figure(
    key: tuple[str, str, str | None, str],
    distribution: Distribution,
    *,
    items: int,
    groups: int,
    undefined: str,
    leverage: float = float("nan"),
) -> Figure:
    """Return a distribution as the figure of a slice; its detail is only the reason, where something is missing.

    :param key: scope, slice, against, figure.
    :param items: items the figure rests on; ``groups`` of them are independent.
    :param undefined: the reason to give if the estimate is undefined.
    :param leverage: see ``Distribution``.
    """
    scope, part, against, figure = key
    interval = replace(distribution, groups=groups, leverage=leverage).interval(items, undefined=undefined)
    return as_figure(figure, scope, interval, part=part, against=against)


def frame_of(figures: Iterable[Figure]) -> pl.DataFrame:
    """Return figures as a frame with the columns of the table ``agreement_figures``, a row each."""
    return pl.DataFrame([vars(figure) for figure in figures], schema=AGREEMENT_FIGURES.schema)


def figures_in(report: pl.DataFrame, *conditions: pl.Expr) -> list[Figure]:
    """Return the figures of a frame's rows; columns that are not a figure's, such as a mart's iteration, are left out.

    :param report: a frame with the columns of the kappa_report or agreement_figures table.
    """
    known = [name for name in Figure.__dataclass_fields__ if name in report.columns]
    return [Figure(**row) for row in report.filter(*conditions).select(known).iter_rows(named=True)]


def figure_of(report: pl.DataFrame, figure: str, scope: str) -> Figure | None:
    """Return a report's figure of a scope; None if the report has no such row."""
    rows = figures_in(report, pl.col("figure") == figure, pl.col("scope") == scope)
    return rows[0] if rows else None


def estimate_of(report: pl.DataFrame, figure: str, scope: str) -> float:
    """Return a figure that every report has, such as the pool's threshold.

    :raises ValueError: it is missing or undefined.
    """
    known = figure_of(report, figure, scope)
    if known is None or known.estimate is None:
        why = "has no such row" if known is None else f"leaves it undefined: {known.detail}"
        raise ValueError(f"report: {figure} of scope {scope} is needed, and the report {why}; make the report again")
    return known.estimate


def interval_of(report: pl.DataFrame, figure: str, scope: str) -> tuple[float, float, float] | None:
    """Return a figure's (estimate, low, high); None where it is missing, undefined or has no interval."""
    known = figure_of(report, figure, scope)
    if known is None or known.estimate is None or known.low is None or known.high is None:
        return None
    return known.estimate, known.low, known.high
