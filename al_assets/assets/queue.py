"""review_queue: what the experts are asked in this iteration, published once and never taken back."""

from enum import StrEnum

import dagster as dg
import polars as pl

from al_assets.assets.hidden import hidden_items
from al_assets.assets.metadata import table
from al_assets.assets.pairs import not_to_ask, promising_part, shares_of
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.config import SelectionSettings
from al_assets.curation.hidden import GOLD, HIDDEN, REPEAT, hidden_count, mix_hidden
from al_assets.curation.queue import Evidence, build_queue
from al_assets.curation.strategies.boundary import BoundaryShare

_SHORT = {
    GOLD: ": the gold file is used up; add items, each is asked once",
    REPEAT: ": no more answers are old enough",
}


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
    """Boundary, audit and control items for the experts, with their chance of being asked; hidden gold and repeats."""
    key, settings = context.partition_key, loop.policy.selection
    chosen = build_queue(
        pool=pool,
        scores=pseudo_labels,
        evidence=Evidence(pairs=boundary_pairs),
        shares=shares_of(loop),
        budget=settings.budget,
        audit_strata=settings.audit_strata,
        strategy=BoundaryShare(promising_part(loop, key), settings.exploration),
        exclude=not_to_ask(loop, key, pool),
        seed=settings.seed + int(key),
    )
    selected_by = {
        "labeler": pseudo_labels["labeler_fingerprint"][0],
        "embedder": loop.policy.embedding.fingerprint(),
        "selection": settings.fingerprint(),
    }
    questions = mix_hidden(chosen, hidden_items(loop, key, chosen.height), settings.seed + int(key))
    with loop.ledger() as ledger:
        published = ledger.publish(key, questions, selected_by, append=config.mode is RerunMode.RESELECT)
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
            **_hidden_metadata(published, settings),
        },
    )


def _hidden_metadata(published: pl.DataFrame, settings: SelectionSettings) -> dict[str, str]:
    """Say how many hidden items the queue has, where the policy wants any."""
    # Nothing is hidden among what a reselect adds.
    questions = published.filter((pl.col("revision") == 0) & ~pl.col("reason").is_in(HIDDEN)).height
    wanted = {
        reason: hidden_count(share, questions)
        for reason, share in zip(HIDDEN, (settings.gold_share, settings.repeat_share), strict=True)
    }
    said = {}
    for reason, count in wanted.items():
        found = published.filter(reason=reason).height
        if count:
            said[f"hidden_{reason}"] = f"{found} of {count} wanted{_SHORT[reason] if found < count else ''}"
    return said
