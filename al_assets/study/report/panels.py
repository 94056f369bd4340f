"""What the pictures of a study have in common: panels for its settings, whiskers."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from al_assets.study.report.arms import Setting
from al_assets.study.report.canvas import Look, sheet
from al_assets.study.report.summary import StudySummary, in_setting
from al_assets.study.report.wording import Row, setting_title


def panels_of(summary: StudySummary, settings: Sequence[Setting], *, height: float = 3.3) -> tuple[Any, list[Any]]:
    """Return a figure with a panel for each setting, under its name."""
    return sheet([setting_title(each, summary.settings) for each in settings], height=height)


def with_rows(summary: StudySummary, frame: pl.DataFrame) -> list[Setting]:
    """Return the settings of the study that a frame has rows of."""
    return [each for each in summary.settings if not in_setting(frame, each).is_empty()]


def settings_of(frame: pl.DataFrame) -> list[Setting]:
    """Return the settings of a frame, in its order."""
    return [Setting(*row) for row in frame.select(Setting._fields).unique(maintain_order=True).iter_rows()]


def whisker(panel: Any, x: float, row: Row, look: Look) -> None:
    """Draw the interval of a row's mean at x."""
    ends = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
    panel.errorbar([x], [row["mean"]], yerr=ends, color=look.colour, linewidth=1, capsize=1.5, fmt="none")
