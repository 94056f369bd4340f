"""review_queue: what the experts are asked in this iteration, published once and never taken back."""

from enum import StrEnum

import dagster as dg
import polars as pl

from al_assets.assets.metadata import table
from al_assets.assets.pairs import promising_part, queued_before, shares_of
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.curation.queue import build_queue


class RerunMode(StrEnum):
    """What a second run of an iteration does to the queue that experts have already seen."""

    REPLAY = "replay"
    RESELECT = "reselect"


class QueueConfig(dg.Config):
    """How to treat a queue that was already published.

    :param mode: replay keeps the published queue, so the same human labels are used; reselect adds newly chosen items.
    """

    mode: RerunMode = RerunMode.REPLAY


@loop_asset("experts", {"sqlalchemy"})
def review_queue(
    context: dg.AssetExecutionContext,
    config: QueueConfig,
    loop: LoopResource,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.DataFrame,
    boundary_pairs: pl.DataFrame,
) -> TableOutput:
    """Boundary, audit and control items for the experts, with the chance each had of being asked."""
    key, settings = context.partition_key, loop.policy.selection
    chosen = build_queue(
        pool=pool,
        scores=pseudo_labels,
        pairs=boundary_pairs,
        shares=shares_of(loop),
        budget=settings.budget,
        audit_strata=settings.audit_strata,
        promising=promising_part(loop, key),
        exclude=queued_before(loop, key),
        seed=settings.seed + int(key),
    )
    selected_by = {
        "labeler": pseudo_labels["labeler_fingerprint"][0],
        "embedder": loop.policy.embedding.fingerprint(),
        "selection": settings.fingerprint(),
    }
    with loop.ledger() as ledger:
        published = ledger.publish(key, chosen, selected_by, append=config.mode is RerunMode.RESELECT)
    mix = published.join(pseudo_labels.select("item_id", "label"), on="item_id", how="left").group_by("reason").agg(
        pl.len().alias("items"), pl.col("label").mean().alias("called positive by the incumbent")
    )  # fmt: skip
    asked_before = published.filter(pl.col("item_id").is_in(chosen["item_id"].implode())).height
    return table_output(
        published,
        {
            "items": published.height,
            "mode": config.mode.value,
            "chosen_now_and_published": asked_before,
            "by_reason": table(mix.sort("reason")),
        },
    )
