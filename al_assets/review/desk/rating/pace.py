"""How long the rest takes at a rater's own pace, and when it is due, in words."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

PAUSE = timedelta(minutes=5)
_FEWEST = 5


def pace(moments: Sequence[datetime]) -> timedelta | None:
    """Return a rater's usual time for an answer: the median, pauses left out; None before there are enough answers."""
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    working = [gap.total_seconds() for gap in gaps if gap <= PAUSE]
    return timedelta(seconds=median(working)) if len(working) >= _FEWEST else None


def about(time: timedelta) -> str:
    """Return a time in words, such as ``about 1 h 20 min``."""
    minutes = round(time.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    hours, rest = divmod(minutes if minutes < 60 else round(minutes / 10) * 10, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return f"about {' '.join(parts)}"


def due(deadline: datetime, now: datetime) -> str:
    """Return how far away a deadline is, such as ``in 2 days``."""
    seconds = abs((deadline - now).total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    count = int(seconds // size)
    if unit == "second":
        return "now"
    many = f"{count} {unit}{'s' * (count != 1)}"
    return f"in {many}" if deadline > now else f"{many} ago"


_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
