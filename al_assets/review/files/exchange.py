"""Votes in from files, questions and votes out to files."""

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from upath import UPath

from al_assets.config import Policy
from al_assets.partitions import iteration_key
from al_assets.review.files.vote_files import SUFFIXES, Rejection, Row, VoteFile, escape_cell, label_names, read_votes
from al_assets.review.questions import coded_items, looks_coded, questions
from al_assets.storage.atomic import write_bytes
from al_assets.storage.ledger import LABELS, Ledger, Receipt, Vote, VoteError
from al_assets.storage.ledger.queries import VOTES_SCHEMA

SHEET_COLUMNS = ("item_id", "iteration", "policy_version", "rater", "text", "label", "undecided_reason", "comment")
CLOCK_SKEW = timedelta(minutes=5)


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


def import_votes(
    file: UPath | Path | str, ledger: Ledger, policy: Policy, read: Callable[[UPath], VoteFile] = read_votes
) -> ImportReport:
    """Record the good rows of a file of votes in one transaction and list each bad one with the way out.

    The same file again changes nothing, but rows rejected the last time get another try. Rows are taken in the order of
    ``voted_at``; a row older than the vote on record does not replace it.

    :param file: CSV, JSONL or Parquet with item_id, rater and label; iteration, undecided_reason, comment, voted_at
        (ISO 8601, UTC unless it says otherwise) and policy_version may be left out.
    :param read: reads a file of another form, see ``review/files``.
    :raises UnreadableFileError: no row can be read.
    :raises LedgerError: nothing was recorded.
    """
    found = read(UPath(file))
    answered = [row for row in found.rows if row.values["label"]]
    blank = len(found.rows) - len(answered)
    retry = ledger.open_rows(found.content_hash)
    waiting = answered if retry is None else [row for row in answered if row.number in retry]
    if retry is not None and not waiting and not found.rejected:
        return ImportReport(found.name, repeated=len(answered), blank=blank)
    votes, numbers, rejected = _interpreted(waiting, found, ledger, policy)
    receipt = Receipt(found.content_hash, found.name, numbers, tuple(each.row for each in (*found.rejected, *rejected)))
    result = ledger.record(votes, skip_outdated=True, receipt=receipt)
    by_number = {row.number: row.values for row in answered}
    outdated = [Rejection(numbers[at], _outdated(votes[at]), by_number[numbers[at]]) for at in result.outdated]
    everything = sorted((*found.rejected, *rejected, *outdated), key=lambda each: each.row)
    repeated = result.repeated + len(answered) - len(waiting)
    return ImportReport(found.name, result.new, repeated, result.superseding, blank, tuple(everything))


def export_queue(
    ledger: Ledger, policy: Policy, iteration: str, path: UPath | Path | str, rater: str | None = None
) -> int:
    """Write the sheet of an iteration's questions and return its number of rows.

    The sheet is blind: item, text and empty cells for the answer; no reason, pair or score. Its order is random, each
    rater's own, with pair members apart. Items the rater has answered are left out. Where the queue holds hidden items
    the column ``item_id`` holds codes, see ``review/questions.py``; ``import_votes`` reads them.

    :param path: .csv, .jsonl or .parquet; must not exist, because a sheet there may hold answers.
    :raises ValueError: unknown rater, unpublished iteration, existing file or unknown kind of file.
    """
    target = new_sheet(ledger, path, rater)
    empty = pl.lit("", dtype=pl.String)
    sheet = questions(ledger, policy, iteration, rater).select(
        "text", item_id="shown_id", iteration=pl.lit(iteration), policy_version=pl.lit(policy.policy.version),
        rater=pl.lit(rater or ""), label=empty, undecided_reason=empty, comment=empty,
    )  # fmt: skip
    write_sheet(target, sheet.select(SHEET_COLUMNS))
    return sheet.height


def export_votes(
    ledger: Ledger, path: UPath | Path | str, iterations: Collection[str] | None = None, watermark: int | None = None
) -> int:
    """Write each rater's latest answers, hidden items included, and return their number; ``import_votes`` reads it.

    :param path: .csv, .jsonl or .parquet; replaced if it exists.
    """
    votes = ledger.answers(iterations, watermark).select(VOTES_SCHEMA.names())
    write_sheet(checked_target(path), votes)
    return votes.height


def _interpreted(
    rows: Sequence[Row], file: VoteFile, ledger: Ledger, policy: Policy
) -> tuple[list[Vote], tuple[int, ...], list[Rejection]]:
    """Return the votes in the order they were cast, their row numbers, and the rows that are none."""
    reader = _RowReader(file, ledger, policy, rows)
    read: list[tuple[Row, Vote]] = []
    rejected = []
    for row in rows:
        try:
            read.append((row, reader.vote(row)))
        except ValueError as error:
            rejected.append(Rejection(row.number, _reason(error), row.values))
    reasons = ledger.refusals([vote for _, vote in read])
    rejected += [
        Rejection(row.number, reason, row.values) for (row, _), reason in zip(read, reasons, strict=True) if reason
    ]
    good = [each for each, reason in zip(read, reasons, strict=True) if not reason]
    good.sort(key=lambda each: each[1].voted_at)
    return [vote for _, vote in good], tuple(row.number for row, _ in good), rejected


