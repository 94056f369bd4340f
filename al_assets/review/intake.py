"""Votes from outside, from files or another tool: rows become votes in one transaction, or say why they are none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from al_assets.storage.ledger import Ledger, Receipt, RecordResult, Vote, VoteError

CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class IntakeRow:
    """What may hold a vote: a row of a file, or an annotation.

    :param number: as an editor shows it: the row of the sheet (the header is row 1), the line of a JSONL file, the row
        of a Parquet file from 1; or the number of the annotation.
    :param values: what it says, by column.
    """

    number: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class Rejection:
    """A row that became no vote, and why."""

    row: int
    reason: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: each row is counted once.

    :param accepted: rows that became a rater's first vote about an item.
    :param repeated: rows that say what is on record already, or were taken from this file before.
    :param superseding: rows that replaced another vote of the same rater about the same item.
    :param blank: rows without a label: not answered yet.
    :param rejected: rows that became no vote.
    :param unreadable: why no row could be read; None when the file could be.
    """

    name: str
    accepted: int = 0
    repeated: int = 0
    superseding: int = 0
    blank: int = 0
    rejected: tuple[Rejection, ...] = ()
    unreadable: str | None = None

    def __str__(self) -> str:
        """Return the report as one line."""
        if self.unreadable is not None:
            return f"{self.name}: unreadable: {self.unreadable}"
        return (
            f"{self.name}: {self.accepted} new, {self.superseding} superseding, {self.repeated} repeated, "
            f"{self.blank} blank, {len(self.rejected)} rejected"
        )


class ReadVote(NamedTuple):
    """A vote and the row that holds it."""

    row: IntakeRow
    vote: Vote


def read_rows(rows: Iterable[tuple[IntakeRow, Callable[[], Vote]]]) -> tuple[list[ReadVote], list[Rejection]]:
    """Return the votes in the order in which they were cast, and the rows that hold none.

    :param rows: each with what makes the vote of it, which raises ValueError where it holds none.
    """
    read, rejected = [], []
    for row, vote in rows:
        try:
            read.append(ReadVote(row, vote()))
        except ValueError as error:
            reason = error.reasons[0][1] if isinstance(error, VoteError) else str(error)
            rejected.append(Rejection(row.number, reason, row.values))
    return sorted(read, key=lambda entry: entry.vote.voted_at), rejected


def record_votes(
    ledger: Ledger,
    read: Sequence[ReadVote],
    moment: str,
    way_out: str,
    receipt: Callable[[Sequence[ReadVote], Sequence[Rejection]], Receipt] | None = None,
) -> tuple[RecordResult, list[Rejection]]:
    """Record the votes that the ledger takes, in one transaction, and return why it does not take the others.

    :param moment: what the rows call the time of a vote; for what is said of one older than the vote on record.
    :param way_out: what to do to replace that one.
    :param receipt: given what is to be recorded and what is not, returns what goes into the same transaction.
    :raises LedgerError: nothing was recorded.
    """
    rejected: list[Rejection] = []

    def without(reasons: Mapping[int, str]) -> list[ReadVote]:
        rejected.extend(Rejection(read[at].row.number, reason, read[at].row.values) for at, reason in reasons.items())
        return [entry for at, entry in enumerate(read) if at not in reasons]

    def record() -> RecordResult:
        votes = [entry.vote for entry in read]
        return ledger.record(votes, skip_outdated=True, receipt=receipt(read, rejected) if receipt else None)

    refusals = enumerate(ledger.refusals([entry.vote for entry in read]))
    read = without({at: reason for at, reason in refusals if reason})
    try:
        result = record()
    except VoteError as error:
        # Such as an annotation that was recorded for another rater, before label_studio.raters was changed.
        read = without(dict(error.reasons))
        result = record()
    without({at: _outdated(read[at].vote, moment, way_out) for at in result.outdated})
    return result, rejected


def past_moment(moment: datetime, complaint: str) -> datetime:
    """Return a moment with its time zone, which is UTC where it names none.

    :raises ValueError: it lies in the future, which is what the complaint says.
    """
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC) + CLOCK_SKEW:
        raise ValueError(complaint)
    return moment


def _outdated(vote: Vote, moment: str, way_out: str) -> str:
    return (
        f"{moment}: {vote.voted_at.isoformat()} is before the vote of {vote.rater!r} on record for item "
        f"{vote.item_id!r}, which stays; {way_out}"
    )
