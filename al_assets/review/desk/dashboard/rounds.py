"""How far the labelling of each open iteration is, how fast answers come in, and when it will be done at that pace.

Charts are plain numbers for SVG: the template writes the elements, the style sheet gives the colours.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from al_assets.review.desk.shell.recent import LedgerState
from al_assets.storage.ledger import Ledger, Progress

HOURS = 24
MIN_VOTES = 5
_MIN_WINDOW = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
WIDTH, HEIGHT = 360, 150
INTERVAL_WIDTH = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 6, 10, 24
_LABEL_EVERY = 6


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
    :param done_at: when no answer is missing any more, at this pace; None if that cannot be told.
    """

    per_hour: float | None
    window: timedelta
    done_at: datetime | None


@dataclass(frozen=True)
class RaterCount:
    """One rater's part in an iteration: answers given, and open items that wait for one."""

    rater: str
    given: int
    waiting: int


@dataclass(frozen=True)
class RoundStatus:
    """An iteration's labelling at one state of the ledger.

    :param moments: when each answer that counts was given.
    """

    progress: Progress
    moments: list[datetime]
    raters: list[RaterCount]

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the queue waits for an answer."""
        return self.progress.complete == self.progress.queued

    def deadline(self, hours: float | None) -> datetime | None:
        """Return when it is due; None without a deadline. A queue that was added to is due later."""
        last = self.progress.last_published_at
        return None if hours is None or last is None else last + timedelta(hours=hours)


def rounds_of(ledger: Ledger, state: LedgerState, votes_per_item: int) -> list[RoundStatus]:
    """Return every published iteration, the newest first."""
    return [_round(ledger, iteration, state, votes_per_item) for iteration in reversed(state.iterations)]


def shown_rounds(rounds: list[RoundStatus], chosen: str | None) -> list[RoundStatus]:
    """Return the iteration that was chosen; else those that are not complete; else the newest."""
    if chosen is not None:
        return [each for each in rounds if each.progress.iteration == chosen]
    return [each for each in rounds if not each.is_complete] or rounds[:1]


def _round(ledger: Ledger, iteration: str, state: LedgerState, votes_per_item: int) -> RoundStatus:
    progress = ledger.progress(iteration, votes_per_item)
    answers = ledger.answers([iteration], state.watermark).select("rater", "voted_at")
    given = Counter(answers["rater"].to_list())
    names = [*state.raters, *sorted(set(given) - set(state.raters))]
    raters = [RaterCount(rater, given[rater], len(progress.open_items.get(rater, ()))) for rater in names]
    return RoundStatus(progress, answers["voted_at"].to_list(), raters)


def hourly(moments: Sequence[datetime], now: datetime) -> list[Hour]:
    """Return the answers of each hour of the last day, the present one last.

    :param moments: when each answer was given, in UTC; what lies ahead of ``now`` (a clock that is fast) counts as now.
    """
    last = now.replace(minute=0, second=0, microsecond=0)
    counts = Counter(min(moment, now).replace(minute=0, second=0, microsecond=0) for moment in moments)
    starts = [last - step * _HOUR for step in reversed(range(HOURS))]
    return [Hour(start, counts[start]) for start in starts]


def pace_of(moments: Sequence[datetime], now: datetime, missing: int) -> Pace:
    """Return the pace of the last day.

    :param missing: answers still needed.

    It counts the time since the first answer, if that is shorter than a day, and at least a quarter of an hour.
    """
    since = now - HOURS * _HOUR
    recent = [moment for moment in moments if moment > since]
    window = HOURS * _HOUR
    if moments:
        window = min(window, max(now - min(moments), _MIN_WINDOW))
    if len(recent) < MIN_VOTES:
        return Pace(None, window, None)
    per_hour = len(recent) * (_HOUR / window)
    return Pace(per_hour, window, now + missing / per_hour * _HOUR if missing else None)


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
