"""Dividing labelled items into evaluation and fine-tuning, never a pair or a near-duplicate between them."""

import hashlib

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


def split_labels(votes: pl.DataFrame, *, evaluation_share: float, seed: int, panel_iteration: str) -> pl.DataFrame:
    """Give every labelled item its label and assign it to a split.

    The label is the majority of the votes, and the positive share, which students learn, says how many agree: a tie is
    a half. In fine-tuning what an adjudicator decided takes the place of both, and a guideline gap takes the item out.
    Evaluation and panel keep the votes: nobody sees the others' there, so that a model is judged by the same blind
    votes as the experts.

    An item's split depends on its group and the seed alone, so it never changes when votes or iterations are added.
    Audit and check items are always kept for evaluation: a model trained on them could not be judged by them. The
    evaluation items of ``panel_iteration`` form the frozen panel on which iterations are compared; check items are not
    of it, as they were chosen where that iteration's own student differs.

    :param votes: item_id, iteration, reason, group_id, label (positive, negative, undecided) and, if anything was
        adjudicated, adjudicated (positive, negative, guideline gap or null); a row per item and rater.
    :param evaluation_share: in (0, 1); the share of groups held out, audit and check items aside.
    :return: one row per item: item_id, iteration, reason, group_id, split, label (null if the votes are tied or all
        undecided, and for a guideline gap in fine-tuning), positive_share (of the decisive votes, 0 to 1, null without
        one; in fine-tuning 0 or 1 where adjudicated, null for a guideline gap), positive_votes, negative_votes,
        undecided_votes and adjudicated.
    """
    if "adjudicated" not in votes.columns:
        votes = votes.with_columns(pl.lit(None, dtype=pl.String).alias("adjudicated"))
    counts = [
        (pl.col("label") == answer).sum().cast(pl.Int64).alias(f"{answer}_votes")
        for answer in ("positive", "negative", "undecided")
    ]
    items = votes.group_by("item_id", "iteration", "reason", "group_id").agg(*counts, pl.col("adjudicated").first())
    items = items.sort("iteration", "item_id")
    audited = set(items.filter(pl.col("reason").is_in(ALWAYS_HELD_OUT))["group_id"])
    held_out = {
        group: group in audited or uniform_hash(group, seed) < evaluation_share for group in items["group_id"].unique()
    }
    evaluation = pl.Series([held_out[group] for group in items["group_id"]], dtype=pl.Boolean)
    taught = pl.lit(~evaluation) & pl.col("adjudicated").is_not_null()
    return items.with_columns(
        pl.when(~evaluation)
        .then(pl.lit(FINE_TUNING))
        .when((pl.col("iteration") == panel_iteration) & (pl.col("reason") != CHECK))
        .then(pl.lit(PANEL))
        .otherwise(pl.lit(EVALUATION))
        .alias("split"),
        pl.when(taught).then(_DECIDED).otherwise(MAJORITY).alias("label"),
        pl.when(taught).then(_DECIDED.cast(pl.Float64)).otherwise(_SHARE).alias("positive_share"),
    ).select(
        "item_id", "iteration", "reason", "group_id", "split", "label", "positive_share",
        "positive_votes", "negative_votes", "undecided_votes", "adjudicated",
    )  # fmt: skip


def adjudication_counts(split: pl.DataFrame) -> dict[str, int]:
    """Return what adjudication changed in fine-tuning.

    :param split: of ``split_labels``.
    :return: adjudicated (fine-tuning items with a decision), overturned (of them those decided against the majority),
        guideline_gaps (of them those taken out), adjudicated_in_evaluation (decisions that change no label).
    """
    decided = split.filter(pl.col("adjudicated").is_not_null())
    taught = decided.filter(pl.col("split") == FINE_TUNING)
    return {
        "adjudicated": taught.height,
        "overturned": taught.filter(_DECIDED != MAJORITY).height,
        "guideline_gaps": taught.filter(pl.col("adjudicated") == GUIDELINE_GAP).height,
        "adjudicated_in_evaluation": decided.height - taught.height,
    }


def split_counts(split: pl.DataFrame) -> pl.DataFrame:
    """Return how many items each split holds, the positive share of their labels, and how many have no label."""
    counts = split.group_by("split").agg(
        pl.len().alias("items"),
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
