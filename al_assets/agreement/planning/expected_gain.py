"""What the next round's labels may gain, from the kappas of the iterations so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.figures import figure_of, interval_of
from al_assets.formatting import decimal, interval

_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class GainPlan:
    """What the next round's labels are expected to gain in kappa; None where it is not known, and text says why.

    :param gain: expected gain of the next round, with its 95 % interval.
    :param per_100_labels: the fitted slope at the labels bought so far.
    """

    gain: float | None
    low: float | None
    high: float | None
    per_100_labels: float | None
    iterations: int
    text: str


def expected_gain(history: Sequence[tuple[str, pl.DataFrame]], budget: int) -> GainPlan:
    """Return the next round's expected gain: kappa against the logarithm of the labels, fitted to the history.

    Weighted least squares with each report's own standard error; if the points scatter more than that, the slope's
    error grows by the root of chi-squared per degree of freedom. Kappas of one panel share their items, so errors
    are positively correlated and the interval is rather too wide. It assumes the curve goes on as it did.

    :param history: (key, kappa report) in order; the scope is the panel where two iterations have it, else evaluation.
    :param budget: labelled items that the next round adds.
    """
    panel = _points(history, "panel")
    scope = "panel" if len(panel) >= 2 else "evaluation"
    points = panel if scope == "panel" else _points(history, scope)
    if len(points) < 2:
        seen = f"{len(history)} iteration{'' if len(history) == 1 else 's'}"
        known = max(len(points), len(panel))
        usable = "" if len(history) < 2 else f", {known} of them with an interval"
        return GainPlan(None, None, None, None, known, f"not known yet: {seen}{usable}; it takes 2")
    fit = _fit(points)
    if fit is None:
        return GainPlan(None, None, None, None, len(points), "not known: every iteration has the same number of labels")
    labels = max(count for count, _, _ in points)
    step = log((labels + budget) / labels)
    slope, error = fit
    gain, low, high = step * slope, step * (slope - _Z95 * error), step * (slope + _Z95 * error)
    text = (
        f"{decimal(gain, 3, sign=True)} kappa (95 % interval {interval(low, high, 3, sign=True)}), "
        f"from {len(points)} iterations' kappa on the {scope} items against the logarithm of the labels"
    )
    return GainPlan(gain, low, high, 100 * slope / labels, len(points), text)


def figure_interval(report: pl.DataFrame, figure: str, scope: str) -> Interval:
    """Return a report's figure as an interval; undefined, with the reason, where the report has no such row."""
    known = figure_of(report, figure, scope)
    if known is None:
        return Interval(None, None, None, 0, f"no row {figure!r}, scope {scope!r}")
    return Interval(known.estimate, known.low, known.high, known.items or 0, known.detail)


def _fit(points: Sequence[tuple[float, float, float]]) -> tuple[float, float] | None:
    """Return slope and its standard error; None where the labels do not differ."""
    labels, kappa, errors = np.array(points, dtype=np.float64).T
    weights, places = 1 / errors**2, np.log(labels)
    away = places - np.average(places, weights=weights)
    spread = float(weights @ away**2)
    if spread < 1e-12:
        return None
    slope = float(weights @ (away * kappa)) / spread
    residual = float(weights @ (kappa - np.average(kappa, weights=weights) - slope * away) ** 2)
    scatter = residual / (len(points) - 2) if len(points) > 2 else 1.0
    return slope, sqrt(max(1.0, scatter) / spread)


def _points(history: Sequence[tuple[str, pl.DataFrame]], scope: str) -> list[tuple[float, float, float]]:
    points = []
    for _, report in history:
        labels = figure_interval(report, "labels", "loop").estimate
        kappa = interval_of(report, "model_expert_kappa", scope)
        if labels and kappa is not None:
            estimate, low, high = kappa
            error = (high - low) / (2 * _Z95)
            if error > 0:
                points.append((labels, estimate, error))
    return points
