"""What a report is made from, with the columns that a caller outside the loop need not know."""

from collections.abc import Mapping

import polars as pl

from al_assets.agreement.population.pool_design import ASKED_COLUMNS

_UNKNOWN_OF_VOTES: Mapping[str, pl.Expr] = {
    "iteration": pl.lit("0000"),
    "reason": pl.lit("control"),
    "group_id": pl.col("item_id"),
    "stratum": pl.lit(None, dtype=pl.String),
    "stratum_size": pl.lit(None, dtype=pl.Int64),
    "inclusion_probability": pl.lit(None, dtype=pl.Float64),
}


def asked_items(votes: pl.DataFrame) -> pl.DataFrame:
    """Return the items that were voted on as ``pool_design`` takes those that were asked.

    Without a stratum, and with no chance on record, all random items are taken to be one simple random sample.
    """
    first = votes.sort("item_id", "iteration").unique("item_id", keep="first", maintain_order=True)
    unknown = pl.col("inclusion_probability").is_null() & pl.col("stratum").is_null()
    chance = pl.when(unknown).then(1.0).otherwise("inclusion_probability")
    return first.select(*ASKED_COLUMNS).with_columns(inclusion_probability=chance)


def completed(
    votes: pl.DataFrame, split: pl.DataFrame | None, scores: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the frames with the columns that a caller outside the loop need not know."""
    if "item_id" in votes.columns:
        votes = votes.with_columns(
            value.alias(name) for name, value in _UNKNOWN_OF_VOTES.items() if name not in votes.columns
        )
    if split is None:
        known = ("item_id", "reason", "iteration")
        split = votes.select(name for name in known if name in votes.columns).with_columns(split=pl.lit("evaluation"))
        split = split.unique("item_id", keep="first", maintain_order=True)
    if "role" not in scores.columns and "item_id" in scores.columns:
        voted = pl.col("item_id").is_in(votes["item_id"].unique().to_list())
        scores = scores.with_columns(role=pl.when(voted).then(pl.lit("evaluation")).otherwise(pl.lit("stop_set")))
    if not {"p_incumbent", "incumbent_label"} & set(scores.columns):
        scores = scores.with_columns(
            p_incumbent=pl.lit(None, dtype=pl.Float64), incumbent_label=pl.lit(None, dtype=pl.Boolean)
        )
    return votes, split, scores
