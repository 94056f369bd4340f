"""Figures, times and labels in words."""

from datetime import UTC, datetime

from al_assets.config import LabelNames
from al_assets.curation.split import GUIDELINE_GAP

NOTHING = "–"


def percent(share: float | None) -> str:
    """Return a share in whole percent."""
    return NOTHING if share is None else f"{share:.0%}".replace("%", " %")


def decimal(value: float | None) -> str:
    """Return a figure such as kappa with two decimals."""
    # Rounded first: what is a hair below 0 shall not read -0.00.
    return NOTHING if value is None else f"{round(value, 2) + 0.0:.2f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of such figures, empty if there is none."""
    return "" if low is None or high is None else f"{decimal(low)} to {decimal(high)}"


def moment(when: datetime) -> str:
    """Return a time of day and date."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number of things, such as ``1 vote`` or ``2 votes``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def label_name(label: str, names: LabelNames) -> str:
    """Return what the policy calls a label; a guideline gap is called so everywhere."""
    return label if label == GUIDELINE_GAP else str(getattr(names, label))
