"""Charts as plain numbers for SVG: the template writes the elements, the style sheet gives the colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from al_assets.review.desk.dashboard.rounds import Hour

WIDTH, HEIGHT = 360, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 6, 10, 24
_LABEL_EVERY = 6


@dataclass(frozen=True)
class Bar:
    """One hour's bar; ``label`` is written below it where it is not empty."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label: str
    said: str


@dataclass(frozen=True)
class Line:
    """A line of the grid with what it stands for."""

    y: float
    label: str


@dataclass(frozen=True)
class BarChart:
    """Bars on a grid."""

    width: int
    height: int
    left: int
    right: int
    floor: float
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class IntervalBar:
    """An interval on a scale from 0 to 1: the ends of the line, the point, and a mark to compare with, in pixels."""

    width: int
    low: float | None
    high: float | None
    point: float
    mark: float | None


def hour_chart(hours: Sequence[Hour]) -> BarChart:
    """Return the bars of the hours."""
    most = max((hour.votes for hour in hours), default=0)
    step = tick_step(most)
    top = max(step * math.ceil(most / step), step)
    floor = HEIGHT - _BOTTOM
    tall, slot = floor - _TOP, (WIDTH - _LEFT - _RIGHT) / max(len(hours), 1)
    bars = []
    for place, hour in enumerate(hours):
        height = tall * hour.votes / top
        x = _LEFT + place * slot
        last = place == len(hours) - 1
        labelled = (len(hours) - 1 - place) % _LABEL_EVERY == 0
        said = f"{hour.start:%H:%M}: {hour.votes}"
        label = ("now" if last else f"{hour.start:%H:%M}") if labelled else ""
        bars.append(Bar(_short(x + 1), _short(floor - height), _short(slot - 2), _short(height),
                        _short(x + slot / 2), label, said))  # fmt: skip
    lines = tuple(Line(_short(floor - tall * value / top), f"{value}") for value in range(0, top + 1, step))
    return BarChart(WIDTH, HEIGHT, _LEFT, WIDTH - _RIGHT, floor, tuple(bars), lines)


def interval_bar(
    estimate: float, low: float | None, high: float | None, mark: float | None = None, width: int = 120
) -> IntervalBar:
    """Return an interval as places on a line; what lies below 0 is drawn at 0."""

    def place(value: float | None) -> float | None:
        return None if value is None else _short(4 + (width - 8) * min(max(value, 0.0), 1.0))

    point = place(estimate)
    assert point is not None
    return IntervalBar(width, place(low), place(high), point, place(mark))


def tick_step(most: int) -> int:
    """Return the step of a scale of counts: 1, 2 or 5 times a power of ten, so that there are at most five steps."""
    step = 1
    while most > 5 * step:
        step = {"1": step * 2, "2": step // 2 * 5, "5": step * 2}[str(step)[0]]
    return step


def _short(value: float) -> float:
    return round(value, 1)
