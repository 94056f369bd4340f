"""Which labelled items teach the student and which measure it: all do both, or a pair goes one way or the other."""

import hashlib
from collections.abc import Collection

import polars as pl

EVALUATION, FINE_TUNING, PANEL = "evaluation", "fine-tuning", "panel"
CHECK = "check"
ALWAYS_HELD_OUT = ("audit", CHECK)
GUIDELINE_GAP = "guideline gap"
"""Adjudicated: the policy as written does not tell what the item is, so no model shall learn it."""
_POSITIVE, _NEGATIVE = pl.col("positive_votes"), pl.col("negative_votes")
MAJORITY = pl.when(_POSITIVE != _NEGATIVE).then(_POSITIVE > _NEGATIVE)
"""What most decisive votes on an item say: true for positive, null if tied or all undecided."""
_DECIDED = pl.when(pl.col("adjudicated") != GUIDELINE_GAP).then(pl.col("adjudicated") == "positive")
_SHARE = pl.when(_POSITIVE + _NEGATIVE > 0).then(_POSITIVE / (_POSITIVE + _NEGATIVE))


def split_labels(
    votes: pl.DataFrame,
    *,
    evaluation_share: float,
    seed: int,
    panel_iteration: str,
    crossfit: bool = False,
    iteration: str | None = None,
    taught_only: Collection[str] = (),
) -> pl.DataFrame:
    """Give every labelled item its label, assign it to a split, and say whether a student learns from it.

    The label is the majority of the votes, and the positive share, which students learn, says how many agree: a tie is
    a half. Of items that teach, what an adjudicator decided takes the place of both, and a guideline gap takes the item
    out. Figures rest on the votes themselves: nobody saw the others' there, so that a model is judged by the same blind
    votes as the experts.

    With ``crossfit`` every item teaches and is an evaluation item: students of other folds judge it. Else some groups
    are held out, and an item's split depends on its group and the seed alone, so it never changes when votes or
    iterations are added; audit and check items are always held out. The evaluation items of ``panel_iteration`` form
    the frozen panel on which iterations are compared; check items are not of it, as they were chosen where that
    iteration's own student differs.

    :param votes: item_id, iteration, reason, group_id, label (positive, negative, undecided) and, if anything was
        adjudicated, adjudicated (positive, negative, guideline gap or null); a row per item and rater.
    :param evaluation_share: in (0, 1); the share of groups held out, audit and check items aside.
    :param iteration: the present one, whose check items were drawn by what its student says: it never learns from them.
    :param taught_only: groups of fine-tuning items that an earlier student learnt from and no student of another fold
        judged; with ``crossfit`` they stay fine-tuning items.
    :return: one row per item: item_id, iteration, reason, group_id, split, teaches, label (null if the votes are tied
        or all undecided, and for a guideline gap that would teach), positive_share (of the decisive votes, 0 to 1, null
        without one; where the item may teach 0 or 1 if adjudicated, null for a guideline gap), positive_votes,
        negative_votes, undecided_votes and adjudicated.
    """
    if "adjudicated" not in votes.columns:
        votes = votes.with_columns(pl.lit(None, dtype=pl.String).alias("adjudicated"))
    counts = [
        (pl.col("label") == answer).sum().cast(pl.Int64).alias(f"{answer}_votes")
        for answer in ("positive", "negative", "undecided")
    ]
    items = votes.group_by("item_id", "iteration", "reason", "group_id").agg(*counts, pl.col("adjudicated").first())
    items = items.sort("iteration", "item_id")
    groups = items["group_id"]
    if crossfit:
        evaluation = ~groups.is_in(list(taught_only))
        may_teach = ~((items["reason"] == CHECK) & (items["iteration"] == (iteration or "")))
    else:
        audited = set(items.filter(pl.col("reason").is_in(ALWAYS_HELD_OUT))["group_id"])
        held_out = {
            group: group in audited or uniform_hash(group, seed) < evaluation_share for group in groups.unique()
        }
        evaluation = pl.Series([held_out[group] for group in groups], dtype=pl.Boolean)
        may_teach = ~evaluation
    decided = pl.lit(may_teach) & pl.col("adjudicated").is_not_null()
    return items.with_columns(
        pl.when(~evaluation)
        .then(pl.lit(FINE_TUNING))
        .when((pl.col("iteration") == panel_iteration) & (pl.col("reason") != CHECK))
        .then(pl.lit(PANEL))
        .otherwise(pl.lit(EVALUATION))
        .alias("split"),
        pl.when(decided).then(_DECIDED).otherwise(MAJORITY).alias("label"),
        pl.when(decided).then(_DECIDED.cast(pl.Float64)).otherwise(_SHARE).alias("positive_share"),
    ).select(
        "item_id", "iteration", "reason", "group_id", "split",
        (pl.lit(may_teach) & pl.col("positive_share").is_not_null()).alias("teaches"),
        "label", "positive_share", "positive_votes", "negative_votes", "undecided_votes", "adjudicated",
    )  # fmt: skip


def adjudication_counts(split: pl.DataFrame) -> dict[str, int]:
    """Return what adjudication changed in what the student learns.

    :param split: of ``split_labels``.
    :return: adjudicated (items that would teach, with a decision), overturned (of them those decided against the
        majority), guideline_gaps (of them those taken out), adjudicated_in_evaluation (decisions that change no label).
    """
    decided = split.filter(pl.col("adjudicated").is_not_null())
    gap = (pl.col("adjudicated") == GUIDELINE_GAP) & pl.col("positive_share").is_null()
    taught = decided.filter(pl.col("teaches") | gap)
    return {
        "adjudicated": taught.height,
        "overturned": taught.filter(_DECIDED != MAJORITY).height,
        "guideline_gaps": taught.filter(gap).height,
        "adjudicated_in_evaluation": decided.height - taught.height,
    }


def split_counts(split: pl.DataFrame) -> pl.DataFrame:
    """Return of each split the items, those that teach, the positive share of the labels, and how many have none."""
    counts = split.group_by("split").agg(
        pl.len().alias("items"),
        pl.col("teaches").sum(),
        pl.col("label").mean().alias("positive share"),
        pl.col("label").is_null().sum().alias("without a label"),
    )
    return counts.sort("split")


def uniform_hash(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def stable_sample(item_ids: list[str], size: int, seed: int) -> list[str]:
    """Return a uniform random sample that keeps its members when the pool grows: the smallest hashes win.

    :return: at most ``size`` ids, sorted by hash.
    """
    return sorted(item_ids, key=lambda each: uniform_hash(each, seed))[:size]
