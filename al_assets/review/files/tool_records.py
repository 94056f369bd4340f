"""What the forms of other tools have in common: files of JSON records, and questions that go by codes."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import polars as pl
from upath import UPath

from al_assets.config import Policy
from al_assets.review.files.vote_files import OPTIONAL, REQUIRED, UnreadableFileError, VoteFile, decoded, read_file
from al_assets.review.intake import IntakeRow, Rejection
from al_assets.review.questions import question_code, questions
from al_assets.storage.ledger import Ledger

ANSWER, REASON, COMMENT = "answer", "undecided_reason", "comment"
Answer = Mapping[str, str] | ValueError
"""Columns of a file of votes, without a label where the rater gave no answer; or why there are none."""


def read_record_file(
    file: UPath, suffixes: Collection[str], read: Callable[[Mapping[str, Any]], Iterable[Answer]]
) -> VoteFile:
    """Read a file of JSON records: an array, or one object a line.

    A row's number says which answer of the file it is, counted from 1; a record may hold several or none.

    :param read: yields the answers of a record.
    :raises UnreadableFileError: the file is missing, empty, of another kind or damaged.
    """
    if file.suffix.lower() not in suffixes:
        raise UnreadableFileError(f"{file.name}: this form is read from {', '.join(suffixes)} files; rename it")
    data = read_file(file)
    records = _records(file.name, decoded(file.name, data))
    answers = ((record, answer) for record in records for answer in _answers(record, read))
    return VoteFile.of(file, data, (_row(number, *answer) for number, answer in enumerate(answers, start=1)))


def coded_questions(ledger: Ledger, policy: Policy, iteration: str, rater: str | None) -> Iterator[tuple[str, str]]:
    """Yield code and text of the questions that wait for a rater, in the rater's order; a code says nothing."""
    sheet = questions(ledger, policy, iteration, rater)
    for item_id, text in sheet.select("item_id", "text").iter_rows():
        yield question_code(ledger.policy_name, iteration, item_id), text


def coded_answers(ledger: Ledger) -> pl.DataFrame:
    """Return the raters' latest answers, as ``Ledger.answers`` does, with the column ``code``."""
    answers = ledger.answers()
    places = answers.select("iteration", "item_id").iter_rows()
    codes = [question_code(ledger.policy_name, *place) for place in places]
    return answers.with_columns(code=pl.Series(codes, dtype=pl.String))


def text_of(record: Mapping[str, Any], name: str, way_out: str) -> str:
    """Return a record's field that must be there.

    :raises ValueError: it is missing or no text.
    """
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        problem = "missing" if value is None else f"{value!r} is not text"
        raise ValueError(f"{name}: {problem}; {way_out}")
    return value.strip()


def _answers(record: Any, read: Callable[[Mapping[str, Any]], Iterable[Answer]]) -> Iterator[Answer]:
    if isinstance(record, ValueError):
        yield record
    elif not isinstance(record, dict):
        yield ValueError(f"record: a JSON object was expected, not {type(record).__name__}; export the file again")
    else:
        try:
            yield from read(record)
        except ValueError as error:
            yield error


def _records(name: str, text: str) -> Iterator[Any]:
    if not text.strip():
        raise UnreadableFileError(f"{name}: is empty; export it again")
    if text.lstrip().startswith("["):
        try:
            yield from json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UnreadableFileError(f"{name}: is not JSON ({error}); export it again") from error
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield ValueError(f"line {number}: is not JSON ({error}); correct it or export the file again")


def _row(number: int, record: Any, answer: Answer) -> IntakeRow | Rejection:
    if isinstance(answer, ValueError):
        return Rejection(number, str(answer), {"record": json.dumps(record, default=str)[:500]})
    return IntakeRow(number, {column: answer.get(column, "").strip() for column in (*REQUIRED, *OPTIONAL)})
