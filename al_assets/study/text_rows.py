"""Rows of a file of judged texts, checked one by one."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_assets.study.errors import StudyError

FIELDS = ("id", "text", "judgments", "label")
_FORM = "id, text, and either judgments (a list of numbers from 0 to 1) or label (true or false)"
_BOM = b"\xef\xbb\xbf"
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Row:
    """A text and its judgements, each in [0, 1] or NaN; a label is the only judgement, 1 or 0."""

    item_id: str
    text: str
    judgements: tuple[float, ...]
    answer: str
    """The field that they come from: judgments or label."""


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a JSONL file; empty lines are passed over.

    :raises StudyError: the file cannot be read or has no rows, an id is there twice, some rows have judgments and
        others a label, or a row is not of its form.
    """
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, values in _objects(path):
        where = f"{path}: row {number}"
        row = _row(where, values)
        if row.item_id in seen:
            raise StudyError(
                f"{where}: id: {row.item_id!r} is that of row {seen[row.item_id]} too; give every text an id of its own"
            )
        if rows and row.answer != rows[0].answer:
            raise StudyError(
                f"{where}: {row.answer}: the rows before have {rows[0].answer}; give all rows the same, or make "
                "two files"
            )
        seen[row.item_id] = number
        rows.append(row)
    if not rows:
        raise StudyError(f"{path}: no rows; write one JSON object a line with {_FORM}")
    return rows


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; give a JSONL file with {_FORM}") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or error}); give a JSONL file") from error
    # Of bytes, splitlines() does not split at the characters beyond ASCII that occur inside texts.
    for number, line in enumerate(data.removeprefix(_BOM).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: row {number}"
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise StudyError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{where}: not JSON: {error}; write one JSON object a line") from error
        if not isinstance(values, dict):
            raise StudyError(f"{where}: {_shown(values)} is no JSON object; write one a line with {_FORM}")
        yield number, values


def _row(where: str, values: dict[str, Any]) -> Row:
    for key in values:
        if key not in FIELDS:
            near = difflib.get_close_matches(key, FIELDS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise StudyError(f"{where}: {_shown(key)} is unknown; {hint}a row has {_FORM}")
    answers = [field for field in ("judgments", "label") if field in values]
    missing = [field for field in ("id", "text") if field not in values]
    if missing or not answers:
        raise StudyError(f"{where}: {(missing or ['judgments or label'])[0]} is missing; a row has {_FORM}")
    if len(answers) > 1:
        raise StudyError(f"{where}: judgments and label are both there; leave one out")
    answer = answers[0]
    judgements = _judgements(where, values[answer]) if answer == "judgments" else (_label(where, values[answer]),)
    return Row(_identifier(where, values["id"]), _string(f"{where}: text", values["text"]), judgements, answer)


def _identifier(where: str, value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return _string(f"{where}: id", str(value) if is_number else value).strip()


def _string(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise StudyError(f"{where}: {_shown(value)} holds no characters; fill it in, or leave the row out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StudyError(f"{where}: {_shown(value)} is not UTF-8 at character {error.start}; mend it") from error
    return value


def _judgements(where: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise StudyError(f"{where}: judgments: {_shown(value)} is no list; give one number for each rater")
    for each in value:
        if each is not None and not (isinstance(each, (int, float)) and 0 <= each <= 1):
            raise StudyError(
                f"{where}: judgments: {_shown(each)} is no number from 0 to 1; scale it, or write null where a rater "
                "gave none"
            )
    if all(each is None for each in value):
        raise StudyError(
            f"{where}: judgments: {_shown(value)} holds no judgement; give at least one, or leave the row out"
        )
    return tuple(float("nan") if each is None else float(each) for each in value)


def _label(where: str, value: Any) -> float:
    if value not in (0, 1):
        raise StudyError(f"{where}: label: {_shown(value)} is no label; give true or false, or leave the row out")
    return float(value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
