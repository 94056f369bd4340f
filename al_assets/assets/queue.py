"""review_queue: what the experts are asked in this iteration, published once and never taken back."""

from contextlib import nullcontext
from enum import StrEnum

import dagster as dg
import polars as pl

from al_assets.assets.hidden import hidden_items
from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.assets.selection import (
    cold_start,
    draw_seed,
    labels_so_far,
    not_to_ask,
    reference_scores,
    shares_of,
)
from al_assets.assets.vectors import Sides, sides_of
from al_assets.config import SelectionSettings
from al_assets.curation.queue.explain import explain_queue, why_table
from al_assets.curation.queue.hidden import GOLD, HIDDEN, REPEAT, hidden_count, mix_hidden
from al_assets.curation.queue.review_queue import Evidence, build_queue
from al_assets.curation.strategies.registry import COMPARE_WITH_REFERENCE, make_strategy, needs_vectors

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
    embeddings: pl.LazyFrame,
    cluster_assignments: pl.DataFrame,
    boundary_pairs: pl.DataFrame,
) -> TableOutput:
    """Boundary, audit and control items for the experts, with their chance of being asked; hidden gold and repeats."""
    key, settings = context.partition_key, loop.policy.selection
    chosen = _chosen(loop, key, pool, pseudo_labels, embeddings, boundary_pairs)
    selected_by = {
        "labeler": pseudo_labels["labeler_fingerprint"][0],
        "embedder": loop.policy.embedding.fingerprint(),
        "selection": settings.fingerprint(),
    }
    explained = explain_queue(chosen, scores=pseudo_labels, clusters=cluster_assignments, pairs=boundary_pairs)
    questions = mix_hidden(explained, hidden_items(loop, key, chosen.height), draw_seed(loop, key))
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
            "why": table(why_table(published)),
            **_hidden_metadata(published, settings),
        },
    )


def _chosen(
    loop: LoopResource,
    key: str,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    pairs: pl.DataFrame,
) -> pl.DataFrame:
    """Return what the policy's strategy, the audit and the control choose now, published or not."""
    settings = loop.policy.selection
    exclude = not_to_ask(loop, key, pool)
    promising = cold_start(loop, key, pool, pseudo_labels, pairs, exclude).share
    asked = settings.strategy_shares.keys()
    with sides_of(pseudo_labels, embeddings) if needs_vectors(settings.strategy_shares) else nullcontext() as sides:
        evidence = Evidence(
            pairs=pairs,
            vectors=(sides.item_ids, sides.vectors) if isinstance(sides, Sides) else None,
            labels=labels_so_far(loop, key).select("item_id", "label"),
            reference=reference_scores(loop, pool, pseudo_labels) if asked & COMPARE_WITH_REFERENCE else None,
        )
        return build_queue(
            pool=pool,
            scores=pseudo_labels,
            evidence=evidence,
            strategy=make_strategy(settings.strategy_shares, settings.exploration, promising),
            shares=shares_of(loop),
            budget=settings.budget,
            audit_strata=settings.audit_strata,
            exclude=exclude,
            seed=draw_seed(loop, key),
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
