"""Answers to repeats, each joined to the answer the same rater gave the first time: a pure join over the history."""

from collections.abc import Mapping

import polars as pl

from al_assets.curation.hidden import HIDDEN, REPEAT

_MOMENT = pl.Datetime("us", "UTC")
RETESTS_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(), "rater": pl.String(), "group_id": pl.String(),
        "first_seq": pl.Int64(), "first_iteration": pl.String(), "first_label": pl.String(),
        "first_voted_at": _MOMENT, "seq": pl.Int64(), "iteration": pl.String(), "label": pl.String(),
        "voted_at": _MOMENT, "days": pl.Float64(), "policy_version": pl.String(), "same_policy": pl.Boolean(),
    }
)  # fmt: skip
_FIRST = ("seq", "recorded_at", "iteration", "label", "voted_at", "policy_version", "policy_fingerprint")


def join_retests(history: pl.DataFrame, texts: Mapping[str, str]) -> pl.DataFrame:
    """Return one row for each rater's answer to a repeat, with the answer that counted when the repeat was published.

    Of several answers to one repeat the latest is taken. An answer of a rater who had not answered the item before is
    no retest and is left out.

    :param history: every vote with reason, group_id and published_at of the queue row that asked for it.
    :param texts: policy fingerprint -> fingerprint of what raters read. ``same_policy`` is false where version or text
        differ; a vote without a fingerprint is judged by its version alone.
    :return: columns of RETESTS_SCHEMA, in the order of ``seq``; ``days`` lie between the two answers.
    """
    place = ["iteration", "item_id", "rater"]
    again = history.filter(pl.col("reason") == REPEAT).sort("seq").unique(place, keep="last").sort("published_at")
    first = history.filter(~pl.col("reason").is_in(HIDDEN)).sort("recorded_at", "seq")
    first = first.select("item_id", "rater", *(pl.col(name).alias(f"first_{name}") for name in _FIRST))
    joined = again.join_asof(
        first, left_on="published_at", right_on="first_recorded_at", by=["item_id", "rater"], strategy="backward",
        allow_exact_matches=False, check_sortedness=False,
    ).drop_nulls("first_seq")  # fmt: skip
    text, first_text = _text("policy_fingerprint", texts), _text("first_policy_fingerprint", texts)
    return (
        joined.with_columns(
            days=(pl.col("voted_at") - pl.col("first_voted_at")).dt.total_seconds(fractional=True) / 86_400,
            same_policy=(pl.col("policy_version") == pl.col("first_policy_version"))
            & (text == first_text).fill_null(value=True),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in RETESTS_SCHEMA.items())
        .sort("seq")
    )


def _text(column: str, texts: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(dict(texts), default=pl.col(column), return_dtype=pl.String)
