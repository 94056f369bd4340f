"""How fast labels come in, and when an iteration will be done at that pace."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HOURS = 24
MIN_VOTES = 5
_MIN_WINDOW = timedelta(minutes=15)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Hour:
    """How many answers were given within an hour of the clock, in UTC."""

    start: datetime
    votes: int


@dataclass(frozen=True)
class Pace:
    """How fast answers came in lately, and what that means for those still missing.

    :param per_hour: answers an hour of the window, nights and breaks included; None from too few.
    :param window: how far it looks back: a day, or as long as there have been answers.
    :param missing: answers still needed.
    :param done_at: when none is missing any more, at this pace; None if that cannot be told.
    """

    per_hour: float | None
    window: timedelta
    missing: int
    done_at: datetime | None


def hourly(moments: Sequence[datetime], now: datetime, hours: int = HOURS) -> list[Hour]:
    """Return the answers of each of the last hours, the present one last.

    :param moments: when each answer was given, in UTC; what lies ahead of ``now`` (a clock that is fast) counts as now.
    """
    last = now.replace(minute=0, second=0, microsecond=0)
    counts = Counter(min(moment, now).replace(minute=0, second=0, microsecond=0) for moment in moments)
    starts = [last - step * _HOUR for step in reversed(range(hours))]
    return [Hour(start, counts[start]) for start in starts]


def pace_of(moments: Sequence[datetime], now: datetime, missing: int) -> Pace:
    """Return the pace of the last day.

    It counts the time since the first answer, if that is shorter than a day, and at least a quarter of an hour.
    """
    since = now - HOURS * _HOUR
    recent = [moment for moment in moments if moment > since]
    window = HOURS * _HOUR
    if moments:
        window = min(window, max(now - min(moments), _MIN_WINDOW))
    if len(recent) < MIN_VOTES:
        return Pace(None, window, missing, None)
    per_hour = len(recent) * (_HOUR / window)
    done_at = now + missing / per_hour * _HOUR if missing else None
    return Pace(per_hour, window, missing, done_at)
