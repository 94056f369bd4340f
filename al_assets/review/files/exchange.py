"""Votes in from files; questions, votes and what raters could not decide out to files."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl
from upath import UPath

from al_assets.agreement.policy_gaps import policy_gaps
from al_assets.config import Policy
from al_assets.partitions import iteration_key
from al_assets.review.files.vote_files import SUFFIXES, VoteFile, escape_cell, label_names, read_votes
from al_assets.review.intake import ImportReport, IntakeRow, ReadVote, Rejection, past_moment, read_rows, record_votes
from al_assets.review.questions import coded_items, looks_coded, questions
from al_assets.storage.atomic import write_bytes
from al_assets.storage.ledger import LABELS, Ledger, Receipt, Vote
from al_assets.tables import VOTES

SHEET_COLUMNS = ("item_id", "iteration", "policy_version", "rater", "text", "label", "undecided_reason", "comment")


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
    content = read(UPath(file))
    answered = [row for row in content.rows if row.values["label"]]
    blank = len(content.rows) - len(answered)
    retry = ledger.open_rows(content.content_hash)
    waiting = answered if retry is None else [row for row in answered if row.number in retry]
    if retry is not None and not waiting and not content.rejected:
        return ImportReport(content.name, repeated=len(answered), blank=blank)
    reader = _RowReader(content, ledger, policy, waiting)
    votes, unread = read_rows((row, partial(reader.vote, row)) for row in waiting)

    def receipt(recorded: Sequence[ReadVote], refused: Sequence[Rejection]) -> Receipt:
        left_out = tuple(rejection.row for rejection in (*content.rejected, *unread, *refused))
        return Receipt(content.content_hash, content.name, tuple(entry.row.number for entry in recorded), left_out)

    result, refused = record_votes(ledger, votes, "voted_at", "leave voted_at empty to replace it", receipt)
    return ImportReport(
        content.name,
        accepted=result.new,
        repeated=result.repeated + len(answered) - len(waiting),
        superseding=result.superseding,
        blank=blank,
        rejected=tuple(sorted((*content.rejected, *unread, *refused), key=lambda rejection: rejection.row)),
    )


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


def export_votes(ledger: Ledger, path: UPath | Path | str) -> int:
    """Write each rater's latest answers, hidden items included, and return their number; ``import_votes`` reads it.

    :param path: .csv, .jsonl or .parquet; replaced if it exists.
    """
    votes = ledger.answers().select(*VOTES.columns)
    write_sheet(checked_target(path), votes)
    return votes.height


def export_policy_gaps(ledger: Ledger, path: UPath | Path | str) -> int:
    """Write the items that raters could not decide and return how many; raters are counted, not named.

    :param path: .csv, .jsonl or .parquet; replaced if it exists.
    """
    target = checked_target(path)
    gaps = policy_gaps(ledger.answers()).drop("undecided_raters")
    said = pl.col("comments").list.eval(pl.element().struct.field("text")).list.join(" | ")
    write_sheet(target, gaps.with_columns(said, pl.col("policy_versions").list.join(", ")))
    return gaps.height


class _RowReader:
    """Turns rows into votes, filling in what a file may leave out."""

    def __init__(self, file: VoteFile, ledger: Ledger, policy: Policy, rows: Sequence[IntakeRow]) -> None:
        self._file = file
        self._policy = policy.policy
        self._names = label_names(policy.policy.labels)
        self._asked = ledger.asked_in([row.values["item_id"] for row in rows if not row.values["iteration"]])
        self._coded = coded_items(ledger) if any(looks_coded(row.values["item_id"]) for row in rows) else {}
        self._now = datetime.now(UTC)

    def vote(self, row: IntakeRow) -> Vote:
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
        return past_moment(
            moment,
            f"voted_at: {value!r} lies in the future; without an offset a time is taken as UTC: add it, or empty it",
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
