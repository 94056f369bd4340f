"""What is learnt: label_split, the student's checkpoint, and its scores beside the incumbent's."""

from functools import partial

import dagster as dg
import polars as pl

from al_assets.agreement.population.student_threshold import OUT_OF_FOLD
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.split import FINE_TUNING, adjudication_counts, split_counts, split_labels, stable_sample
from al_assets.models.incumbent import Incumbent, ask_llm0, open_incumbent, open_student, recommended_of
from al_assets.models.scoring import score_texts
from al_assets.models.students import Lesson, start_of, trained_checkpoint
from al_assets.models.students.crossfit import TooFewGroups, assign_folds, out_of_fold_scores
from al_assets.partitions import FIRST_KEY, Job
from al_assets.pictures import loss_curve
from al_assets.storage.root import text_hash
from al_assets.tables import EVALUATION_SCORES, LABEL_SPLIT, SFT_CHECKPOINT

ROLES = ("evaluation", "stop_set", OUT_OF_FOLD)


@loop_asset(
    "learning",
    {"polars"},
    Declaration(LABEL_SPLIT, Job.LEARN, algorithm=3, depends_on=lambda policy: [policy.split.fingerprint()]),
)
def label_split(loop: LoopResource, expert_labels: pl.DataFrame) -> TableOutput:
    """Each labelled item's label and its split; pair partners and near-duplicates are never divided.

    The label is the majority of the votes, the positive share what a student learns; in fine-tuning what an adjudicator
    decided takes the place of both.
    """
    settings = loop.policy.split
    frame = split_labels(
        expert_labels, evaluation_share=settings.evaluation_share, seed=settings.seed, panel_iteration=FIRST_KEY
    )
    return table_output(frame, {"splits": table(split_counts(frame)), **adjudication_counts(frame)})


@loop_asset(
    "learning",
    {"huggingface", "model"},
    Declaration(SFT_CHECKPOINT, Job.LEARN, depends_on=lambda policy: [policy.student.fingerprint()]),
)
def sft_checkpoint(
    context: dg.AssetExecutionContext, loop: LoopResource, label_split: pl.DataFrame, head_start: pl.DataFrame
) -> TableOutput:
    """The student. The same labels, recipe and head start find the same checkpoint again instead of training it twice.

    Labels of one kind, or none, teach nothing: the student then is the head start's.
    """
    policy, root = loop.policy, loop.root
    lesson, start = lesson_of(loop, fine_tuning_items(label_split)), start_of(root, head_start, ask_llm0(policy, root))
    frame = trained_checkpoint(policy, root, lesson, progress_logger(context, "training step", parts=20), start)
    row = frame.row(0, named=True)
    shown = ("uri", "head_start", "note", "training_items", "positive_items", "seconds")
    metadata = {name: row[name] for name in shown if row[name] not in ("", None)}
    if len(row["losses"]) > 1:
        metadata["loss_curve"] = picture(loss_curve(row["steps"], row["losses"]))
    return table_output(frame, metadata, ignore=("seconds", "uri"))


