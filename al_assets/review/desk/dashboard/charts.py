"""Charts as plain numbers for SVG: the template writes the elements, the style sheet gives the colours."""

import math
from collections.abc import Sequence
from typing import Any

from al_assets.review.desk.dashboard.rounds import Hour

WIDTH, HEIGHT = 360, 150
INTERVAL_WIDTH = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 6, 10, 24
_LABEL_EVERY = 6


def hour_chart(hours: Sequence[Hour]) -> dict[str, Any]:
    """Return a bar for each hour, the lines of the grid with what they stand for, and the places of all, in pixels.

    A bar's ``label`` is written below it where it is not empty.
    """
    most = max((hour.votes for hour in hours), default=0)
    step = tick_step(most)
    top = max(step * math.ceil(most / step), step)
    floor = HEIGHT - _BOTTOM
    tall, slot = floor - _TOP, (WIDTH - _LEFT - _RIGHT) / max(len(hours), 1)
    bars = []
    for place, hour in enumerate(hours):
        height, x, clock = tall * hour.votes / top, _LEFT + place * slot, f"{hour.start:%H:%M}"
        before_now = len(hours) - 1 - place
        bars.append(
            {
                "x": round(x + 1, 1),
                "y": round(floor - height, 1),
                "width": round(slot - 2, 1),
                "height": round(height, 1),
                "middle": round(x + slot / 2, 1),
                "label": "" if before_now % _LABEL_EVERY else clock if before_now else "now",
                "said": f"{clock}: {hour.votes}",
            }
        )
    lines = [{"y": round(floor - tall * value / top, 1), "label": f"{value}"} for value in range(0, top + 1, step)]
    return {
        "width": WIDTH, "height": HEIGHT, "left": _LEFT, "right": WIDTH - _RIGHT, "floor": floor, "bars": bars,
        "lines": lines,
    }  # fmt: skip


def interval_bar(
    estimate: float, low: float | None, high: float | None, mark: float | None = None
) -> dict[str, float | None]:
    """Return an interval on a scale from 0 to 1 as places on a line, in pixels; what lies below 0 is drawn at 0.

    :param mark: what the interval is to be compared with.
    """

    def place(value: float | None) -> float | None:
        return None if value is None else round(4 + (INTERVAL_WIDTH - 8) * min(max(value, 0.0), 1.0), 1)

    return {
        "width": INTERVAL_WIDTH, "low": place(low), "high": place(high), "point": place(estimate), "mark": place(mark)
    }  # fmt: skip


def tick_step(most: int) -> int:
    """Return the step of a scale of counts: 1, 2 or 5 times a power of ten, so that there are at most five steps."""
    step = 1
    while most > 5 * step:
        step = {"1": step * 2, "2": step // 2 * 5, "5": step * 2}[str(step)[0]]
    return step
