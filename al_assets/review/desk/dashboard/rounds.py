"""How far the labelling of each open iteration is, how fast answers come in, and when it will be done at that pace."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from al_assets.review.desk.shell.recent import LedgerState
from al_assets.storage.ledger import Ledger

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


@dataclass(frozen=True)
class RaterCount:
    """One rater's part in an iteration: answers given, and open items that wait for one."""

    rater: str
    given: int
    waiting: int


@dataclass(frozen=True)
class RoundStatus:
    """An iteration's labelling at one state of the ledger.

    :param missing: answers still needed.
    :param moments: when each answer that counts was given.
    """

    iteration: str
    queued: int
    complete: int
    votes: int
    missing: int
    published_at: datetime
    last_published_at: datetime
    moments: tuple[datetime, ...]
    raters: tuple[RaterCount, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the queue waits for an answer."""
        return self.complete == self.queued

    def deadline(self, hours: float | None) -> datetime | None:
        """Return when it is due; None without a deadline. A queue that was added to is due later."""
        return None if hours is None else self.last_published_at + timedelta(hours=hours)

    def hours(self, now: datetime) -> list[Hour]:
        """Return the answers of the last day by hour."""
        return hourly(self.moments, now)

    def pace(self, now: datetime) -> Pace:
        """Return how fast answers come in, and when the iteration will be done."""
        return pace_of(self.moments, now, self.missing)


def rounds_of(ledger: Ledger, state: LedgerState, votes_per_item: int) -> tuple[RoundStatus, ...]:
    """Return every published iteration, the newest first."""
    return tuple(_round(ledger, iteration, state, votes_per_item) for iteration in reversed(state.iterations))


def shown_rounds(rounds: tuple[RoundStatus, ...], chosen: str | None) -> tuple[RoundStatus, ...]:
    """Return the iteration that was chosen; else those that are not complete; else the newest."""
    if chosen is not None:
        return tuple(each for each in rounds if each.iteration == chosen)
    return tuple(each for each in rounds if not each.is_complete) or rounds[:1]


def _round(ledger: Ledger, iteration: str, state: LedgerState, votes_per_item: int) -> RoundStatus:
    progress = ledger.progress(iteration, votes_per_item)
    answers = ledger.answers([iteration], state.watermark).select("rater", "voted_at")
    given = Counter(answers["rater"].to_list())
    waiting = {rater: len(items) for rater, items in progress.open_items.items()}
    assert progress.first_published_at is not None
    assert progress.last_published_at is not None
    return RoundStatus(
        iteration=iteration,
        queued=progress.queued,
        complete=progress.complete,
        votes=answers.height,
        missing=progress.missing,
        published_at=progress.first_published_at,
        last_published_at=progress.last_published_at,
        moments=tuple(answers["voted_at"].to_list()),
        raters=tuple(
            RaterCount(rater, given[rater], waiting.get(rater, 0))
            for rater in [*state.raters, *sorted(set(given) - set(state.raters))]
        ),
    )


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
