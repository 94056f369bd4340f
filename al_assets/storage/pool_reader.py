"""Reading the pool: JSONL, CSV or Parquet, every unusable row quarantined with its reason, none dropped silently."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
from upath import UPath

from al_assets.config import PoolSource
from al_assets.storage.root import text_hash
from al_assets.storage.schemas import POOL, QUARANTINE

FORMATS = (".jsonl", ".csv", ".parquet")


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
        problem = row.problem or _problem(item_id, row.values.get(source.text_column), source, seen)
        if problem:
            rejected.append({"row": number, "item_id": item_id, "reason": problem})
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
    found = (
        sorted(path.parent.glob(path.name), key=str)
        if any(sign in path.name for sign in "*?[")
        else [path]
        if path.exists()
        else []
    )
    if not found:
        raise PoolError(f"pool.path: {location!r} does not exist; give a file, a glob or an fsspec URL")
    for each in found:
        if each.suffix not in FORMATS:
            raise PoolError(f"pool.path: {str(each)!r} ends in {each.suffix!r}; expected one of {', '.join(FORMATS)}")
    return found


def _rows(path: UPath, source: PoolSource) -> Iterator[_Row]:
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    return readers[path.suffix](path, source)


def _jsonl(path: UPath, source: PoolSource) -> Iterator[_Row]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield _Row(number, {}, f"not UTF-8 (byte {error.start} of the line); save the file as UTF-8")
        except json.JSONDecodeError as error:
            yield _Row(number, {}, f"not JSON: {error.msg} at character {error.pos}")
        else:
            if isinstance(values, dict):
                yield _Row(number, values)
            else:
                yield _Row(number, {}, f"expected a JSON object, found {type(values).__name__}")


def _csv(path: UPath, source: PoolSource) -> Iterator[_Row]:
    # Undecodable bytes become lone surrogates, so that one bad row does not cost the file.
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    _require_columns(path, reader.fieldnames or (), source)
    for number, values in enumerate(reader, start=1):
        yield _Row(number, {name: value for name, value in values.items() if name is not None})


def _parquet(path: UPath, source: PoolSource) -> Iterator[_Row]:
    with path.open("rb") as stream:
        frame = pl.read_parquet(stream)
    _require_columns(path, frame.columns, source)
    for number, values in enumerate(frame.iter_rows(named=True), start=1):
        yield _Row(number, values)


def _require_columns(path: UPath, found: Any, source: PoolSource) -> None:
    named = {"id_column": source.id_column, "text_column": source.text_column}
    for field, column in named.items():
        if column not in found:
            raise PoolError(f"pool.{field}: {str(path)!r} has no column {column!r}; it has {', '.join(found)}")


def _identifier(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    return str(value).strip() or None


def _problem(item_id: str | None, text: Any, source: PoolSource, seen: set[str]) -> str | None:
    if item_id is None:
        return f"no id in {source.id_column!r}"
    if item_id in seen:
        return f"the id {item_id!r} was seen before; the first row with it is kept"
    if not isinstance(text, str) or not text.strip():
        return f"no text in {source.text_column!r}"
    if any("\ud800" <= character <= "\udfff" for character in text + item_id):
        return "not UTF-8; save the file as UTF-8"
    if len(text) > source.max_characters:
        return f"the text has {len(text)} characters; pool.max_characters is {source.max_characters}"
    return None


def _item(item_id: str, values: dict[str, Any], source: PoolSource) -> dict[str, Any]:
    text = values[source.text_column]
    origin = values.get(source.source_column) if source.source_column else None
    arrived = values.get(source.arrived_at_column) if source.arrived_at_column else None
    return {
        "item_id": item_id,
        "text": text,
        "text_hash": text_hash(text),
        "source": None if origin is None else str(origin),
        "arrived_at": _moment(arrived),
        "duplicate_of": None,
    }


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parsed = pl.Series([value]).str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    return parsed[0]


def count_rows(source: PoolSource, location: str) -> int:
    """Return how many rows the pool's files hold now, usable or not.

    :raises PoolError: as :func:`read_pool`, except that a row may be unusable.
    """
    return sum(1 for path in _files(location) for _ in _rows(path, source))
