"""What is learnt: label_split, the student's checkpoint, and its scores beside the incumbent's."""

from functools import partial

import dagster as dg
import polars as pl

from al_assets.agreement.core.labelled_items import OUT_OF_FOLD
from al_assets.assets.honest_scores import honest_scores, scored_items, student_scores
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.split import FINE_TUNING, adjudication_counts, split_counts, split_labels
from al_assets.models.incumbent import Incumbent, ask_llm0, recommended_of
from al_assets.models.students import Lesson, start_of, trained_checkpoint
from al_assets.models.students.crossfit import TooFewGroups, with_folds
from al_assets.partitions import FIRST_KEY, Job, previous_key
from al_assets.pictures import loss_curve
from al_assets.storage.root import RunRoot
from al_assets.tables import EVALUATION_SCORES, LABEL_SPLIT, SFT_CHECKPOINT

ROLES = ("evaluation", "stop_set", OUT_OF_FOLD)


@loop_asset(
    "learning",
    {"polars"},
    Declaration(
        LABEL_SPLIT,
        Job.LEARN,
        algorithm=4,
        depends_on=lambda policy: [policy.split.fingerprint(), policy.evaluation, _folds(policy)],
    ),
)
def label_split(context: dg.AssetExecutionContext, loop: LoopResource, expert_labels: pl.DataFrame) -> TableOutput:
    """Each labelled item's label, whether it teaches, and who judges it; partners and near-duplicates stay together.

    By cross-fitting every label teaches and measures: items are in folds, and a student of the other folds judges each.
    Where the labels so far cannot be put in folds, and where the policy says so, some groups are held out instead. The
    label is the majority of the votes, the positive share what a student learns; of items that teach what an
    adjudicator decided takes the place of both.
    """
    frame, how = divided(loop, context.partition_key, expert_labels)
    if how != loop.policy.evaluation:
        context.log.warning(how)
    return table_output(frame, {"evaluation": how, "splits": table(split_counts(frame)), **adjudication_counts(frame)})


def divided(loop: LoopResource, key: str, votes: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Return an iteration's label_split, and how it came about: crossfit, held_out, or why it is not what was asked."""
    policy, settings = loop.policy, loop.policy.split
    divide = partial(
        split_labels,
        votes,
        evaluation_share=settings.evaluation_share,
        seed=settings.seed,
        panel_iteration=FIRST_KEY,
        iteration=key,
        taught_only=_taught_only(loop.root, key),
    )
    how, crossfit = str(policy.evaluation), policy.evaluation == "crossfit"
    frame = divide(crossfit=crossfit)
    if policy.calibration_folds:
        try:
            return with_folds(frame, policy.calibration_folds, policy.calibration.seed), how
        except TooFewGroups as error:
            how = f"held_out, as the labels so far cannot be put in folds: {error}"
            frame = divide(crossfit=False)
    return frame.with_columns(fold=pl.lit(None, pl.Int64)), how


def _taught_only(root: RunRoot, key: str) -> list[str]:
    before = previous_key(key)
    if before is None:
        return []
    split = root.read_table("label_split", before)
    return split.filter(split=FINE_TUNING)["group_id"].unique().to_list()


def _folds(policy: Policy) -> str:
    folds = policy.calibration_folds
    return f"{folds} folds, seed {policy.calibration.seed}" if folds else ""


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
    return label_split.filter("teaches").sort("item_id")


def lesson_of(loop: LoopResource, items: pl.DataFrame) -> Lesson:
    """Return labelled items (item_id, positive_share) with the texts that the experts were shown."""
    with loop.ledger() as ledger:
        texts = dict(ledger.queue().select("item_id", "text").iter_rows())
    ids, shares = items["item_id"], items["positive_share"]
    return Lesson(tuple(ids), tuple(texts[item] for item in ids), tuple(shares))


@loop_asset(
    "learning",
    {"model", "polars"},
    Declaration(
        EVALUATION_SCORES,
        Job.LEARN,
        algorithm=4,
        depends_on=lambda policy: [str(policy.stopping.stop_set_size)],
    ),
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
    """The models' scores on the evaluation items and on a random stop set of the pool.

    No item is scored by a student that learnt from it or its group: those in folds are scored by a student that learnt
    from the other folds, on the scale of the student itself; likewise of the incumbent and the model recommended so
    far, where these are students of earlier iterations.
    """
    incumbent, root = Incumbent.of(incumbent_model), loop.root
    items = scored_items(loop, label_split, pool)
    watch = partial(progress_logger, context)
    start = start_of(root, head_start, ask_llm0(loop.policy, root))
    p_student = student_scores(loop, label_split, sft_checkpoint["fingerprint"][0], start, items, watch)
    compared = items.filter(pl.col("role") != OUT_OF_FOLD)
    p_incumbent = honest_scores(loop, incumbent, compared, watch("scored by the incumbent"))
    p_recommended = pl.Series([None] * compared.height, dtype=pl.Float64)
    _, recommended = recommended_of(root, context.partition_key)
    if recommended.fingerprint != incumbent.fingerprint:
        p_recommended = honest_scores(loop, recommended, compared, watch("scored by the model recommended so far"))
    others = compared.select("item_id", "role").with_columns(
        p_incumbent=p_incumbent,
        p_recommended=p_recommended,
        incumbent_label=p_incumbent >= pseudo_labels["threshold"][0],
    )
    frame = items.select("item_id", "role", p_student=p_student).join(
        others, on=["item_id", "role"], how="left", maintain_order="left"
    )
    counts = dict(frame.group_by("role").len().iter_rows())
    return table_output(frame, {f"{role}_items": counts.get(role, 0) for role in ROLES})
