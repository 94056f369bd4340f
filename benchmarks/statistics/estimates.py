"""Estimates and intervals of simulated samples held against their truths: bias, spread, coverage."""

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats
from benchmarks.statistics.kappa_coverage import NOMINAL, share_held

ACCEPTED = (0.93, 0.97)
MOST_BIAS = 0.01


@dataclass(frozen=True)
class EstimateCell:
    """How well one figure is estimated in one setting.

    :param truth: mean over the samples; the truth is each sample's own.
    :param bias: mean of estimate minus truth; ``bias_error`` its standard error, ``deviation`` the standard deviation.
    :param coverage: share of the 95 % intervals given that hold the truth, with its standard error.
    :param above, below: share of the intervals that lie wholly above the truth, or below.
    :param given: share of the ``samples`` that allowed an interval.
    """

    figure: str
    setting: str
    truth: float
    bias: float
    bias_error: float
    deviation: float
    coverage: float | None
    coverage_error: float | None
    above: float | None
    below: float | None
    half_width: float | None
    given: float
    samples: int

    @property
    def faults(self) -> tuple[str, ...]:
        """What is outside the targets by more than two standard errors, in words."""
        faults = []
        if abs(self.bias) > MOST_BIAS + 2 * self.bias_error:
            faults.append(f"bias {self.bias:+.3f} +- {self.bias_error:.3f}")
        if self.coverage is not None and self.coverage_error is not None:
            low, high = ACCEPTED
            # The error of a coverage that is as it should be: one of 1 would have none.
            error = sqrt(NOMINAL * (1 - NOMINAL) / (self.given * self.samples))
            if not low - 2 * error <= self.coverage <= high + 2 * error:
                faults.append(f"coverage {self.coverage:.3f} +- {error:.3f}")
        return tuple(faults)


@dataclass
class Estimates:
    """Collects estimates of figures from sample to sample."""

    _rows: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)

    def add(self, figure: str, truth: float, interval: Interval) -> None:
        """Add what a sample said of a figure whose truth is known."""
        values = (interval.estimate, interval.low, interval.high)
        row = (truth, *(np.nan if value is None else value for value in values))
        self._rows.setdefault(figure, []).append(row)

    def add_estimate(self, figure: str, truth: float, estimate: float) -> None:
        """Add an estimate without an interval."""
        self._rows.setdefault(figure, []).append((truth, estimate, np.nan, np.nan))

    def cells(self, setting: str) -> tuple[EstimateCell, ...]:
        """Return a cell for each figure; a figure that no sample estimated has none.

        :param setting: in words.
        """
        return tuple(
            _cell(figure, setting, np.array(rows))
            for figure, rows in self._rows.items()
            if not np.isnan(np.array(rows)[:, 1]).all()
        )


def _cell(figure: str, setting: str, rows: Floats) -> EstimateCell:
    truth, estimate, low, high = rows.T
    errors = (estimate - truth)[~np.isnan(estimate)]
    deviation = float(errors.std(ddof=1)) if len(errors) > 1 else 0.0
    given = ~np.isnan(low)
    coverage = share_held((low - truth), (high - truth), 0.0)
    some = coverage is not None
    return EstimateCell(
        figure=figure,
        setting=setting,
        truth=float(truth.mean()),
        bias=float(errors.mean()),
        bias_error=deviation / sqrt(len(errors)),
        deviation=deviation,
        coverage=coverage,
        coverage_error=None if coverage is None else sqrt(coverage * (1 - coverage) / int(given.sum())),
        above=float((low > truth)[given].mean()) if some else None,
        below=float((high < truth)[given].mean()) if some else None,
        half_width=float((high - low)[given].mean() / 2) if some else None,
        given=float(given.mean()),
        samples=len(rows),
    )
