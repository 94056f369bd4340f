"""Dividing labelled items into evaluation and fine-tuning, never a pair or a near-duplicate between them."""

import hashlib

import polars as pl

EVALUATION, FINE_TUNING, PANEL = "evaluation", "fine-tuning", "panel"


def split_labels(votes: pl.DataFrame, *, evaluation_share: float, seed: int, panel_iteration: str) -> pl.DataFrame:
    """Adjudicate the votes and assign every labelled item to a split.

    An item's split depends on its group and the seed alone, so it never changes when votes or iterations are added.
    Audit items are always kept for evaluation: a model trained on them could not be judged by them. The evaluation
    items of ``panel_iteration`` form the frozen panel on which iterations are compared.

    :param votes: item_id, iteration, reason, group_id, label (positive, negative, undecided); a row per item and rater.
    :param evaluation_share: in (0, 1); the share of groups held out, audit items aside.
    :return: one row per item: item_id, iteration, reason, group_id, split, label (the majority of decisive votes, null
        if tied or all undecided), positive_votes, negative_votes, undecided_votes.
    """
    counts = [
        (pl.col("label") == answer).sum().cast(pl.Int64).alias(f"{answer}_votes")
        for answer in ("positive", "negative", "undecided")
    ]
    items = votes.group_by("item_id", "iteration", "reason", "group_id").agg(counts).sort("iteration", "item_id")
    audited = set(items.filter(pl.col("reason") == "audit")["group_id"])
    held_out = {
        group: group in audited or uniform_hash(group, seed) < evaluation_share for group in items["group_id"].unique()
    }
    evaluation = pl.Series([held_out[group] for group in items["group_id"]], dtype=pl.Boolean)
    majority = pl.col("positive_votes").cast(pl.Int64) - pl.col("negative_votes").cast(pl.Int64)
    return items.with_columns(
        pl.when(~evaluation)
        .then(pl.lit(FINE_TUNING))
        .when(pl.col("iteration") == panel_iteration)
        .then(pl.lit(PANEL))
        .otherwise(pl.lit(EVALUATION))
        .alias("split"),
        pl.when(majority != 0).then(majority > 0).alias("label"),
    ).select(
        "item_id", "iteration", "reason", "group_id", "split", "label",
        "positive_votes", "negative_votes", "undecided_votes",
    )  # fmt: skip


def uniform_hash(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the name and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def stable_sample(item_ids: list[str], size: int, seed: int) -> list[str]:
    """Return a uniform random sample that keeps its members when the pool grows: the smallest hashes win.

    :return: at most ``size`` ids, sorted by hash.
    """
    return sorted(item_ids, key=lambda each: uniform_hash(each, seed))[:size]
