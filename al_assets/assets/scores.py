"""evaluation_scores: the new student and the incumbent, on items neither was trained on."""

from functools import partial

import dagster as dg
import polars as pl

from al_assets.agreement.population.student_threshold import OUT_OF_FOLD
from al_assets.assets.metadata import progress_logger
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.assets.student import fine_tuning_items, lesson_of
from al_assets.curation.split import FINE_TUNING, stable_sample
from al_assets.models.incumbent import Incumbent, open_incumbent
from al_assets.models.scoring import score_texts
from al_assets.models.students import load_student
from al_assets.models.students.crossfit import TooFewGroups, assign_folds, out_of_fold_scores
from al_assets.storage.root import text_hash

ROLES = ("evaluation", "stop_set", OUT_OF_FOLD)


@loop_asset("learning", {"model", "polars"})
def evaluation_scores(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    label_split: pl.DataFrame,
    sft_checkpoint: pl.DataFrame,
    pool: pl.DataFrame,
    incumbent_model: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
) -> TableOutput:
    """Both models' scores on the evaluation items and on a random stop set of the pool, which has no labels.

    Where the policy asks for folds, fine-tuning items as well, each scored by a student that was not trained on it:
    they calibrate the student, which evaluation items must not.
    """
    incumbent, policy, root = Incumbent.of(incumbent_model), loop.policy, loop.root
    items = _items(loop, label_split, pool)
    hashes, texts = [text_hash(text) for text in items["text"]], items["text"].to_list()
    fingerprint = sft_checkpoint["fingerprint"][0]
    with load_student(root.local_checkpoint(fingerprint), policy.student, policy) as student:
        p_student = score_texts(
            student, hashes, texts, root.scores(student.fingerprint), progress_logger(context, "scored by the student")
        )
    with open_incumbent(incumbent, policy, root) as labeler:
        p_incumbent = score_texts(
            labeler,
            hashes,
            texts,
            root.scores(incumbent.fingerprint),
            progress_logger(context, "scored by the incumbent"),
        )
    frame = items.select("item_id", "role").with_columns(
        pl.Series("p_student", p_student),
        pl.Series("p_incumbent", p_incumbent),
        pl.Series("incumbent_label", p_incumbent >= pseudo_labels["threshold"][0]),
    )
    frame = pl.concat([frame, _out_of_fold(context, loop, label_split)], how="diagonal")
    counts = dict(frame.group_by("role").len().iter_rows())
    return table_output(frame, {f"{role}_items": counts.get(role, 0) for role in ROLES})


def _out_of_fold(context: dg.AssetExecutionContext, loop: LoopResource, label_split: pl.DataFrame) -> pl.DataFrame:
    folds, items = loop.policy.calibration_folds, fine_tuning_items(label_split)
    scores: list[float] = []
    if folds:
        lesson, groups = lesson_of(loop, items), items["group_id"].to_list()
        watch, seed = partial(progress_logger, context), loop.policy.calibration.seed
        try:
            fold_of = assign_folds(groups, lesson.labels, folds, seed)
            found = out_of_fold_scores(loop.policy, loop.root, lesson.texts, lesson.labels, fold_of, watch=watch)
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
