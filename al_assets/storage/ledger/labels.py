"""The labels that the votes and adjudications make, and whether they changed."""

from collections.abc import Collection
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, func, select

from al_assets import tables
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import adjudications_query
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, VOTES
from al_assets.tables import EXPERT_LABELS


def read_labels(
    connection: Connection, policy: str, iterations: Collection[str] | None, watermark: int
) -> pl.DataFrame:
    """Return the votes that count with the queue row that asked for each and the adjudication of its item.

    :return: an EXPERT_LABELS frame.
    """
    votes = queries.to_frame(connection, queries.labels_query(policy, iterations, watermark), queries.LABELS_SCHEMA)
    decided = adjudications_query(policy, iterations, watermark)
    decisions = queries.to_frame(connection, decided, tables.ADJUDICATIONS.schema)
    adjudicated = decisions.select("iteration", "item_id", adjudicated="label")
    joined = votes.join(adjudicated, on=["iteration", "item_id"], how="left", maintain_order="left")
    as_of = _last_change(connection, policy, iterations, watermark)
    return joined.with_columns(as_of=pl.lit(as_of, dtype=pl.Int64)).select(EXPERT_LABELS.schema.names())


def changed_labels(connection: Connection, policy: str, since: int, watermark: int) -> int:
    """Count items and raters whose counting vote changed between two moments, and items adjudicated."""
    rows = ADJUDICATIONS.c
    decided = select(rows.iteration, rows.item_id).where(rows.policy == policy, rows.seq > since).distinct()
    changed = len(connection.execute(decided).all())
    if queries.votes_after(connection, policy, since):
        then, now = (set(connection.execute(_counting(policy, upto)).all()) for upto in (since, watermark))
        changed += len({(item_id, rater) for _, item_id, rater in then ^ now})
    return changed


def _counting(policy: str, watermark: int) -> Select[Any]:
    columns = (VOTES.c.seq, VOTES.c.item_id, VOTES.c.rater)
    return select(*columns).where(VOTES.c.seq.in_(queries.current(policy, None, watermark)))


def _last_change(connection: Connection, policy: str, iterations: Collection[str] | None, watermark: int) -> int:
    """Return the largest seq up to the watermark that made or changed a label; answers to hidden items make none."""
    asked = queries.asked_openly(select(func.max(VOTES.c.seq)))
    votes = queries.chosen(asked, VOTES, policy, iterations, watermark)
    decided = queries.chosen(select(func.max(ADJUDICATIONS.c.seq)), ADJUDICATIONS, policy, iterations, watermark)
    return max(int(connection.execute(query).scalar() or 0) for query in (votes, decided))
