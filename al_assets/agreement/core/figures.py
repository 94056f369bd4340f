"""Looking figures up in a kappa report."""

import polars as pl

from al_assets.agreement.report.scopes import Figure


def figure_of(report: pl.DataFrame, figure: str, scope: str) -> Figure | None:
    """Return a report's row for a figure and scope; None if the report has no such row.

    :param report: a frame with the columns of the kappa_report table.
    """
    rows = report.filter((pl.col("figure") == figure) & (pl.col("scope") == scope))
    return Figure(**rows.select(list(Figure.__dataclass_fields__)).row(0, named=True)) if rows.height else None


def estimate_of(report: pl.DataFrame, figure: str, scope: str) -> float:
    """Return a figure that every report has, such as the pool's threshold.

    :raises ValueError: it is missing or undefined.
    """
    found = figure_of(report, figure, scope)
    if found is None or found.estimate is None:
        why = "has no such row" if found is None else f"leaves it undefined: {found.detail}"
        raise ValueError(f"report: {figure} of scope {scope} is needed, and the report {why}; make the report again")
    return found.estimate


def interval_of(report: pl.DataFrame, figure: str, scope: str) -> tuple[float, float, float] | None:
    """Return a figure's (estimate, low, high); None where it is missing, undefined or has no interval."""
    found = figure_of(report, figure, scope)
    if found is None or found.estimate is None or found.low is None or found.high is None:
        return None
    return found.estimate, found.low, found.high
