"""expert_labels: the votes so far, joined from the ledger and never recomputed."""

import dagster as dg
import polars as pl

from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource


class LabelsConfig(dg.Config):
    """As of which vote the labels are read.

    :param watermark: reproduce a report as of this place in the ledger; None reads all votes so far.
    """

    watermark: int | None = None


@loop_asset("experts", {"sqlalchemy"}, deps=["review_queue"])
def expert_labels(context: dg.AssetExecutionContext, config: LabelsConfig, loop: LoopResource) -> TableOutput:
    """Every current vote on the items that this and earlier iterations asked for."""
    key = context.partition_key
    with loop.ledger() as ledger:
        watermark = ledger.watermark() if config.watermark is None else config.watermark
        iterations = [each for each in ledger.iterations() if each <= key]
        frame = ledger.expert_labels(iterations, watermark)
        queued = ledger.queue().filter(pl.col("iteration") <= key).height
    by_rater = frame.group_by("rater").agg(
        pl.len().alias("votes"),
        (pl.col("label") == "positive").mean().alias("positive share"),
        (pl.col("label") == "undecided").sum().alias("undecided"),
    )
    return table_output(
        frame,
        {
            "votes": frame.height,
            "items_labelled": frame["item_id"].n_unique(),
            "items_queued": queued,
            "watermark": watermark,
            "by_rater": table(by_rater.sort("rater")),
        },
    )
