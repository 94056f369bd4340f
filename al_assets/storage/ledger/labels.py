"""What votes and adjudications make: labels, first answers, whether those changed, and answers to repeats."""

from collections.abc import Mapping, Sequence

import polars as pl
from sqlalchemy import Connection, func, select

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import adjudications_query
from al_assets.storage.ledger.registers import label_readings, policy_text_names
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, QUEUE, VOTES
from al_assets.storage.ledger.votes import WITHDRAWN

_OF_VOTES = [name for name in tables.EXPERT_LABELS.columns if name not in ("first_label", "adjudicated", "as_of")]
_OF_HISTORY = (
    "seq", "iteration", "item_id", "rater", "label", "policy_version", "policy_fingerprint", "reason",
)  # fmt: skip
_FIRST = ("seq", "recorded_at", "iteration", "label", "voted_at", "policy_version", "policy_fingerprint")


def read_labels(connection: Connection, part: queries.Part) -> pl.DataFrame:
    """Return the votes that count with the queue row that asked for each, their first labels and adjudications.

    :return: an EXPERT_LABELS frame.
    """
    schema = tables.EXPERT_LABELS.schema
    votes = queries.votes_query(_OF_VOTES, queries.counting(part))
    counted = queries.to_frame(connection, votes, pl.Schema({name: schema[name] for name in _OF_VOTES}))
    decided = queries.to_frame(connection, adjudications_query(part), tables.ADJUDICATIONS.schema)
    adjudicated = decided.select("iteration", "item_id", adjudicated="label")
    kinds = {**tables.VOTES.schema, "reason": pl.String()}
    history = queries.votes_query(_OF_HISTORY, queries.every(part))
    first = first_answers(
        queries.to_frame(connection, history, pl.Schema({name: kinds[name] for name in _OF_HISTORY})),
        counted["seq"],
        label_readings(connection, part.policy, part.watermark),
        policy_text_names(connection, part.policy),
    )
    joined = counted.join(adjudicated, on=["iteration", "item_id"], how="left", maintain_order="left")
    joined = joined.join(first, on=["item_id", "rater"], maintain_order="left")
    return joined.with_columns(as_of=pl.lit(_last_change(connection, part), dtype=pl.Int64)).select(schema.names())


def first_answers(
    history: pl.DataFrame, counting: pl.Series, readings: Sequence[int], texts: Mapping[str, str]
) -> pl.DataFrame:
    """Return for each vote that counts the answer that agreement rests on.

    It is the answer that stood when the loop first read one of the rater's to the item. A slip corrected before that
    was corrected blind. After it somebody may have picked what to ask again by what a model or the other raters said,
    and if only such answers are corrected, agreement rises whoever is right: so a later answer is learnt from and not
    measured. Two things are otherwise: answers under another text of the policy are answers to another question, so
    the first under the text of the vote that counts is taken; and an answer withdrawn for good counts nowhere.

    :param history: every vote up to a moment, withdrawals too, with the reason of the queue row that asked: columns of
        ``_OF_HISTORY``. Answers to hidden items are left out.
    :param counting: ``seq`` of the votes that count then.
    :param readings: the watermarks up to which the loop has read the labels, in order.
    :param texts: policy fingerprint -> fingerprint of what raters read. Where one of two votes has none, the same
        policy version stands for the same text.
    :return: item_id, rater, first_label; a row for each vote that counts.
    """
    read_at = pl.DataFrame({"read_at": readings}, schema={"read_at": pl.Int64})
    known = history.sort("seq").with_columns(
        text=pl.col("policy_fingerprint").replace_strict(texts, default=pl.col("policy_fingerprint"))
    )
    stood = (
        known.filter(~pl.col("reason").is_in(HIDDEN))
        .join_asof(read_at, left_on="seq", right_on="read_at", strategy="forward", coalesce=False)
        .unique(["iteration", "item_id", "rater", "read_at"], keep="last", maintain_order=True)
        .filter(pl.col("label") != WITHDRAWN)
        .unique(["item_id", "rater", "read_at"], keep="last", maintain_order=True)
        .select("item_id", "rater", "policy_version", "text", first_label="label")
    )
    now = known.filter(pl.col("seq").is_in(counting.implode())).select("item_id", "rater", "policy_version", "text")
    same_text = pl.coalesce(
        pl.col("text") == pl.col("text_right"), pl.col("policy_version") == pl.col("policy_version_right")
    )
    return (
        now.join(stood, on=["item_id", "rater"], maintain_order="left_right")
        .filter(same_text)
        .unique(["item_id", "rater"], keep="first", maintain_order=True)
        .select("item_id", "rater", "first_label")
    )


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
