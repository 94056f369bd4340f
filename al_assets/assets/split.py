"""label_split: the labels, divided into evaluation and fine-tuning."""

import polars as pl

from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.curation.split import adjudication_counts, split_labels
from al_assets.partitions import FIRST_KEY


@loop_asset("learning", {"polars"})
def label_split(loop: LoopResource, expert_labels: pl.DataFrame) -> TableOutput:
    """Each labelled item's label and its split; pair partners and near-duplicates are never divided.

    The label is the majority of the votes; in fine-tuning what an adjudicator decided takes its place.
    """
    settings = loop.policy.split
    frame = split_labels(
        expert_labels, evaluation_share=settings.evaluation_share, seed=settings.seed, panel_iteration=FIRST_KEY
    )
    mix = frame.group_by("split").agg(
        pl.len().alias("items"),
        pl.col("label").mean().alias("positive share"),
        pl.col("label").is_null().sum().alias("without a label"),
    )
    return table_output(frame, {"splits": table(mix.sort("split")), **adjudication_counts(frame)})
