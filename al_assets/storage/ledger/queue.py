"""What was asked: queues as they are published, once and for good, and read back."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, func, select

from al_assets.storage.ledger.queries import chunks
from al_assets.storage.ledger.sql_tables import QUEUE
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED

_SCHEMA = pl.Schema({**REVIEW_QUEUE.schema, "iteration": pl.String()})


class Publication(NamedTuple):
    """When an iteration's queue was published last, and under which revision."""

    revision: int
    published_at: datetime


def checked_queue(queue: pl.DataFrame) -> pl.DataFrame:
    """Return the queue as a REVIEW_QUEUE frame of revision 0.

    :raises ValueError: no items, a wrong column, inclusion probability or number, or text that no database stores.
    """
    checked = REVIEW_QUEUE.check(queue.with_columns(revision=pl.lit(0, dtype=pl.Int64)))
    if checked.is_empty():
        raise ValueError("review_queue: has no items; every item of the pool may be labelled: let the pool grow")
    chance = pl.col("inclusion_probability")
    wrong = checked.filter(chance.is_nan() | (chance <= 0) | (chance > 1))
    if not wrong.is_empty():
        row = wrong.row(0, named=True)
        raise ValueError(
            f"review_queue.inclusion_probability: {row['inclusion_probability']} for item {row['item_id']!r}; expected "
            "above 0 and at most 1, or null where none is known"
        )
    for name in WHY_QUEUED:
        if checked.schema[name] == pl.Float64 and not checked[name].is_finite().all():
            row = checked.filter(~pl.col(name).is_finite()).row(0, named=True)
            raise ValueError(
                f"review_queue.{name}: {row[name]} for item {row['item_id']!r}; expected a finite number, or null "
                "where it is not known"
            )
    for name, dtype in checked.schema.items():
        if dtype == pl.String and checked[name].str.contains("\0", literal=True).any():
            raise ValueError(f"review_queue.{name}: holds a NUL character, which no database stores; remove it")
    return checked


def read_queue(connection: Connection, policy: str, iteration: str | None) -> pl.DataFrame:
    """Return queued items in the order of their publication: columns of REVIEW_QUEUE, then ``iteration``."""
    query = select(*(QUEUE.c[name] for name in _SCHEMA)).where(QUEUE.c.policy == policy)
    if iteration is not None:
        query = query.where(QUEUE.c.iteration == iteration)
    rows = connection.execute(query.order_by(QUEUE.c.iteration, QUEUE.c.revision, QUEUE.c.position))
    return pl.DataFrame([tuple(row) for row in rows], schema=_SCHEMA, orient="row")


def read_publications(connection: Connection, policy: str) -> dict[str, Publication]:
    """Return each published iteration's last publication, the oldest iteration first."""
    query = select(QUEUE.c.iteration, func.max(QUEUE.c.revision), func.max(QUEUE.c.published_at))
    query = query.where(QUEUE.c.policy == policy).group_by(QUEUE.c.iteration).order_by(QUEUE.c.iteration)
    return {iteration: Publication(*last) for iteration, *last in connection.execute(query)}


def asked_items(connection: Connection, policy: str, item_ids: Iterable[str]) -> dict[tuple[str, str], Any]:
    """Return the queue rows of items by (iteration, item_id)."""
    names = ("iteration", "item_id", "reason", "selected_by", "inclusion_probability")
    columns = [QUEUE.c[name] for name in names]
    asked = {}
    for chunk in chunks(item_ids):
        query = select(*columns).where(QUEUE.c.policy == policy, QUEUE.c.item_id.in_(chunk))
        asked.update({(row.iteration, row.item_id): row for row in connection.execute(query)})
    return asked


def not_queued(iteration: str, item_id: str, asked: Collection[tuple[str, str]]) -> str:
    """Say that an item is not in an iteration's queue, and in which it is.

    :param asked: iteration and item of the queues that hold the item.
    """
    others = sorted(other for other, queued in asked if queued == item_id)
    hint = f"it is in that of {', '.join(others)}" if others else "it is in none: check the id"
    return f"item_id: {item_id!r} is not in the queue of iteration {iteration}; {hint}"
