"""Items that raters could not decide under the policy as written: the list for the policy's owner."""

import polars as pl

from al_assets.agreement.core.labelled_items import require_columns
from al_assets.tables import POLICY_GAPS, REASON_COLUMNS

_PLACE = ["iteration", "item_id"]


def policy_gaps(votes: pl.DataFrame, also: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return every item with an undecided vote; an item asked again has a row in each iteration with such a vote.

    Within an iteration those with the most undecided votes come first, then the most evenly split.

    :param votes: current votes with item_id, rater, label, iteration and reason; text, comment, undecided_reason and
        policy_version if known.
    :param also: iteration and item_id of items to list though every vote on them decides, such as those that were
        adjudicated a guideline gap; items without votes are left out.
    :return: columns of POLICY_GAPS. reason is that of the queue. The columns of REASON_COLUMNS count undecided votes by
        their reason; votes without one are in none of them.
    :raises ValueError: a column is missing.
    """
    require_columns(votes, "votes", ("item_id", "rater", "label", "iteration", "reason"))
    for optional in ("text", "comment", "undecided_reason", "policy_version"):
        if optional not in votes.columns:
            votes = votes.with_columns(pl.lit(None, dtype=pl.String).alias(optional))
    undecided = pl.col("label") == "undecided"
    reasons = [
        (undecided & (pl.col("undecided_reason") == reason)).sum().cast(pl.Int64).alias(column)
        for reason, column in REASON_COLUMNS.items()
    ]
    said = pl.col("comment").str.strip_chars().fill_null("")
    comment = pl.struct("rater", "label", said.alias("text"))
    version = pl.col("policy_version")
    gaps = (
        votes.sort(*_PLACE, "rater")
        .group_by(_PLACE, maintain_order=True)
        .agg(
            pl.col("text", "reason").first(),
            undecided.sum().cast(pl.Int64).alias("undecided_votes"),
            *reasons,
            (pl.col("label") == "positive").sum().cast(pl.Int64).alias("positive_votes"),
            (pl.col("label") == "negative").sum().cast(pl.Int64).alias("negative_votes"),
            pl.col("rater").filter(undecided).alias("undecided_raters"),
            comment.filter(undecided & (said != "")).alias("comments"),
            comment.filter(~undecided & (said != "")).alias("further"),
            version.filter(undecided | ~undecided.any()).drop_nulls().unique().sort().alias("policy_versions"),
        )
    )
    listed = pl.col("undecided_votes") > 0
    if also is not None:
        gaps = gaps.join(also.select(_PLACE).unique().with_columns(also=True), on=_PLACE, how="left")
        listed = listed | pl.col("also").fill_null(value=False)
    apart = (pl.col("positive_votes") - pl.col("negative_votes")).abs()
    return (
        gaps.filter(listed)
        .with_columns(pl.col("comments").list.concat("further"))
        .sort("iteration", "undecided_votes", apart, "item_id", descending=[False, True, False, False])
        .select(pl.col(name).cast(dtype) for name, dtype in POLICY_GAPS.schema.items())
    )
