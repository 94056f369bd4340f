"""Reading the pool: JSONL, CSV or Parquet, every unusable row quarantined with its reason, none dropped silently."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

import polars as pl
from upath import UPath

from al_assets.config import PoolSource
from al_assets.storage.root import text_hash
from al_assets.tables import POOL, QUARANTINE

FORMATS = (".jsonl", ".csv", ".parquet")
_BOM = b"\xef\xbb\xbf"
_LONGEST_CELL = 2**31 - 1
"""The csv module refuses cells above 128 KiB unless told; too long a text is to cost its row, not the file."""


class PoolError(ValueError):
    """The pool as a whole cannot be used; the message names the file, what was found and the way out."""


@dataclass(frozen=True)
class Pool:
    """The usable items and the rows that were left out."""

    items: pl.DataFrame
    quarantine: pl.DataFrame


@dataclass(frozen=True)
class _Row:
    number: int
    values: dict[str, Any]
    problem: str | None = None


def read_pool(source: PoolSource, location: str) -> Pool:
    """Read the pool.

    :param location: the path, glob or URL, already resolved against the policy file's folder.
    :return: ``items`` with the pool's columns (``duplicate_of`` null throughout) and ``quarantine``.
    :raises PoolError: no such file, unknown format, a named column is missing, or not one row is usable.
    """
    rows = [row for path in _files(location) for row in _rows(path, source)]
    items: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        item_id = _identifier(row.values.get(source.id_column))
        problem = row.problem or _problem(item_id, row.values, source, seen)
        if problem:
            rejected.append({"row": number, "item_id": _storable(item_id), "reason": _storable(problem)})
            continue
        seen.add(cast(str, item_id))
        items.append(_item(cast(str, item_id), row.values, source))
    if not items:
        reasons = sorted({row["reason"] for row in rejected})[:3]
        why = f": {'; '.join(reasons)}" if reasons else ""
        raise PoolError(f"pool.path: {location!r} has no usable row ({len(rejected)} rejected{why})")
    return Pool(
        pl.DataFrame(items, schema=POOL.schema),
        pl.DataFrame(rejected, schema=QUARANTINE.schema, infer_schema_length=None),
    )


def fold_duplicates(items: pl.DataFrame, representatives: list[int]) -> pl.DataFrame:
    """Write into ``duplicate_of`` which item each near-duplicate stands behind.

    :param representatives: for each row, the row of its group's first item (itself if unique).
    """
    ids = items["item_id"].to_list()
    folded = [ids[first] if first != row else None for row, first in enumerate(representatives)]
    return items.with_columns(pl.Series("duplicate_of", folded, dtype=pl.String))


def _files(location: str) -> list[UPath]:
    path = UPath(location)
    files = (
        sorted(path.parent.glob(path.name), key=str)
        if any(sign in path.name for sign in "*?[")
        else [path]
        if path.exists()
        else []
    )
    if not files:
        raise PoolError(f"pool.path: {location!r} does not exist; give a file, a glob or an fsspec URL")
    for file in files:
        if file.suffix not in FORMATS:
            raise PoolError(f"pool.path: {str(file)!r} ends in {file.suffix!r}; expected one of {', '.join(FORMATS)}")
    return files


def _rows(path: UPath, source: PoolSource) -> Iterator[_Row]:
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    return readers[path.suffix](path, source)


def _contents(path: UPath) -> bytes:
    try:
        data: bytes = path.read_bytes()
    except OSError as error:
        raise PoolError(f"pool.path: {str(path)!r} cannot be read ({error.strerror or error})") from error
    return data


def _jsonl(path: UPath, source: PoolSource) -> Iterator[_Row]:
    for number, line in enumerate(_contents(path).removeprefix(_BOM).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield _Row(number, {}, f"not UTF-8 (byte {error.start} of the line); save the file as UTF-8")
        except (ValueError, RecursionError) as error:
            yield _Row(number, {}, f"not JSON: {error}")
        else:
            if isinstance(values, dict):
                yield _Row(number, values)
            else:
                yield _Row(number, {}, f"expected a JSON object, found {type(values).__name__}")


def _csv(path: UPath, source: PoolSource) -> Iterator[_Row]:
    csv.field_size_limit(_LONGEST_CELL)
    # Undecodable bytes become lone surrogates, so that one bad row does not cost the file.
    text = _contents(path).decode("utf-8-sig", "surrogateescape")
    # Strict: otherwise a quote left open swallows all rows that follow into one cell.
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _require_columns(path, reader.fieldnames or (), source)
        for number, values in enumerate(reader, start=1):
            extra = values.pop(None, None)
            cells = f"{len(values) + len(extra)} cells under {len(values)} columns" if extra else ""
            yield _Row(number, values, f"{cells}; put a text with commas in quotes" if extra else None)
    except csv.Error as error:
        raise PoolError(
            f"pool.path: {str(path)!r}: the row after line {reader.line_num} is not CSV ({error}); check its quotes"
        ) from error


def _parquet(path: UPath, source: PoolSource) -> Iterator[_Row]:
    try:
        frame = pl.read_parquet(io.BytesIO(_contents(path)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise PoolError(
            f"pool.path: {str(path)!r} is not Parquet, or damaged ({error}); write the file again"
        ) from error
    _require_columns(path, frame.columns, source)
    for number, values in enumerate(frame.iter_rows(named=True), start=1):
        yield _Row(number, values)


def _require_columns(path: UPath, present: Any, source: PoolSource) -> None:
    named = {
        "id_column": source.id_column,
        "text_column": source.text_column,
        "source_column": source.source_column,
        "arrived_at_column": source.arrived_at_column,
    }
    names = ", ".join(map(str, present))
    for field, column in named.items():
        if column is not None and column not in present:
            raise PoolError(
                f"pool.{field}: {str(path)!r} has no column {column!r}; it has {_storable(names) or 'none'}"
                + ("; save the file as UTF-8" if _unstorable(names) else "")
            )


def _identifier(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    return str(value).strip() or None


def _problem(item_id: str | None, values: dict[str, Any], source: PoolSource, seen: set[str]) -> str | None:
    text = values.get(source.text_column)
    if item_id is None:
        return f"no id in {source.id_column!r}"
    if item_id in seen:
        return f"the id {item_id!r} was seen before; the first row with it is kept"
    if not isinstance(text, str) or not text.strip():
        return f"no text in {source.text_column!r}"
    if len(text) > source.max_characters:
        return f"the text has {len(text)} characters; pool.max_characters is {source.max_characters}"
    return _unstorable(item_id + text + _origin(values, source)) or _date_problem(values, source)


def _unstorable(text: str) -> str | None:
    if _is_broken(text):
        return "not UTF-8; save the file as UTF-8"
    return "holds a NUL character, which no database stores; remove it" if "\0" in text else None


def _is_broken(text: str) -> bool:
    """Tell whether a text holds lone surrogates: bytes that were no UTF-8, or half a character."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _storable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _date_problem(values: dict[str, Any], source: PoolSource) -> str | None:
    arrived = values.get(source.arrived_at_column) if source.arrived_at_column else None
    try:
        _moment(arrived)
    except (ValueError, OverflowError):
        return f"{arrived!r} in {source.arrived_at_column!r} is no date; write it like 2026-05-01T12:00:00Z"
    return None


def _item(item_id: str, values: dict[str, Any], source: PoolSource) -> dict[str, Any]:
    text = values[source.text_column]
    arrived = values.get(source.arrived_at_column) if source.arrived_at_column else None
    return {
        "item_id": item_id,
        "text": text,
        "text_hash": text_hash(text),
        "source": _origin(values, source) or None,
        "arrived_at": _moment(arrived),
        "duplicate_of": None,
    }


def _origin(values: dict[str, Any], source: PoolSource) -> str:
    origin = values.get(source.source_column) if source.source_column else None
    return "" if origin is None else str(origin)


def _moment(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def count_rows(source: PoolSource, location: str) -> int:
    """Return how many rows the pool's files hold now, usable or not.

    :raises PoolError: as :func:`read_pool`, except that a row may be unusable.
    """
    return sum(1 for path in _files(location) for _ in _rows(path, source))
