"""What the experts are asked in an iteration, published once and never taken back.

review_queue is asked before training, check_queue after it and before the report, where the policy wants that.
"""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import dagster as dg
import polars as pl

from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.student_threshold import choose_threshold
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.assets.round_inputs import draw_seed, history_of, not_to_ask, reference_scores, round_settings, sides_of
from al_assets.config import SelectionSettings
from al_assets.config.review import ReviewSettings
from al_assets.curation import round as curation
from al_assets.curation.queue.check import draw_check
from al_assets.curation.queue.explain import why_table
from al_assets.curation.queue.hidden import GOLD, HIDDEN, REPEAT, draw_gold, draw_repeats, hidden_count, mix_hidden
from al_assets.curation.queue.review_queue import askable
from al_assets.curation.split import CHECK
from al_assets.curation.strategies.registry import needs_reference, needs_vectors
from al_assets.partitions import Job, next_key
from al_assets.report.iteration_tables import calibration_rules
from al_assets.review.hidden_items import load_gold
from al_assets.storage.pool_frame import design_so_far
from al_assets.tables import CHECK_QUEUE, REVIEW_QUEUE

_SCORES = ("p_student", "p_incumbent", "p_recommended")
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
    reference = reference_scores(loop, key, pool, pseudo_labels) if needs_reference(of_round.strategy) else None
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


@loop_asset(
    "experts",
    {"sqlalchemy"},
    Declaration(
        CHECK_QUEUE,
        Job.LEARN,
        depends_on=lambda policy: [str(policy.stopping.check_items)],
        wanted=lambda policy: policy.stopping.check_items > 0,
    ),
)
def check_queue(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    pool: pl.DataFrame,
    incumbent_model: pl.DataFrame,
    expert_labels: pl.DataFrame,
    label_split: pl.DataFrame,
    sft_checkpoint: pl.DataFrame,
    evaluation_scores: pl.DataFrame,
) -> TableOutput:
    """Items asked after training where the student and the model recommended so far differ, to see which is better.

    They join the iteration's published queue, once: made again it holds those published then, if any were, and an
    iteration that was reported without gets none afterwards.
    """
    key = context.partition_key
    with loop.ledger() as ledger:
        published = ledger.queue(key).filter(reason=CHECK)
        overtaken = max(ledger.iterations()) > key
    said = "as it was made before"
    if published.is_empty() and (overtaken or loop.root.has_table("kappa_report", key)):
        said = "none: the iteration was reported without"
    elif published.is_empty() and not loop.root.has_table(CHECK_QUEUE.name, key):
        stop_set, items_askable = _stop_set(loop, key, pool, evaluation_scores)
        stop_set, known, other = _called(loop, key, stop_set, expert_labels, label_split, evaluation_scores)
        drawn = draw_check(
            stop_set,
            known,
            wanted=loop.policy.stopping.check_items,
            askable=items_askable,
            other=other,
            seed=draw_seed(loop.policy, key),
        )
        said = f"drawn now, of {stop_set.height} items of the stop set that were not asked before"
        if not drawn.is_empty():
            selected_by = {
                "labeler": incumbent_model["fingerprint"][0],
                "student": sft_checkpoint["fingerprint"][0],
            }
            with loop.ledger() as ledger:
                published = ledger.publish(key, _questions(drawn), selected_by, append=True).filter(reason=CHECK)
    frame = CHECK_QUEUE.check(published.select(CHECK_QUEUE.schema.names()))
    strata = frame.group_by("stratum").agg(
        pl.len().alias("items"),
        pl.col("stratum_size").first().alias("items of the pool"),
        pl.col("inclusion_probability").first().alias("chance"),
    )
    return table_output(frame, {"items": frame.height, "draw": said, "strata": table(strata.sort("stratum"))})


def _stop_set(loop: LoopResource, key: str, pool: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the scored items of the stop set that may be asked, and how many of the pool may be."""
    left = askable(pool, not_to_ask(loop, next_key(key), pool))
    scored = scores.filter(role="stop_set").select("item_id", *_SCORES, "incumbent_label")
    return left.select("item_id", "text").join(scored, on="item_id"), left.height


def _called(
    loop: LoopResource,
    key: str,
    stop_set: pl.DataFrame,
    votes: pl.DataFrame,
    split: pl.DataFrame,
    scores: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """Return the stop set with what the models call each item, as the report would, and the answers so far.

    :return: the stop set with the columns student, other and incumbent; student, other and positive_share of the random
        items; which the other model is: the one recommended so far, where that is not the incumbent.
    """
    items = labelled_items(votes, split, scores)
    design = design_so_far(loop.root, key)
    expected, rules = loop.policy.policy.expected_prevalence, calibration_rules(loop.policy)
    chosen = choose_threshold(items, scores, design, expected, rules=rules)
    known = items.where(items.by_lot & (items.decisive > 0))
    other = "recommended" if "recommended" in chosen.cuts else "incumbent"
    answers = {
        "student": chosen.labels(known) == 1,
        "other": chosen.labels(known, other) == 1,
        "positive_share": known.positive_share,
    }
    called = chosen.matched(stop_set).with_columns(
        student=pl.col("p_student") >= chosen.threshold,
        other=pl.col(f"p_{other}") >= chosen.cuts[other][0],
        incumbent="incumbent_label",
    )
    return called, pl.DataFrame(answers), other


def _questions(drawn: pl.DataFrame) -> pl.DataFrame:
    """Return the items as rows of a queue."""
    rows = drawn.with_columns(reason=pl.lit(CHECK), group_id=pl.col("item_id"))
    return pl.concat([REVIEW_QUEUE.empty().drop("revision"), rows], how="diagonal")


def share_needed(review: ReviewSettings) -> float:
    """Return which share of the items has to be answered before a round may be learnt from or reported."""
    return 1.0 if review.deadline_hours is None else review.deadline_coverage


def require_check_votes(loop: LoopResource, key: str, votes: pl.DataFrame) -> None:
    """Refuse to report an iteration whose check items are not answered in the votes that the report would rest on.

    An iteration that has a report already may be reported again as it is.

    :param votes: expert_labels of the iteration.
    :raises dagster.Failure: check items are asked for and were not drawn, or too few are answered in ``votes``.
    """
    wanted, review = loop.policy.stopping.check_items, loop.policy.review
    if not wanted or loop.root.has_table("kappa_report", key):
        return
    if not loop.root.has_table(CHECK_QUEUE.name, key):
        raise dg.Failure(
            f"kappa_report of {key}: stopping.check_items is {wanted}, and no check items were drawn yet; "
            f"run the job 'learn' for {key}, have the items answered, then run 'report'",
            allow_retries=False,
        )
    asked = loop.root.read_table(CHECK_QUEUE.name, key)["item_id"]
    answers = votes.filter(pl.col("item_id").is_in(asked.implode())).group_by("item_id").agg(pl.n_unique("rater"))
    complete = answers.filter(pl.col("rater") >= review.votes_per_item).height
    if complete < share_needed(review) * len(asked):
        raise dg.Failure(
            f"kappa_report of {key}: {complete} of {len(asked)} check items have {review.votes_per_item} votes in "
            "expert_labels; wait for the raters, then run the job 'report', which reads their votes first",
            allow_retries=False,
        )
