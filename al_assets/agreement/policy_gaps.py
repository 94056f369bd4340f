"""Items that raters could not decide under the policy as written: the list for the policy's owner."""

import polars as pl

from al_assets.agreement.labelled_items import require_columns

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "iteration": pl.String,
    "reason": pl.String,
    "undecided_votes": pl.Int64,
    "positive_votes": pl.Int64,
    "negative_votes": pl.Int64,
    "undecided_raters": pl.List(pl.String),
    "comments": pl.List(pl.String),
    "policy_versions": pl.List(pl.String),
}
_REQUIRED = ("item_id", "rater", "label", "iteration", "reason")


def policy_gaps(votes: pl.DataFrame) -> pl.DataFrame:
    """Return every item with an undecided vote, those with the most first, then the most evenly split.

    :param votes: current votes with item_id, rater, label, iteration and reason; comment and policy_version if known.
    :return: columns of ``SCHEMA``: iteration and reason of the first queue that asked; comments as "rater: comment",
        those of undecided votes before the others; policy_versions, those the undecided votes were cast under.
    :raises ValueError: a column is missing.
    """
    require_columns(votes, "votes", _REQUIRED)
    for optional in ("comment", "policy_version"):
        if optional not in votes.columns:
            votes = votes.with_columns(pl.lit(None, dtype=pl.String).alias(optional))
    undecided = pl.col("label") == "undecided"
    said = pl.col("comment").str.strip_chars().fill_null("")
    remark = pl.concat_str("rater", pl.lit(": "), said)
    gaps = (
        votes.sort("item_id", "iteration", "rater")
        .group_by("item_id", maintain_order=True)
        .agg(
            pl.col("iteration", "reason").first(),
            undecided.sum().cast(pl.Int64).alias("undecided_votes"),
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