class _RowReader:
    """Turns rows into votes, filling in what a file may leave out."""

    def __init__(self, file: VoteFile, ledger: Ledger, policy: Policy, rows: Sequence[Row]) -> None:
        self._file = file
        self._policy = policy.policy
        self._names = label_names(policy.policy.labels)
        self._asked = ledger.asked_in([row.values["item_id"] for row in rows if not row.values["iteration"]])
        self._coded = coded_items(ledger) if any(looks_coded(row.values["item_id"]) for row in rows) else {}
        self._now = datetime.now(UTC)

    def vote(self, row: Row) -> Vote:
        """Return the vote a row holds.

        :raises ValueError: the row holds none; the message names the field.
        """
        values = self._decoded(row.values)
        version = values["policy_version"] or self._policy.version
        return Vote(
            item_id=values["item_id"],
            iteration=self._iteration(values),
            rater=values["rater"],
            label=self._label(values["label"]),
            policy_version=version,
            policy_fingerprint=self._policy.fingerprint() if version == self._policy.version else None,
            undecided_reason=" ".join(values["undecided_reason"].casefold().split()) or None,
            comment=values["comment"] or None,
            voted_at=self._voted_at(values["voted_at"]),
            source=f"file:{self._file.name}",
            # A row without a time of its own is the same answer whenever the file is read again.
            vote_key=None if values["voted_at"] else f"{self._file.content_hash}:{row.number}",
        )

    def _decoded(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the row with the item and iteration a code stands for; a row without a code as it is."""
        if values["item_id"] not in self._coded:
            return values
        iteration, item_id = self._coded[values["item_id"]]
        if values["iteration"] and self._iteration(values) != iteration:
            raise ValueError(
                f"iteration: {values['iteration']!r}, but question {values['item_id']!r} is one of iteration "
                f"{iteration}; leave the column as the sheet had it"
            )
        return {**values, "item_id": item_id, "iteration": iteration}

    def _label(self, value: str) -> str:
        if value.casefold() not in self._names:
            names = ", ".join(repr(getattr(self._policy.labels, label)) for label in LABELS)
            raise ValueError(f"label: {value!r} is unknown; expected {names} (or {', '.join(LABELS)})")
        return self._names[value.casefold()]

    def _iteration(self, values: Mapping[str, str]) -> str:
        value = values["iteration"]
        if value:
            # Spreadsheets turn 0003 into 3.
            return iteration_key(int(value)) if value.isascii() and value.isdigit() else value
        asked = self._asked.get(values["item_id"], [])
        if not asked:
            raise ValueError(f"item_id: {values['item_id']!r} is in no queue; check the id against the sheet")
        if len(asked) > 1:
            raise ValueError(
                f"iteration: missing, and item {values['item_id']!r} is in the queues of {', '.join(asked)}; say which"
            )
        return asked[0]

    def _voted_at(self, value: str) -> datetime:
        if not value:
            return self._now
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"voted_at: {value!r} is not an ISO 8601 time, such as 2026-05-31T14:05:00+02:00; correct or empty it"
            ) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment > self._now + CLOCK_SKEW:
            raise ValueError(
                f"voted_at: {value!r} lies in the future; without an offset a time is taken as UTC: add it, or empty it"
            )
        return moment


def _reason(error: ValueError) -> str:
    return error.reasons[0][1] if isinstance(error, VoteError) else str(error)


def _outdated(vote: Vote) -> str:
    return (
        f"voted_at: {vote.voted_at.isoformat()} is before the vote of {vote.rater!r} on record for item "
        f"{vote.item_id!r}, which stays; leave voted_at empty to replace it"
    )


def new_sheet(ledger: Ledger, path: UPath | Path | str, rater: str | None, suffixes: Sequence[str] = SUFFIXES) -> UPath:
    """Return where to write a sheet of questions.

    :raises ValueError: unknown rater, existing file or unknown kind of file.
    """
    target = checked_target(path, suffixes)
    if target.exists():
        raise ValueError(f"path: {target} exists and may hold answers; import and move it, or name another file")
    if rater is not None and rater not in (known := ledger.raters):
        raise ValueError(f"rater: {rater!r} may not vote; those who may are {', '.join(known) or 'nobody'}")
    return target


def checked_target(path: UPath | Path | str, suffixes: Sequence[str] = SUFFIXES) -> UPath:
    """Return where to write.

    :raises ValueError: a kind of file that is not written.
    """
    target = UPath(path)
    if target.suffix.lower() not in suffixes:
        raise ValueError(f"path: {target.name!r} is of an unknown kind; end it in {', '.join(suffixes)}")
    return target


def write_sheet(target: UPath, frame: pl.DataFrame) -> None:
    """Write a frame as the kind of file its name ends in; no cell of a CSV is run as a formula."""
    buffer = io.BytesIO()
    suffix = target.suffix.lower()
    if suffix == ".parquet":
        frame.write_parquet(buffer)
    else:
        moments = [
            pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
            for name in frame.columns
            if frame.schema[name] == pl.Datetime("us", "UTC")
        ]
        frame = frame.with_columns(moments)
        if suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in frame.iter_rows(named=True))
            buffer.write("".join(lines).encode())
        else:
            texts = pl.col(pl.String).map_elements(escape_cell, return_dtype=pl.String, skip_nulls=True)
            # The byte order mark tells Excel that the sheet is UTF-8.
            frame.with_columns(texts).write_csv(buffer, include_bom=True)
    write_bytes(target, buffer.getvalue())
