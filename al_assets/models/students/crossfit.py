"""Out-of-fold scores: what the student's recipe says of each training text when it has not seen it.

K students are trained, each on all folds but one, and score the fold they did not see. Scores are kept by the fold
student's fingerprint as any labeler's are, so a stopped run repeats at most one fold; its weights are deleted once it
has scored.

A fold student learnt from fewer labels, so its scores lie elsewhere than the student's. They are put on the student's
scale by the quantiles of a sample of the pool that both score. On the demo's texts (pool of 4,000, 15 % positive,
linear student on MiniLM, half of the labels random, 60 seeds) kappa on the random items lay below that of the student
on the rest of the pool, after 120, 240, 450 and 900 labels, by .036 .025 .029 .016 with plain scores, by .017 .010 .016
.010 on the student's scale. By .021 .016 .014 .011 the fold students themselves were worse, as they had learnt less.
"""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from itertools import compress
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.config import Policy
from al_assets.curation.split import uniform_hash
from al_assets.models.scoring import score_texts
from al_assets.models.students import Start, load_student, train_student
from al_assets.models.students.record import RECORD, Progress, StudentError, student_fingerprint
from al_assets.storage.atomic import new_directory
from al_assets.storage.root import RunRoot, text_hash

Watch = Callable[[str], Progress]


class TooFewGroups(StudentError):
    """There are too few labelled groups for cross-fitting; the message says how many and what to do."""


class Scale(NamedTuple):
    """Texts drawn by lot from the pool, and the scores of the student that learnt from every label."""

    texts: Sequence[str]
    scores: NDArray[np.float64]


def with_folds(split: pl.DataFrame, folds: int, seed: int) -> pl.DataFrame:
    """Return the rows of a ``label_split`` with the column fold, null for groups of which no item teaches.

    :raises TooFewGroups: see ``assign_folds``.
    """
    lesson = split.filter("teaches").sort("item_id")
    fold_of = assign_folds(lesson["group_id"].to_list(), lesson["positive_share"].to_list(), folds, seed)
    by_group = lesson.select("group_id", fold=pl.Series(fold_of)).unique("group_id")
    return split.join(by_group, on="group_id", how="left", maintain_order="left")


def assign_folds(groups: Sequence[str], labels: Sequence[float], folds: int, seed: int) -> NDArray[np.int64]:
    """Return each item's fold, 0 to folds - 1: groups stay whole, and folds are alike in size and positive share.

    Groups are dealt out like cards, those that hold labels of one kind side by side, else in the order of their share
    of positives, equal shares in the order of their hash, so the given order changes nothing.

    :param groups: shape (items,), items that must not be parted: pair partners, near-duplicates.
    :param labels: shape (items,), shares of positive votes.
    :raises TooFewGroups: fewer than ``folds`` groups, or labels that lean one way found in one group only, so that some
        student would learn from one kind alone.
    """
    names, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    shares = np.asarray(labels, dtype=np.float64)

    def summed(values: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(members, weights=values, minlength=len(names)), dtype=np.float64)

    share = summed(shares) / np.maximum(summed(np.ones(len(shares))), 1)
    positive, negative = summed(shares > 0.5) > 0, summed(shares < 0.5) > 0
    # Ties alone, negative alone, both, positive alone: neighbours fall into different folds.
    kind = np.where(positive, 3 - negative.astype(np.int64), negative)
    if folds < 2 or len(names) < folds or min(positive.sum(), negative.sum()) < 2:
        raise TooFewGroups(
            f"calibration.folds: {folds} folds of {len(names)} groups, {positive.sum()} of them with positive and "
            f"{negative.sum()} with negative labels; it takes 2 or more folds, as many groups, and both labels in 2 "
            "groups each. Have more items labelled, or set calibration.folds to 0"
        )
    order = sorted(range(len(names)), key=lambda each: (kind[each], share[each], uniform_hash(str(names[each]), seed)))
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[members]


def out_of_fold_scores(
    policy: Policy,
    root: RunRoot,
    texts: Sequence[str],
    labels: Sequence[float],
    fold_of: NDArray[np.int64],
    *,
    scale: Scale | None = None,
    start: Start | None = None,
    watch: Watch | None = None,
) -> NDArray[np.float64]:
    """Return p_positive of each text from a student trained on the labels of the other folds, shape (texts,), in order.

    Cost: a training for each of K folds, on (K - 1) / K of the texts, and a scoring of the scale's texts.

    :param labels: shares of positive votes; NaN where nobody shall learn from the text.
    :param fold_of: shape (texts,), from 0; see ``assign_folds``.
    :param scale: brings the scores on the scale of the student itself; None leaves them as they are.
    :param start: what each of them descends from.
    :param watch: given what is being done, such as ``fold 2 of 5, training step``, returns a progress callback.
    :raises StudentError: a training failed.
    """
    folds, shares = int(fold_of.max()) + 1, np.asarray(labels, dtype=np.float64)
    scores = np.full(len(texts), np.nan)
    sample = list(scale.texts) if scale else []
    for fold in range(folds):
        judged = fold_of == fold
        learnt = ~judged & ~np.isnan(shares)
        taught = list(compress(texts, learnt)), list(compress(labels, learnt))
        asked = [*compress(texts, judged), *sample]
        found = _scores_of_fold(policy, root, taught, asked, start, partial(_told, watch, fold, folds))
        own, of_sample = found[: int(judged.sum())], found[int(judged.sum()) :]
        scores[judged] = rescaled(own, of_sample, scale.scores) if scale else own
    return scores


def rescaled(
    scores: NDArray[np.float64], sample: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return scores as the ones that as much of a sample lies below on another scale, in between linearly.

    :param sample: shape (any,), the sample on the scale of the scores; ``wanted`` the same on the other.
    """
    here, there = (np.concatenate([[0.0], np.sort(each), [1.0]]) for each in (sample, wanted))
    return np.asarray(np.interp(scores, here, there), dtype=np.float64)


def _scores_of_fold(
    policy: Policy,
    root: RunRoot,
    taught: tuple[list[str], list[float]],
    asked: list[str],
    start: Start | None,
    watch: Watch,
) -> NDArray[np.float64]:
    fingerprint = student_fingerprint(policy.student, *taught, start.fingerprint if start else None)
    hashes, store = [text_hash(text) for text in asked], root.scores(fingerprint)
    directory = root.local_path(f"folds/{fingerprint}")
    if store.known(hashes) >= set(hashes):
        watch("scored before")(len(asked), len(asked))
        scores = np.asarray(store.get(hashes), dtype=np.float64)
    else:
        if not (directory / RECORD).exists():
            with new_directory(directory) as unfinished:
                step = watch("training step")
                train_student(policy.student, policy, *taught, unfinished, step, start=start, fingerprint=fingerprint)
        with load_student(directory, policy.student, policy, start.ask if start else None) as student:
            scores = score_texts(student, hashes, asked, store, watch("scored"))
    # Only the scores are wanted; K copies of a language model would fill the disk.
    shutil.rmtree(directory, ignore_errors=True)
    return scores


def _told(watch: Watch | None, fold: int, folds: int, what: str) -> Progress:
    return watch(f"fold {fold + 1} of {folds}, {what}") if watch else lambda done, total: None
