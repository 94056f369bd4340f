"""The review queue: audit and control drawn at random first, then boundary pairs, promising and margin items."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from al_assets.curation.checks import CurationError, check_at_least, check_columns, check_item_ids, check_share
from al_assets.curation.strata import stratified_sample
from al_assets.curation.strategies import Candidates, Margin, TopScored, check_scores

_QUEUE = ("item_id", "text", "reason", "pair_id", "group_id", "stratum", "stratum_size", "inclusion_probability")


@dataclass(frozen=True)
class Budget:
    """How many items a round asks for, by reason. ``pairs`` counts pairs, two items each."""

    pairs: int
    promising: int
    audit: int
    control: int
    boundary: int


def divide_budget(budget: int, shares: tuple[float, float, float], promising: float = 0.0) -> Budget:
    """Divide a budget by largest remainder; what is left of the boundary share after pairs is topped up later.

    :param budget: items, at least 0.
    :param shares: boundary, audit, control; they add up to 1.
    :param promising: part of the boundary share that goes to top-scored items, 0 to 1.
    :raises CurationError: a share is out of range, or they do not add up.
    """
    check_at_least("budget", budget, 0)
    check_share("promising", promising)
    for name, share in zip(("boundary", "audit", "control"), shares, strict=True):
        check_share(f"shares.{name}", share)
    if abs(sum(shares) - 1) > 1e-9:
        raise CurationError(f"shares: boundary + audit + control is {sum(shares):g}; they must add up to 1")
    # Rounded, because .6 of 10 is a hair below 6 in binary.
    exact = np.round(np.array(shares) * budget, 9)
    counts = np.floor(exact).astype(np.int64)
    most_left_over = np.argsort(counts - exact, kind="stable")
    counts[most_left_over[: budget - int(counts.sum())]] += 1
    boundary, audit, control = counts.tolist()
    top_scored = round(promising * boundary)
    return Budget((boundary - top_scored) // 2, top_scored, audit, control, boundary)


def build_queue(
    *,
    pool: pl.DataFrame,
    scores: pl.DataFrame,
    pairs: pl.DataFrame,
    shares: tuple[float, float, float],
    budget: int,
    audit_strata: int,
    promising: float = 0.0,
    exclude: Collection[str] = (),
    seed: int = 0,
) -> pl.DataFrame:
    """Return what experts are asked next: the columns of ``review_queue`` without revision, each item once.

    Eligible are the pool's items that are no near-duplicate, not excluded, and not the original of an excluded copy.
    The audit is drawn from all of them, stratified by score and pseudo-label: n_h / N_h is exact. The control is drawn
    uniformly from the rest; its recorded chance allows for items the audit took: (1 - n_h / N_h) n_c / (N - n_a).
    Then come ranked pairs whose two members are still free, then promising items (top-scored), to their part of the
    boundary share. If pairs run out, the share is filled with promising items that the incumbent calls positive, then
    with those nearest to its threshold (margin). Boundary, promising and margin items have no chance recorded: no
    reweighting makes their labels speak for the pool.

    The result has min(budget, eligible items) rows; with fewer eligible items than budget, all shares shrink alike.
    It does not depend on the order of the pool's rows.

    :param pool: item_id, text, duplicate_of (null if none).
    :param scores: item_id, p_positive in [0, 1], label (the pseudo-label); at least the eligible items.
    :param pairs: what ``pick_pairs`` returned.
    :param shares: boundary, audit, control; they add up to 1.
    :param audit_strata: quantile bins of the score in the audit.
    :param promising: part of the boundary share for top-scored items, see ``promising_share``.
    :param exclude: items already labelled or queued.
    :raises CurationError: the pool is empty, an eligible item has no score, or a setting is out of range.
    """
    items = _eligible(pool, scores, exclude)
    wanted = divide_budget(min(budget, items.height), shares, promising)
    audit = _audit(items, wanted.audit, audit_strata, seed)
    control = _control(audit, wanted.control, seed)
    random = pl.concat([audit.filter("drawn"), control], how="diagonal")
    boundary = _boundary(items, random["item_id"], pairs, wanted, seed)
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


def _audit(items: pl.DataFrame, budget: int, strata: int, seed: int) -> pl.DataFrame:
    """Return all items as audit rows, with a column that says which were drawn."""
    sample = stratified_sample(
        items["p_positive"].to_numpy(), items["label"].to_numpy(), budget=budget, bins=strata, seed=seed
    )
    drawn = np.zeros(items.height, dtype=np.bool_)
    drawn[sample.rows] = True
    return items.select(
        "item_id",
        pl.lit("audit").alias("reason"),
        pl.lit(None, dtype=pl.String).alias("pair_id"),
        pl.col("item_id").alias("group_id"),
        pl.Series("stratum", sample.stratum.tolist(), dtype=pl.String),
        pl.Series("stratum_size", sample.stratum_size, dtype=pl.Int64),
        pl.Series("inclusion_probability", sample.inclusion_probability, dtype=pl.Float64),
        pl.Series("drawn", drawn),
    )


def _control(audit: pl.DataFrame, budget: int, seed: int) -> pl.DataFrame:
    free = audit.filter(~pl.col("drawn"))
    # Its own stream, or the lots of the audit would be drawn again.
    rows = np.random.default_rng((seed, 1)).choice(free.height, min(budget, free.height), replace=False)
    chance = len(rows) / max(free.height, 1)
    return free[rows].select(
        "item_id",
        pl.lit("control").alias("reason"),
        "pair_id",
        "group_id",
        ((1 - pl.col("inclusion_probability")) * chance).alias("inclusion_probability"),
    )


def _boundary(items: pl.DataFrame, taken: pl.Series, pairs: pl.DataFrame, wanted: Budget, seed: int) -> pl.DataFrame:
    """Fill the boundary share with pairs, then promising items, then what stands in for missing pairs."""
    free = ~items["item_id"].is_in(taken.to_list()).to_numpy()
    picked = _free_pairs(pairs, set(items["item_id"].filter(pl.Series(free))), wanted.pairs)
    positive = items["label"].to_numpy()
    anything = np.ones(items.height, dtype=np.bool_)
    for strategy, allowed, most in (
        (TopScored(), anything, wanted.promising),
        (TopScored(), positive, wanted.boundary),
        (Margin(), anything, wanted.boundary),
    ):
        room = min(most, wanted.boundary - picked.height)
        free &= ~items["item_id"].is_in(picked["item_id"].to_list()).to_numpy()
        candidates = Candidates(items["item_id"], items["p_positive"].to_numpy(), positive, free=free & allowed)
        picked = pl.concat([picked, _alone(strategy.pick(candidates, room, seed))], how="diagonal")
    return picked


def _free_pairs(pairs: pl.DataFrame, free: set[str], budget_pairs: int) -> pl.DataFrame:
    """Return both members of the first ranked pairs whose members are free; later ones stand in for the rest."""
    check_columns(pairs, "pairs", ("pair_id", "positive_item", "negative_item", "rank"))
    ranked = pairs.drop_nulls("rank").sort("rank").select("pair_id", "positive_item", "negative_item")
    members: list[tuple[str, str]] = []
    for pair_id, positive, negative in ranked.iter_rows():
        if len(members) == 2 * budget_pairs:
            break
        if positive in free and negative in free:
            free -= {positive, negative}
            members += [(positive, pair_id), (negative, pair_id)]
    frame = pl.DataFrame(members, schema={"item_id": pl.String, "pair_id": pl.String}, orient="row")
    return frame.select(
        "item_id",
        pl.lit("boundary").alias("reason"),
        "pair_id",
        pl.col("pair_id").alias("group_id"),
    )


def _alone(picks: pl.DataFrame) -> pl.DataFrame:
    return picks.select("item_id", "reason", pl.col("item_id").alias("group_id"), "inclusion_probability")
