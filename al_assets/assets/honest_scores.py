"""Scores by models that had learnt nothing from what they score, nor from anything in its group."""

from collections.abc import Callable

import numpy as np
import polars as pl

from al_assets.agreement.core.labelled_items import OUT_OF_FOLD
from al_assets.assets.pool import representatives
from al_assets.assets.resource import LoopResource
from al_assets.curation.split import FINE_TUNING, stable_sample
from al_assets.models.incumbent import Incumbent, open_incumbent, open_student
from al_assets.models.scoring import score_texts
from al_assets.models.students import Start
from al_assets.models.students.crossfit import Scale, out_of_fold_scores
from al_assets.models.students.record import Progress
from al_assets.storage.root import text_hash


def scored_items(loop: LoopResource, label_split: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
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


def student_scores(
    loop: LoopResource,
    label_split: pl.DataFrame,
    fingerprint: str,
    start: Start | None,
    items: pl.DataFrame,
    watch: Callable[[str], Progress],
) -> pl.Series:
    """Return the new student's score of each item; of those in folds that of a student of the other folds.

    :param start: the head start that all of them descend from.
    :param items: of ``scored_items``.
    """
    policy, root = loop.policy, loop.root
    in_fold = pl.col("fold").is_not_null()
    own = items.filter(~in_fold)
    with open_student(fingerprint, policy, root) as student:
        hashes, texts = [text_hash(text) for text in own["text"]], own["text"].to_list()
        scores = score_texts(student, hashes, texts, root.scores(student.fingerprint), watch("scored by the student"))
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


def honest_scores(loop: LoopResource, model: Incumbent, items: pl.DataFrame, progress: Progress) -> pl.Series:
    """Return the score of each item by an earlier model.

    Of what a student's own iteration evaluated it is the score that was kept then: it may have learnt from that.

    :param items: of ``scored_items``.
    """
    root = loop.root
    with open_incumbent(model, loop.policy, root) as labeler:
        hashes, texts = [text_hash(text) for text in items["text"]], items["text"].to_list()
        own = pl.Series(score_texts(labeler, hashes, texts, root.scores(model.fingerprint), progress))
    if model.promoted_from is None:
        return own
    then = root.read_table("evaluation_scores", model.promoted_from).filter(role="evaluation")
    known = items.join(then, on=["item_id", "role"], how="left", maintain_order="left")
    return known.select(pl.coalesce("p_student", pl.lit(own)))["p_student"]
