"""review_queue: what the experts are asked in this iteration, published once and never taken back."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.assets.round_inputs import draw_seed, history_of, reference_scores, round_settings, sides_of
from al_assets.config import SelectionSettings
from al_assets.curation import round as curation
from al_assets.curation.queue.explain import why_table
from al_assets.curation.queue.hidden import GOLD, HIDDEN, REPEAT, draw_gold, draw_repeats, hidden_count, mix_hidden
from al_assets.curation.split import CHECK
from al_assets.curation.strategies.registry import needs_reference, needs_vectors
from al_assets.partitions import Job
from al_assets.review.hidden_items import load_gold
from al_assets.tables import REVIEW_QUEUE

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


@loop_asset(
    "experts",
    {"sqlalchemy"},
    Declaration(REVIEW_QUEUE, Job.CURATE, algorithm=3, depends_on=lambda policy: [policy.selection.fingerprint()]),
)
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
    key, settings, of_round = context.partition_key, loop.policy.selection, round_settings(loop.policy)
    history, seed = history_of(loop, key, pool), draw_seed(loop.policy, key)
    reference = reference_scores(loop, pool, pseudo_labels) if needs_reference(of_round.strategy) else None
    with sides_of(pseudo_labels, embeddings) if needs_vectors(of_round.strategy) else nullcontext() as sides:
        chosen = curation.review_queue(
            pool,
            pseudo_labels,
            cluster_assignments,
            boundary_pairs,
            history,
            of_round,
            seed,
            sides=sides,
            reference=reference,
        )
    selected_by = {
        "labeler": pseudo_labels["labeler_fingerprint"][0],
        "embedder": loop.policy.embedding.fingerprint(),
        "selection": settings.fingerprint(),
    }
    questions = mix_hidden(chosen, hidden_items(loop, key, chosen.height), seed)
    with loop.ledger() as ledger:
        published = ledger.publish(key, questions, selected_by, append=config.mode is RerunMode.RESELECT)
    published = published.filter(pl.col("reason") != CHECK)
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


def hidden_items(loop: LoopResource, key: str, questions: int, now: datetime | None = None) -> pl.DataFrame:
    """Return the hidden items of an iteration's queue; none once it is published, whose hidden items stay.

    :param questions: items the queue asks a label for; the shares are of them, so nothing is hidden in an empty queue.
    :param now: repeats are drawn from answers that are old enough at this moment; None is the present.
    """
    policy, settings = loop.policy, loop.policy.selection
    with loop.ledger() as ledger:
        iterations = ledger.iterations()
        published = key in iterations
        earlier = [each for each in iterations if each < key]
        queue = ledger.queue().filter(pl.col("iteration") < key)
        votes, raters = ledger.votes(earlier), ledger.raters
    seed = draw_seed(policy, key)
    gold = draw_gold(
        load_gold(policy),
        wanted=0 if published else hidden_count(settings.gold_share, questions),
        asked=queue,
        seed=seed,
    )
    repeats = draw_repeats(
        votes,
        queue,
        wanted=0 if published else hidden_count(settings.repeat_share, questions),
        raters=raters,
        version=policy.policy.version,
        before=(now or datetime.now(UTC)) - timedelta(days=settings.repeat_after_days),
        seed=seed,
    )
    return pl.concat([gold, repeats])


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
