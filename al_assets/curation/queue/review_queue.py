"""The review queue: audit and control drawn at random first, then the boundary share, as a strategy picks it."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.budget import Budget, divide_budget
from al_assets.curation.checks import CurationError, check_columns, check_item_ids
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.queue.strata import plan_strata
from al_assets.curation.strategies.base import Candidates, Strategy, check_scores
from al_assets.curation.strategies.boundary import BoundaryShare

_QUEUE = (
    "item_id", "text", "reason", "pair_id", "group_id", "stratum", "stratum_size", "inclusion_probability", "rank",
)  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """What strategies look at beside scores and labels; each part may be missing where no strategy asked needs it.

    :param pairs: ranked boundary pairs, as ``rank_pairs`` returned them.
    :param vectors: item_ids (items,) and their vectors of length one, row for row; at least the eligible items.
    :param labels: item_id, label (Boolean): what experts have said so far.
    :param reference: item_id, p_positive: scores of a reference model.
    """

    pairs: pl.DataFrame | None = None
    vectors: tuple[pl.Series, Vectors] | None = None
    labels: pl.DataFrame | None = None
    reference: pl.DataFrame | None = None


def build_queue(
    *,
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    sources: Sources,
    shares: tuple[float, float, float],
    budget: int,
    audit_strata: int,
    strategy: Strategy | None = None,
    exclude: Collection[str] = (),
    seed: int = 0,
) -> pl.DataFrame:
    """Return what experts are asked next: the columns of ``review_queue`` without revision, each item once.

    Eligible are the pool's items that are no near-duplicate, not excluded, and not the original of an excluded copy.
    The audit is drawn from all of them, stratified by score and pseudo-label; the control uniformly from the rest. Both
    record the chance of their stratum to be drawn by either, 1 - (1 - n_h / N_h) (1 - n_c / (N - n_a)), as both
    together are one stratified sample.
    The boundary share is what the strategy picks from the others; the chances it records hold given what audit and
    control took, so its picks weighted by one over them speak for its own short list, and not for the pool.

    The result has min(budget, eligible items) rows; with fewer eligible items than budget, all shares shrink alike.
    It does not depend on the order of the pool's rows.

    :param pool: item_id, text, duplicate_of (null if none).
    :param scores: item_id, p_positive in [0, 1], label (the pseudo-label), and disagreement where several labelers
        were asked; at least the eligible items.
    :param shares: boundary, audit, control; they add up to 1.
    :param audit_strata: quantile bins of the score in the audit.
    :param strategy: what fills the boundary share; by default boundary pairs.
    :param exclude: items already labelled or queued.
    :raises CurationError: the pool is empty, an eligible item has no score, or a setting is out of range.
    """
    items = _eligible(pool, scores, exclude)
    wanted = divide_budget(min(budget, items.height), shares)
    random = _random(items, wanted, audit_strata, seed)
    candidates = _candidates(items, random["item_id"], scores, sources)
    picks = (strategy or BoundaryShare()).pick(candidates, wanted.boundary, seed)
    # Members of a pair are one group, all others stand alone.
    boundary = picks.with_columns(pl.coalesce("pair_id", "item_id").alias("group_id"))
    texts = items.select("item_id", "text")
    queue = pl.concat([boundary, random], how="diagonal").join(texts, on="item_id", maintain_order="left")
    return queue.select(_QUEUE)


def askable(pool: pl.DataFrame, exclude: Collection[str] = ()) -> pl.DataFrame:
    """Return the pool's items that may be queued: no near-duplicate, not excluded, no original of an excluded copy.

    :param pool: item_id, duplicate_of (null if none) and whatever else it has.
    """
    excluded = list(exclude)
    # Whoever labelled a copy has labelled its original.
    originals = pool.filter(pl.col("item_id").is_in(excluded))["duplicate_of"].drop_nulls().to_list()
    return pool.filter(pl.col("duplicate_of").is_null() & ~pl.col("item_id").is_in(excluded + originals))


def _eligible(pool: pl.DataFrame, scores: pl.DataFrame, exclude: Collection[str]) -> pl.DataFrame:
    check_columns(pool, "pool", ("item_id", "text", "duplicate_of"))
    check_columns(scores, "scores", ("item_id", "p_positive", "label"))
    if not pool.height:
        raise CurationError("pool: no items; expected at least one; look at the quarantine for rows that were left out")
    for ids in (pool["item_id"], scores["item_id"]):
        check_item_ids(ids)
    items = (
        askable(pool, exclude)
        .select("item_id", "text")
        .join(scores.select("item_id", "p_positive", "label"), on="item_id", how="left")
        .sort("item_id")
    )
    unscored = items.filter(pl.col("p_positive").is_null() | pl.col("label").is_null()).height
    if unscored:
        raise CurationError(f"scores: {unscored} of {items.height} eligible items have none; label the whole pool")
    check_scores(items["p_positive"].to_numpy(), items.height)
    return items


def _random(items: pl.DataFrame, wanted: Budget, strata: int, seed: int) -> pl.DataFrame:
    """Return the audit and the control items, the audit first."""
    plan = plan_strata(items["p_positive"].to_numpy(), items["label"].to_numpy(), budget=wanted.audit, bins=strata)
    audit = plan.draw(seed)
    free = np.setdiff1d(np.arange(items.height), audit)
    # Its own stream, or the lots of the audit would be drawn again.
    control = np.random.default_rng((seed, 1)).choice(free, min(wanted.control, len(free)), replace=False)
    chance = 1 - (1 - plan.inclusion_probability) * (1 - len(control) / max(len(free), 1))
    drawn = np.concatenate([audit, control])
    return items[drawn].select(
        "item_id",
        pl.Series("reason", ["audit"] * len(audit) + ["control"] * len(control), dtype=pl.String),
        pl.lit(None, dtype=pl.String).alias("pair_id"),
        pl.col("item_id").alias("group_id"),
        pl.Series("stratum", plan.names[plan.member[drawn]].tolist(), dtype=pl.String),
        pl.Series("stratum_size", plan.sizes[plan.member[drawn]], dtype=pl.Int64),
        pl.Series("inclusion_probability", chance[drawn], dtype=pl.Float64),
    )


def _candidates(items: pl.DataFrame, taken: pl.Series, scores: pl.DataFrame, sources: Sources) -> Candidates:
    """Return all scored items with what is known of them, those that are eligible and not taken being free."""
    every = scores.select("item_id", "p_positive", "label", "^disagreement$").sort("item_id")
    if sources.vectors is not None:
        every = every.filter(pl.col("item_id").is_in(sources.vectors[0].implode()))
    for name, known in (("known", sources.labels), ("reference", sources.reference)):
        if known is not None:
            value = pl.col("label" if name == "known" else "p_positive").cast(pl.Float64).alias(name)
            every = every.join(known.select("item_id", value), on="item_id", how="left", maintain_order="left")
    ids = every["item_id"]
    return Candidates(
        ids,
        every["p_positive"].to_numpy(),
        every["label"].to_numpy(),
        vectors=_vectors_of(ids, sources),
        labels=_numbers(every, "known"),
        free=(ids.is_in(items["item_id"].implode()) & ~ids.is_in(taken.implode())).to_numpy(),
        pairs=sources.pairs,
        disagreement=_numbers(every, "disagreement"),
        reference=_numbers(every, "reference"),
    )


def _numbers(frame: pl.DataFrame, name: str) -> NDArray[np.float64] | None:
    """Return a column as numbers, NaN for null; None if there is no such column or nothing in it."""
    if name not in frame.columns or frame[name].null_count() == frame.height:
        return None
    return frame[name].fill_null(float("nan")).to_numpy()


def _vectors_of(ids: pl.Series, sources: Sources) -> Vectors | None:
    if sources.vectors is None:
        return None
    own, vectors = sources.vectors
    places = pl.DataFrame({"item_id": own, "row": np.arange(len(own))})
    rows = ids.to_frame("item_id").join(places, on="item_id", how="left", maintain_order="left")["row"]
    return vectors.view(rows.to_numpy())
