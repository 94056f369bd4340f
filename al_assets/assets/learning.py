"""What is learnt: label_split, the student's checkpoint, and its scores beside the incumbent's."""

from collections.abc import Callable
from functools import partial

import dagster as dg
import numpy as np
import polars as pl

from al_assets.agreement.core.labelled_items import OUT_OF_FOLD
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, progress_logger, table
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.split import FINE_TUNING, adjudication_counts, split_counts, split_labels, stable_sample
from al_assets.models.incumbent import Incumbent, KeptLLM0, kept_scores, open_incumbent, open_student, recommended_of
from al_assets.models.students import Lesson, Start, start_of, trained_checkpoint
from al_assets.models.students.crossfit import Scale, TooFewGroups, out_of_fold_scores, with_folds
from al_assets.models.students.record import Progress
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
    lesson, start = lesson_of(loop, fine_tuning_items(label_split)), start_of(root, head_start, KeptLLM0(policy, root))
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
    items = _scored_items(loop, label_split, pool)
    watch = partial(progress_logger, context)
    start = start_of(root, head_start, KeptLLM0(loop.policy, root))
    p_student = _student_scores(loop, label_split, sft_checkpoint["fingerprint"][0], start, items, watch)
    compared = items.filter(pl.col("role") != OUT_OF_FOLD)
    p_incumbent = _honest_scores(loop, incumbent, compared, watch("scored by the incumbent"))
    p_recommended = pl.Series([None] * compared.height, dtype=pl.Float64)
    _, recommended = recommended_of(root, context.partition_key)
    if recommended.fingerprint != incumbent.fingerprint:
        p_recommended = _honest_scores(loop, recommended, compared, watch("scored by the model recommended so far"))
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


def _scored_items(loop: LoopResource, label_split: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    """Return what an iteration's models score: item_id, text, fold (null if it is in none) and role.

    Items in a fold's groups that were asked and not answered yet are evaluation items as well: should the answer come
    later, this student, which learnt from their group, has to have been judged without it.
    """
    with loop.ledger() as ledger:
        asked = ledger.queue().unique("item_id", keep="first", maintain_order=True)
    texts = asked.select("item_id", "text")
    labelled = label_split.select("item_id", "group_id", "split", "teaches", "fold").join(texts, on="item_id")
    evaluation = labelled.filter(pl.col("split") != FINE_TUNING)
    folds = evaluation.drop_nulls("fold").select("group_id", "fold").unique("group_id")
    unanswered = asked.join(labelled, on="item_id", how="anti").join(folds, on="group_id")
    settings = loop.policy.stopping
    eligible = representatives(pool).select("item_id", "text")
    sampled = stable_sample(eligible["item_id"].to_list(), settings.stop_set_size, settings.seed)
    roles = {
        "evaluation": pl.concat([each.select("item_id", "text", "fold") for each in (evaluation, unanswered)]),
        "stop_set": eligible.filter(pl.col("item_id").is_in(sampled)),
        OUT_OF_FOLD: labelled.filter("teaches").drop_nulls("fold").select("item_id", "text", "fold"),
    }
    frames = [frame.with_columns(role=pl.lit(role)).sort("item_id") for role, frame in roles.items()]
    return pl.concat(frames, how="diagonal")


def _student_scores(
    loop: LoopResource,
    label_split: pl.DataFrame,
    fingerprint: str,
    start: Start | None,
    items: pl.DataFrame,
    watch: Callable[[str], Progress],
) -> pl.Series:
    """Return the new student's score of each item; of those in folds that of a student of the other folds.

    :param items: of ``_scored_items``.
    """
    policy, root = loop.policy, loop.root
    in_fold = pl.col("fold").is_not_null()
    own = items.filter(~in_fold)
    with open_student(fingerprint, policy, root) as student:
        store, progress = root.scores(student.fingerprint), watch("scored by the student")
        scores = kept_scores(student, own["text"].to_list(), store, progress)
    found = own.select("item_id", "role").with_columns(score=pl.Series(scores))
    judged = items.filter(in_fold).unique("item_id", keep="first", maintain_order=True)
    if not judged.is_empty():
        lesson = label_split.filter("teaches").select("item_id", "positive_share")
        shares = judged.join(lesson, on="item_id", how="left", maintain_order="left")["positive_share"]
        stop_set = (own["role"] == "stop_set").to_numpy()
        of_folds = out_of_fold_scores(
            policy,
            root,
            judged["text"].to_list(),
            shares.fill_null(float("nan")).to_list(),
            judged["fold"].to_numpy(),
            scale=Scale(own.filter(role="stop_set")["text"].to_list(), np.asarray(scores)[stop_set]),
            start=start,
            watch=watch,
        )
        scored = judged.select("item_id", score=pl.Series(of_folds))
        found = pl.concat([found, items.filter(in_fold).select("item_id", "role").join(scored, on="item_id")])
    return items.join(found, on=["item_id", "role"], how="left", maintain_order="left")["score"]


def _honest_scores(loop: LoopResource, model: Incumbent, items: pl.DataFrame, progress: Progress) -> pl.Series:
    """Return the score of each item by an earlier model.

    Of what a student's own iteration evaluated it is the score that was kept then: it may have learnt from that.

    :param items: of ``_scored_items``.
    """
    root = loop.root
    with open_incumbent(model, loop.policy, root) as labeler:
        own = pl.Series(kept_scores(labeler, items["text"].to_list(), root.scores(model.fingerprint), progress))
    if model.promoted_from is None:
        return own
    then = root.read_table("evaluation_scores", model.promoted_from).filter(role="evaluation")
    known = items.join(then, on=["item_id", "role"], how="left", maintain_order="left")
    return known.select(pl.coalesce("p_student", pl.lit(own)))["p_student"]
