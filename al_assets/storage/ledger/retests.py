"""Answers to repeats, each joined to the answer the same rater gave the first time: a pure join over the history."""

from collections.abc import Mapping

import polars as pl

from al_assets.curation.queue.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger.votes import WITHDRAWN
from al_assets.tables import RETESTS

_FIRST = ("seq", "recorded_at", "iteration", "label", "voted_at", "policy_version", "policy_fingerprint")


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
    text, first_text = _text("policy_fingerprint", texts), _text("first_policy_fingerprint", texts)
    return (
        joined.with_columns(
            days=(pl.col("voted_at") - pl.col("first_voted_at")).dt.total_seconds(fractional=True) / 86_400,
            same_policy=(pl.col("policy_version") == pl.col("first_policy_version"))
            & (text == first_text).fill_null(value=True),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in RETESTS.schema.items())
        .sort("seq")
    )


def _text(column: str, texts: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(texts), default=pl.col(column), return_dtype=pl.String)
