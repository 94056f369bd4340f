"""The labels that the votes and adjudications make, and whether they changed."""

import polars as pl
from sqlalchemy import Connection, func, select

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import adjudications_query
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, QUEUE, VOTES

_OF_VOTES = [name for name in tables.EXPERT_LABELS.columns if name not in ("adjudicated", "as_of")]


def read_labels(connection: Connection, part: queries.Part) -> pl.DataFrame:
    """Return the votes that count with the queue row that asked for each and the adjudication of its item.

    :return: an EXPERT_LABELS frame.
    """
    schema = tables.EXPERT_LABELS.schema
    votes = queries.votes_query(_OF_VOTES, queries.counting(part))
    counted = queries.to_frame(connection, votes, pl.Schema({name: schema[name] for name in _OF_VOTES}))
    decided = queries.to_frame(connection, adjudications_query(part), tables.ADJUDICATIONS.schema)
    adjudicated = decided.select("iteration", "item_id", adjudicated="label")
    joined = counted.join(adjudicated, on=["iteration", "item_id"], how="left", maintain_order="left")
    return joined.with_columns(as_of=pl.lit(_last_change(connection, part), dtype=pl.Int64)).select(schema.names())


def changed_labels(connection: Connection, policy: str, since: int, watermark: int) -> int:
    """Count items and raters whose counting vote changed between two moments, and items adjudicated."""
    rows = ADJUDICATIONS.c
    decided = select(rows.iteration, rows.item_id).where(rows.policy == policy, rows.seq > since).distinct()
    changed = len(connection.execute(decided).all())
    if queries.votes_after(connection, policy, since):
        parts = (queries.Part(policy, None, moment) for moment in (since, watermark))
        votes = (queries.votes_query(("seq", "item_id", "rater"), queries.counting(part)) for part in parts)
        then, now = (set(connection.execute(query).all()) for query in votes)
        changed += len({(item_id, rater) for _, item_id, rater in then ^ now})
    return changed


def _last_change(connection: Connection, part: queries.Part) -> int:
    """Return the largest seq up to the watermark that made or changed a label; answers to hidden items make none."""
    asked = select(func.max(VOTES.c.seq)).select_from(queries.asked_about(VOTES, QUEUE))
    votes = queries.within(asked.where(QUEUE.c.reason.not_in(HIDDEN)), VOTES, part)
    decided = queries.within(select(func.max(ADJUDICATIONS.c.seq)), ADJUDICATIONS, part)
    return max(int(connection.execute(query).scalar() or 0) for query in (votes, decided))
