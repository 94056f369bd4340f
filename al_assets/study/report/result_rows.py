"""The rows of a study, one a cell and round: read, checked, put in order and written so that a diff is readable."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

FIXED: Mapping[str, type[pl.DataType]] = {
    "dataset": pl.String,
    "strategy": pl.String,
    "student": pl.String,
    "embedding": pl.String,
    "seed": pl.Int64,
    "round": pl.Int64,
    "labels": pl.Int64,
    "kappa": pl.Float64,
    "kappa_boundary": pl.Float64,
    "average_precision": pl.Float64,
    "positive_share": pl.Float64,
    "seconds": pl.Float64,
}
"""Keys that every row has; figures may be null, what names the row may not."""
FURTHER: Mapping[str, type[pl.DataType]] = {
    "variant": pl.String,
    "budget": pl.Int64,
    "votes": pl.Int64,
    "kappa_half": pl.Float64,
    "kappa_best": pl.Float64,
    "expert_kappa": pl.Float64,
    "expert_kappa_boundary": pl.Float64,
    "crowd_kappa": pl.Float64,
    "crowd_kappa_boundary": pl.Float64,
    "probe_embedding": pl.Float64,
    "probe_student": pl.Float64,
    "ceiling": pl.Float64,
    "curation_seconds": pl.Float64,
    "training_seconds": pl.Float64,
    "prevalence": pl.Float64,
    "training_items": pl.Int64,
}
"""Keys that a row may lack; "" for a missing variant, null for the others."""
FIGURES = tuple(name for name, kind in {**FIXED, **FURTHER}.items() if kind is pl.Float64)
KEY = ("dataset", "student", "embedding", "budget", "variant", "strategy")
"""What names an arm; with seed and round it names a row."""
_NEVER_NULL = ("dataset", "strategy", "student", "seed", "round", "labels")
_DIGITS = 6


def read_rows(path: str | Path) -> pl.DataFrame:
    """Read results.json.

    :return: columns ``FIXED`` and ``FURTHER``, sorted by ``KEY``, seed and round; other keys are left out.
    :raises FileNotFoundError: there is no such file.
    :raises ValueError: it is no JSON list of objects, or a row lacks a key, holds the wrong kind of value, or is there
        twice; the message names file, row and key.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error}); run the study again to write it anew") from error
    if not isinstance(found, list):
        raise ValueError(f"{path}: holds a {type(found).__name__}; expected a list of rows")
    try:
        return rows_frame(found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def rows_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame, as ``read_rows`` does.

    :raises ValueError: see ``read_rows``.
    """
    for number, row in enumerate(rows):
        _check(row, number)
    schema = {**FIXED, **FURTHER}
    whole = [{name: _value(row, name, kind) for name, kind in schema.items()} for row in rows]
    frame = pl.DataFrame(whole, schema=dict(schema), orient="row").sort(*KEY, "seed", "round", nulls_last=False)
    twice = frame.filter(frame.select(*KEY, "seed", "round").is_duplicated())
    if not twice.is_empty():
        row = twice.row(0, named=True)
        name = ", ".join(f"{key} {row[key]!r}" for key in (*KEY, "seed", "round"))
        raise ValueError(f"rows: {name} is there twice; keep one of them")
    return frame


def tidy_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order of ``KEY``, figures rounded to 6 digits: what results.json holds.

    :param rows: columns as ``read_rows`` returns them; those of ``FURTHER`` may be missing.
    :raises ValueError: see ``read_rows``.
    """
    return rows_frame([_rounded(row) for row in rows.iter_rows(named=True)])


def rows_text(rows: pl.DataFrame) -> str:
    """Return results.json: a list with one object a line, without the keys of ``FURTHER`` that are null."""
    lines = []
    for row in rows.iter_rows(named=True):
        kept = {name: _json(value) for name, value in row.items() if value is not None or name in FIXED}
        lines.append(json.dumps(kept, ensure_ascii=False, allow_nan=False))
    return "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"


def plain(value: Any) -> Any:
    """Return frames, tuples and floats as JSON has them: lists of objects, six digits, null for what is not finite."""
    if isinstance(value, pl.DataFrame):
        return [plain(row) for row in value.iter_rows(named=True)]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(each) for each in value]
    return _json(value)


def _check(row: Any, number: int) -> None:
    if not isinstance(row, Mapping):
        raise ValueError(f"row {number}: is a {type(row).__name__}; expected an object")
    missing = [name for name in FIXED if name not in row]
    if missing:
        raise ValueError(f"row {number}: key {missing[0]!r} is missing; every row needs {', '.join(FIXED)}")
    for name, kind in {**FIXED, **FURTHER}.items():
        value = row.get(name)
        if value is None:
            if name in _NEVER_NULL:
                raise ValueError(f"row {number}: key {name!r} is null; only figures may be")
        elif not _fits(value, kind):
            expected = {pl.String: "text", pl.Int64: "a whole number", pl.Float64: "a number or null"}[kind]
            raise ValueError(f"row {number}: key {name!r} is {value!r}; expected {expected}")


def _fits(value: Any, kind: type[pl.DataType]) -> bool:
    if kind is pl.String:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind is pl.Float64 or float(value).is_integer()


def _value(row: Mapping[str, Any], name: str, kind: type[pl.DataType]) -> Any:
    value = row.get(name)
    if kind is pl.String:
        return value or ""
    if value is None or not math.isfinite(value):
        return None
    return float(value) if kind is pl.Float64 else int(value)


def _rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:
    if isinstance(value, float):
        # Adding 0 turns -0 into 0.
        return round(value, _DIGITS) + 0.0 if math.isfinite(value) else None
    return value
