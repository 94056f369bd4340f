"""What votes and adjudications make: labels, whether those changed, and answers to repeats beside the first ones."""

from collections.abc import Mapping

import polars as pl
from sqlalchemy import Connection, func, select

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import adjudications_query
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, QUEUE, VOTES
from al_assets.storage.ledger.votes import WITHDRAWN

_OF_VOTES = [name for name in tables.EXPERT_LABELS.columns if name not in ("adjudicated", "as_of")]
_FIRST = ("seq", "recorded_at", "iteration", "label", "voted_at", "policy_version", "policy_fingerprint")


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


def join_retests(history: pl.DataFrame, texts: Mapping[str, str]) -> pl.DataFrame:
    """Return one row for each rater's answer to a repeat, with the answer that counted when the repeat was published.

    Of several answers to one repeat the latest is taken. An answer of a rater who had not answered the item before is
    no retest and is left out. An answer that was withdrawn is none; but a first answer withdrawn, like one corrected,
    after the repeat was published still stands for what the rater said before it.

    :param history: every vote, withdrawals too, with reason, group_id and published_at of the queue row that asked.
    :param texts: policy fingerprint -> fingerprint of what raters read. ``same_policy`` is false where version or text
        differ; a vote without a fingerprint is judged by its version alone.
    :return: columns of RETESTS, in the order of ``seq``; ``days`` lie between the two answers.
    """
    place = ["iteration", "item_id", "rater"]
    ordered = history.sort("seq")
    again = ordered.filter(pl.col("reason") == REPEAT).unique(place, keep="last").filter(pl.col("label") != WITHDRAWN)
    first = ordered.filter(~pl.col("reason").is_in(HIDDEN))
    first = first.select("item_id", "rater", *(pl.col(name).alias(f"first_{name}") for name in _FIRST))
    joined = (
        again.join(first, on=["item_id", "rater"])
        .filter(pl.col("first_recorded_at") < pl.col("published_at"))
        .sort("first_seq")
        .unique([*place, "first_iteration"], keep="last", maintain_order=True)
        .filter(pl.col("first_label") != WITHDRAWN)
        .unique(place, keep="last", maintain_order=True)
    )
    text, first_text = (
        pl.col(name).replace_strict(dict(texts), default=pl.col(name), return_dtype=pl.String)
        for name in ("policy_fingerprint", "first_policy_fingerprint")
    )
    return (
        joined.with_columns(
            days=(pl.col("voted_at") - pl.col("first_voted_at")).dt.total_seconds(fractional=True) / 86_400,
            same_policy=(pl.col("policy_version") == pl.col("first_policy_version"))
            & (text == first_text).fill_null(value=True),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in tables.RETESTS.schema.items())
        .sort("seq")
    )
