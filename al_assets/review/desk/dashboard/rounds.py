"""What the dashboard shows of the labelling: each open iteration's completion and pace, read from the ledger."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from al_assets.review.desk.dashboard.label_pace import Hour, Pace, hourly, pace_of
from al_assets.review.desk.shell.state import LedgerState
from al_assets.storage.ledger import Ledger


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
