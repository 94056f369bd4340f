"""Items that raters could not decide under the policy as written: the list for the policy's owner."""

import polars as pl

from al_assets.agreement.core.labelled_items import require_columns

UNDECIDED_REASONS = ("ambiguous policy", "missing context", "other")
"""Why a rater could not decide, as raters may say it; they need not say."""
REASON_COLUMNS = {reason: f"{reason.replace(' ', '_')}_votes" for reason in UNDECIDED_REASONS}
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "iteration": pl.String,
    "reason": pl.String,
    "undecided_votes": pl.Int64,
    **dict.fromkeys(REASON_COLUMNS.values(), pl.Int64),
    "positive_votes": pl.Int64,
    "negative_votes": pl.Int64,
    "undecided_raters": pl.List(pl.String),
    "comments": pl.List(pl.String),
    "policy_versions": pl.List(pl.String),
}
_REQUIRED = ("item_id", "rater", "label", "iteration", "reason")


def policy_gaps(votes: pl.DataFrame) -> pl.DataFrame:
    """Return every item with an undecided vote, those with the most first, then the most evenly split.

    :param votes: current votes with item_id, rater, label, iteration and reason; comment, undecided_reason and
        policy_version if known.
    :return: columns of ``SCHEMA``: iteration and reason of the first queue that asked; comments as "rater: comment",
        those of undecided votes before the others; policy_versions, those the undecided votes were cast under. The
        columns of REASON_COLUMNS count undecided votes by their reason; votes without one are in none of them.
    :raises ValueError: a column is missing.
    """
    require_columns(votes, "votes", _REQUIRED)
    for optional in ("comment", "undecided_reason", "policy_version"):
        if optional not in votes.columns:
            votes = votes.with_columns(pl.lit(None, dtype=pl.String).alias(optional))
    undecided = pl.col("label") == "undecided"
    reasons = [
        (undecided & (pl.col("undecided_reason") == reason)).sum().cast(pl.Int64).alias(column)
        for reason, column in REASON_COLUMNS.items()
    ]
    said = pl.col("comment").str.strip_chars().fill_null("")
    remark = pl.concat_str("rater", pl.lit(": "), said)
    gaps = (
        votes.sort("item_id", "iteration", "rater")
        .group_by("item_id", maintain_order=True)
        .agg(
            pl.col("iteration", "reason").first(),
            undecided.sum().cast(pl.Int64).alias("undecided_votes"),
            *reasons,
            (pl.col("label") == "positive").sum().cast(pl.Int64).alias("positive_votes"),
            (pl.col("label") == "negative").sum().cast(pl.Int64).alias("negative_votes"),
            pl.col("rater").filter(undecided).alias("undecided_raters"),
            remark.filter(undecided & (said != "")).alias("comments"),
            remark.filter(~undecided & (said != "")).alias("further"),
            pl.col("policy_version").filter(undecided).drop_nulls().unique().sort().alias("policy_versions"),
        )
        .filter(pl.col("undecided_votes") > 0)
    )
    apart = (pl.col("positive_votes") - pl.col("negative_votes")).abs()
    return (
        gaps.with_columns(pl.col("comments").list.concat("further"))
        .sort(pl.col("undecided_votes"), apart, pl.col("item_id"), descending=[True, False, False])
        .select(list(SCHEMA))
        .cast(SCHEMA)  # type: ignore[arg-type]
    )
