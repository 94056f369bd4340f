"""Files of votes: CSV, JSONL or Parquet into rows of text, each with its number; nothing is judged here but form."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

import polars as pl
from upath import UPath

from al_assets.config import LabelNames
from al_assets.review.intake import IntakeRow, Rejection
from al_assets.storage.ledger import LABELS

REQUIRED = ("item_id", "rater", "label")
OPTIONAL = ("iteration", "undecided_reason", "comment", "voted_at", "policy_version")
SUFFIXES = (".csv", ".jsonl", ".parquet")
# A cell that starts so is run as a formula by spreadsheets; sheets put an apostrophe before it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class UnreadableFileError(ValueError):
    """No row of a file can be read; the message names the file, what is wrong and the way out."""


@dataclass(frozen=True)
class VoteFile:
    """What a file of votes holds.

    :param rows: values are the REQUIRED and OPTIONAL columns as trimmed text, "" where nothing was given.
    """

    name: str
    content_hash: str
    rows: tuple[IntakeRow, ...]
    rejected: tuple[Rejection, ...]

    @classmethod
    def of(cls, file: UPath, data: bytes, rows: Iterable[IntakeRow | Rejection]) -> Self:
        """Return what was read of a file.

        :param data: the whole file.
        """
        read = list(rows)
        good = tuple(row for row in read if isinstance(row, IntakeRow))
        rejected = tuple(row for row in read if isinstance(row, Rejection))
        return cls(display_name(file), hashlib.sha256(data).hexdigest(), good, rejected)


def read_votes(file: UPath) -> VoteFile:
    """Read a file of votes.

    :raises UnreadableFileError: the file is missing, empty, of another kind, damaged, or lacks a required column.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UnreadableFileError(
            f"{file.name}: votes are read from {', '.join(SUFFIXES)} files; save it as one of these, such as CSV UTF-8"
        )
    data = read_file(file)
    if not data.strip():
        raise UnreadableFileError(f"{file.name}: is empty; expected the columns {', '.join(REQUIRED)}")
    return VoteFile.of(file, data, reader(file.name, data))


def read_file(file: UPath) -> bytes:
    """Return the bytes of a file.

    :raises UnreadableFileError: there is no such file, or it may not be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"{file.name}: cannot be read: {error.strerror or error}") from error


def decoded(name: str, data: bytes) -> str:
    """Return the text of a file that is UTF-8, with or without a byte order mark.

    :raises UnreadableFileError: it is not.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"{name}: is not UTF-8 (byte {data[error.start]:#04x} at {error.start}); save a sheet as 'CSV UTF-8', or "
            "convert the file with: iconv -t UTF-8"
        ) from error


def display_name(file: UPath) -> str:
    """Return a file's name as text that can be stored, even if its bytes are no text."""
    return file.name.encode("utf-8", "backslashreplace").decode()


def escape_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula; ``unescape_cell`` undoes it."""
    return "'" + text if _FORMULA.match(text) else text


def unescape_cell(text: str) -> str:
    """Undo ``escape_cell``."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _csv_rows(name: str, data: bytes) -> Iterator[IntakeRow | Rejection]:
    text = decoded(name, data)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    # Strict: otherwise a quote left open swallows the rest of the file into one cell.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = _checked_header(name, next(lines, []))
        for number, cells in enumerate(lines, start=2):
            if len(cells) > len(header):
                values = _values(dict(zip(header, cells, strict=False)))
                reason = f"row: {len(cells)} cells under {len(header)} columns; put a text with {delimiter!r} in quotes"
                yield Rejection(number, reason, values)
            elif any(cell.strip() for cell in cells):
                named = dict(zip(header, map(unescape_cell, cells), strict=False))
                yield IntakeRow(number, _values(named))
    except csv.Error as error:
        raise UnreadableFileError(
            f"{name}: line {lines.line_num} is not CSV ({error}); check the quotes there, or save the sheet again"
        ) from error


def _jsonl_rows(name: str, data: bytes) -> Iterator[IntakeRow | Rejection]:
    # Not splitlines(): it also cuts at line separators inside a text.
    for number, line in enumerate(decoded(name, data).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            if not isinstance(content, dict):
                raise ValueError(f"a JSON object was expected, not {type(content).__name__}")
        except (ValueError, RecursionError) as error:
            yield Rejection(number, f"line {number}: is not JSON ({error}); write one object a line", {"line": line})
            continue
        yield _checked_row(number, {str(key).strip().lower(): value for key, value in content.items()})


def _parquet_rows(name: str, data: bytes) -> Iterator[IntakeRow | Rejection]:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnreadableFileError(f"{name}: is not a whole Parquet file ({error}); write it again") from error
    header = _checked_header(name, frame.columns)
    wanted = [column for column in header if column in (*REQUIRED, *OPTIONAL)]
    frame = frame.rename(dict(zip(frame.columns, header, strict=True))).select(wanted)
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield _checked_row(number, row)


def _checked_header(name: str, columns: Iterable[str]) -> list[str]:
    header = [column.strip().lower() for column in columns]
    if missing := [column for column in REQUIRED if column not in header]:
        raise UnreadableFileError(
            f"{name}: column {', '.join(missing)} is missing; found {', '.join(header)}; expected "
            f"{', '.join(REQUIRED)} and, if you like, {', '.join(OPTIONAL)}"
        )
    if twice := sorted({column for column in header if header.count(column) > 1}):
        raise UnreadableFileError(f"{name}: column {', '.join(twice)} is there twice; keep one of them")
    return header


def _checked_row(number: int, row: Mapping[str, Any]) -> IntakeRow | Rejection:
    values = _values(row)
    for column in (*REQUIRED, *OPTIONAL):
        value = row.get(column)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, date, datetime))):
            return Rejection(number, f"{column}: {value!r} is not text; write it as text", values)
    return IntakeRow(number, values)


def _values(row: Mapping[str, Any]) -> dict[str, str]:
    return {column: _text(row.get(column)) for column in (*REQUIRED, *OPTIONAL)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return (value.isoformat() if isinstance(value, (date, datetime)) else str(value)).strip()


def label_names(names: LabelNames) -> dict[str, str]:
    """Return the label that each accepted name stands for; names are compared without regard to case.

    :raises ValueError: one of the policy's names already means another label.
    """
    meanings = {label: label for label in LABELS}
    for label in LABELS:
        name = str(getattr(names, label)).strip().casefold()
        if meanings.setdefault(name, label) != label:
            raise ValueError(f"policy.labels.{label}: {name!r} already means {meanings[name]}; choose another name")
    return meanings
