"""Reading the pool: JSONL, CSV or Parquet, every unusable row quarantined with its reason, none dropped silently."""

import csv
import io
import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

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


_Row = tuple[dict[Any, Any], str | None]
"""The values, and what is wrong with the row as such."""


def read_pool(source: PoolSource, location: str) -> Pool:
    """Read the pool.

    :param location: the path, glob or URL, already resolved against the policy file's folder.
    :return: ``items`` with the pool's columns (``duplicate_of`` null throughout) and ``quarantine``.
    :raises PoolError: no such file, unknown format, a named column is missing, or not one row is usable.
    """
    items: dict[str | None, dict[str, Any]] = {}
    rejected: list[dict[str, Any]] = []
    for number, (values, damage) in enumerate(_rows(location, source), start=1):
        item_id = _identifier(values.get(source.id_column))
        if problem := damage or _problem(item_id, values, source, items):
            rejected.append({"row": number, "item_id": _storable(item_id), "reason": _storable(problem)})
            continue
        text = values[source.text_column]
        items[item_id] = {
            "item_id": item_id,
            "text": text,
            "text_hash": text_hash(text),
            "source": _origin(values, source) or None,
            "arrived_at": _moment(values.get(source.arrived_at_column)),
            "duplicate_of": None,
            "weight": _weight(values, source),
        }
    if not items:
        reasons = sorted({row["reason"] for row in rejected})[:3]
        why = f": {'; '.join(reasons)}" if reasons else ""
        raise PoolError(f"pool.path: {location!r} has no usable row ({len(rejected)} rejected{why})")
    return Pool(
        pl.DataFrame(list(items.values()), schema=POOL.schema),
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
    is_glob = any(sign in path.name for sign in "*?[")
    files = sorted(path.parent.glob(path.name), key=str) if is_glob else [path] * path.exists()
    if not files:
        raise PoolError(f"pool.path: {location!r} does not exist; give a file, a glob or an fsspec URL")
    for file in files:
        if file.suffix not in FORMATS:
            raise PoolError(f"pool.path: {str(file)!r} ends in {file.suffix!r}; expected one of {', '.join(FORMATS)}")
    return files


def _rows(location: str, source: PoolSource) -> Iterator[_Row]:
    for path in _files(location):
        yield from {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[path.suffix](path, source)


def _contents(path: UPath) -> bytes:
    try:
        data: bytes = path.read_bytes()
    except OSError as error:
        raise PoolError(f"pool.path: {str(path)!r} cannot be read ({error.strerror or error})") from error
    return data


def _jsonl(path: UPath, source: PoolSource) -> Iterator[_Row]:
    for line in _contents(path).removeprefix(_BOM).splitlines():
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield {}, f"not UTF-8 (byte {error.start} of the line); save the file as UTF-8"
        except (ValueError, RecursionError) as error:
            yield {}, f"not JSON: {error}"
        else:
            is_row = isinstance(values, dict)
            yield (values, None) if is_row else ({}, f"expected a JSON object, found {type(values).__name__}")


def _csv(path: UPath, source: PoolSource) -> Iterator[_Row]:
    csv.field_size_limit(_LONGEST_CELL)
    # Undecodable bytes become lone surrogates, so that one bad row does not cost the file.
    text = _contents(path).decode("utf-8-sig", "surrogateescape")
    # Strict: otherwise a quote left open swallows all rows that follow into one cell.
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _require_columns(path, reader.fieldnames or (), source)
        for values in reader:
            extra = values.pop(None, None)
            cells = f"{len(values) + len(extra)} cells under {len(values)} columns" if extra else ""
            yield values, f"{cells}; put a text with commas in quotes" if extra else None
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
    for values in frame.iter_rows(named=True):
        yield values, None


def _require_columns(path: UPath, present: Any, source: PoolSource) -> None:
    names = ", ".join(map(str, present))
    for field in ("id_column", "text_column", "source_column", "arrived_at_column", "weight_column"):
        column = getattr(source, field)
        if column is not None and column not in present:
            raise PoolError(
                f"pool.{field}: {str(path)!r} has no column {column!r}; it has {_storable(names) or 'none'}"
                + ("; save the file as UTF-8" if _unstorable(names) else "")
            )


def _identifier(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    return str(value).strip() or None


def _problem(
    item_id: str | None, values: dict[str | None, Any], source: PoolSource, seen: Collection[str | None]
) -> str | None:
    text = values.get(source.text_column)
    if item_id is None:
        return f"no id in {source.id_column!r}"
    if item_id in seen:
        return f"the id {item_id!r} was seen before; the first row with it is kept"
    if not isinstance(text, str) or not text.strip():
        return f"no text in {source.text_column!r}"
    if len(text) > source.max_characters:
        return f"the text has {len(text)} characters; pool.max_characters is {source.max_characters}"
    if reason := _unstorable(item_id + text + _origin(values, source)):
        return reason
    arrived = values.get(source.arrived_at_column)
    try:
        _moment(arrived)
    except (ValueError, OverflowError):
        return f"{arrived!r} in {source.arrived_at_column!r} is no date; write it like 2026-05-01T12:00:00Z"
    if source.weight_column is not None and _weight(values, source) is None:
        weight = values.get(source.weight_column)
        return f"{weight!r} in {source.weight_column!r} is no number above 0; leave out what shall not count"
    return None


def _weight(values: dict[str | None, Any], source: PoolSource) -> float | None:
    """Return what a row counts for: None where distinct texts count, and for what is no number above 0."""
    if source.weight_column is None:
        return 1.0 if source.counts == "rows" else None
    try:
        weight = float(values.get(source.weight_column))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return weight if 0 < weight < math.inf else None


def _unstorable(text: str) -> str | None:
    # Lone surrogates are bytes that were no UTF-8, or half a character.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "not UTF-8; save the file as UTF-8"
    return "holds a NUL character, which no database stores; remove it" if "\0" in text else None


def _storable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _origin(values: dict[str | None, Any], source: PoolSource) -> str:
    origin = values.get(source.source_column)
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
    return sum(1 for _ in _rows(location, source))
