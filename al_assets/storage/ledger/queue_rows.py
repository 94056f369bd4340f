"""A queue as rows of the database: what was asked, and beside it why, as it was known when it was published."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, and_, select

from al_assets.storage.ledger.tables import QUEUE, QUEUE_REASONS
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED

QUEUE_SCHEMA = pl.Schema({**REVIEW_QUEUE.schema, "iteration": pl.String()})
_STORED = [name for name in QUEUE_SCHEMA if name not in WHY_QUEUED]
_PLACE = ("policy", "iteration", "item_id")


class QueueRows(NamedTuple):
    """Rows of the tables ``queue`` and ``queue_reasons``."""

    queue: list[dict[str, Any]]
    reasons: list[dict[str, Any]]


def to_rows(queue: pl.DataFrame, common: Mapping[str, Any]) -> QueueRows:
    """Return the rows to insert; an item of which nothing is known has none in ``queue_reasons``.

    :param queue: a REVIEW_QUEUE frame; its order is kept as ``position``.
    :param common: columns that are the same in all rows, policy and iteration among them.
    """
    rows = QueueRows([], [])
    for position, row in enumerate(queue.iter_rows(named=True)):
        known = {name: value for name in WHY_QUEUED if (value := row.pop(name)) is not None}
        stored = {**row, **common, "position": position}
        rows.queue.append(stored)
        if known:
            place = {name: stored[name] for name in _PLACE}
            rows.reasons.append({**place, "known": json.dumps(known, sort_keys=True, allow_nan=False)})
    return rows


def read_queue(connection: Connection, policy: str, iteration: str | None) -> pl.DataFrame:
    """Return queued items in the order of their publication; nulls where an older release recorded no reasons.

    :return: columns of QUEUE_SCHEMA.
    """
    joined = QUEUE.outerjoin(QUEUE_REASONS, and_(*(QUEUE.c[name] == QUEUE_REASONS.c[name] for name in _PLACE)))
    query = select(*(QUEUE.c[name] for name in _STORED), QUEUE_REASONS.c.known).select_from(joined)
    query = query.where(QUEUE.c.policy == policy)
    if iteration is not None:
        query = query.where(QUEUE.c.iteration == iteration)
    found = connection.execute(query.order_by(QUEUE.c.iteration, QUEUE.c.revision, QUEUE.c.position))
    rows = [(*stored, *_known(known)) for *stored, known in found]
    frame = pl.DataFrame(rows, schema=[*_STORED, *WHY_QUEUED], schema_overrides=QUEUE_SCHEMA, orient="row")
    return frame.select(QUEUE_SCHEMA.names())


def _known(reasons: str | None) -> tuple[Any, ...]:
    known = json.loads(reasons) if reasons else {}
    return tuple(known.get(name) for name in WHY_QUEUED)