def fine_tuning_items(label_split: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the items the student learns from, in the order of their ids."""
    return label_split.filter(pl.col("split") == FINE_TUNING).drop_nulls("positive_share").sort("item_id")


def lesson_of(loop: LoopResource, items: pl.DataFrame) -> Lesson:
    """Return labelled items (item_id, positive_share) with the texts that the experts were shown."""
    with loop.ledger() as ledger:
        texts = dict(ledger.queue().select("item_id", "text").iter_rows())
    ids, shares = items["item_id"], items["positive_share"]
    return Lesson(tuple(ids), tuple(texts[item] for item in ids), tuple(shares))


def _settings(policy: Policy) -> list[str]:
    folds = policy.calibration_folds
    return [
        str(policy.stopping.stop_set_size),
        *([f"{folds} folds, seed {policy.calibration.seed}"] if folds else []),
    ]


@loop_asset(
    "learning",
    {"model", "polars"},
    Declaration(EVALUATION_SCORES, Job.LEARN, algorithm=3, depends_on=_settings),
)
def evaluation_scores(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    label_split: pl.DataFrame,
    sft_checkpoint: pl.DataFrame,
    pool: pl.DataFrame,
    incumbent_model: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    head_start: pl.DataFrame,
) -> TableOutput:
    """Both models' scores on the evaluation items and on a random stop set of the pool, which has no labels.

    Where the policy asks for folds, fine-tuning items as well, each scored by a student that was not trained on it:
    they calibrate the student, which evaluation items must not.
    """
    incumbent, policy, root = Incumbent.of(incumbent_model), loop.policy, loop.root
    items = _items(loop, label_split, pool)
    hashes, texts = [text_hash(text) for text in items["text"]], items["text"].to_list()
    watch = partial(progress_logger, context)
    with open_student(sft_checkpoint["fingerprint"][0], policy, root) as student:
        store = root.scores(student.fingerprint)
        p_student = score_texts(student, hashes, texts, store, watch("scored by the student"))
    with open_incumbent(incumbent, policy, root) as labeler:
        store = root.scores(incumbent.fingerprint)
        p_incumbent = score_texts(labeler, hashes, texts, store, watch("scored by the incumbent"))
    p_recommended = [None] * items.height
    _, recommended = recommended_of(root, context.partition_key)
    if recommended.fingerprint != incumbent.fingerprint:
        with open_incumbent(recommended, policy, root) as labeler:
            store = root.scores(recommended.fingerprint)
            scores = score_texts(labeler, hashes, texts, store, watch("scored by the model recommended so far"))
            p_recommended = scores.tolist()
    frame = items.select("item_id", "role").with_columns(
        pl.Series("p_student", p_student),
        pl.Series("p_incumbent", p_incumbent),
        pl.Series("p_recommended", p_recommended, dtype=pl.Float64),
        pl.Series("incumbent_label", p_incumbent >= pseudo_labels["threshold"][0]),
    )
    frame = pl.concat([frame, _out_of_fold(context, loop, label_split, head_start)], how="diagonal")
    counts = dict(frame.group_by("role").len().iter_rows())
    return table_output(frame, {f"{role}_items": counts.get(role, 0) for role in ROLES})


def _out_of_fold(
    context: dg.AssetExecutionContext, loop: LoopResource, label_split: pl.DataFrame, head_start: pl.DataFrame
) -> pl.DataFrame:
    folds, items = loop.policy.calibration_folds, fine_tuning_items(label_split)
    scores: list[float] = []
    if folds:
        lesson, groups = lesson_of(loop, items), items["group_id"].to_list()
        watch, seed = partial(progress_logger, context), loop.policy.calibration.seed
        try:
            fold_of = assign_folds(groups, lesson.labels, folds, seed)
            start = start_of(loop.root, head_start, ask_llm0(loop.policy, loop.root))
            found = out_of_fold_scores(
                loop.policy, loop.root, lesson.texts, lesson.labels, fold_of, start=start, watch=watch
            )
            scores = found.tolist()
        except TooFewGroups as error:
            context.log.warning(f"no out-of-fold scores, the threshold matches the prevalence instead: {error}")
    return items.head(len(scores)).select(
        "item_id", role=pl.lit(OUT_OF_FOLD), p_student=pl.Series(scores, dtype=pl.Float64)
    )


def _items(loop: LoopResource, label_split: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    with loop.ledger() as ledger:
        asked = ledger.queue().unique("item_id", keep="first", maintain_order=True).select("item_id", "text")
    held_out = label_split.filter(pl.col("split") != FINE_TUNING).select("item_id").join(asked, on="item_id")
    settings = loop.policy.stopping
    eligible = representatives(pool).select("item_id", "text")
    sampled = stable_sample(eligible["item_id"].to_list(), settings.stop_set_size, settings.seed)
    stop_set = eligible.filter(pl.col("item_id").is_in(sampled))
    return pl.concat(
        [
            held_out.with_columns(role=pl.lit("evaluation")).sort("item_id"),
            stop_set.with_columns(role=pl.lit("stop_set")).sort("item_id"),
        ]
    )
