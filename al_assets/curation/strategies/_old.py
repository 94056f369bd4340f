"""How items are chosen: boundary pairs, and the rival strategies as small objects behind one interface."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import (
    CurationError,
    check_at_least,
    check_columns,
    check_item_ids,
    check_labels,
    check_share,
)

# Pairs never get less than half: top-scored items alone were best on some seeds and worst on others (facts.md).
_MOST_PROMISING = 0.5
_PRIOR_LABELS = 20
_NEAR_TARGET = 0.8


@dataclass(frozen=True)
class Candidates:
    """What a strategy may look at, row for row.

    ``scores`` are p_positive in [0, 1], ``positive`` the pseudo-labels, ``vectors`` of length one, ``labels`` 1
    (positive), 0 (negative) or NaN (not labelled). Only unlabelled items that are ``free`` may be picked.
    """

    item_ids: pl.Series
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    vectors: NDArray[np.float32] | None = None
    labels: NDArray[np.float64] | None = None
    free: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check lengths and ranges.

        :raises CurationError: ids repeat, a column is of another length, or a score is not in [0, 1].
        """
        items = len(check_item_ids(self.item_ids))
        check_labels(self.positive, items)
        check_scores(self.scores, items)
        for name, column in (("vectors", self.vectors), ("labels", self.labels), ("free", self.free)):
            if column is not None and len(column) != items:
                raise CurationError(f"{name}: {len(column)} rows for {items} items; give one row for each item")

    @property
    def open_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items that may be picked."""
        may = np.ones(len(self.item_ids), dtype=np.bool_) if self.free is None else self.free
        return np.flatnonzero(may if self.labels is None else may & np.isnan(self.labels))


class Strategy(Protocol):
    """Picks up to ``budget`` of the items that may be picked; the first row is the first pick."""

    @property
    def reason(self) -> str:
        """What the queue says about why its picks are there."""

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return item_id, reason and inclusion_probability (null where the rule is deterministic) of the picks."""


@dataclass(frozen=True)
class UniformRandom:
    """Every item has the same chance: the arm that all others are measured against."""

    reason: str = "control"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return a simple random sample without replacement."""
        rows = candidates.open_rows
        budget = _within(budget, len(rows))
        chosen = np.random.default_rng(seed).choice(rows, budget, replace=False)
        return _picks(candidates, chosen, self.reason, budget / len(rows) if len(rows) else None)


@dataclass(frozen=True)
class TopScored:
    """The highest p_positive first: finds positives while the labeler is weak. Ties are drawn by lot."""

    reason: str = "promising"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the items with the highest scores."""
        return _lowest(candidates, -candidates.scores, budget, seed, self.reason)


@dataclass(frozen=True)
class Margin:
    """The scores nearest to where the label changes first (uncertainty sampling). Ties are drawn by lot."""

    reason: str = "boundary"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the items whose score is nearest to the threshold."""
        threshold = implied_threshold(candidates.scores, candidates.positive)
        return _lowest(candidates, np.abs(candidates.scores - threshold), budget, seed, self.reason)


STRATEGIES: dict[str, Strategy] = {
    "random": UniformRandom(),
    "top_scored": TopScored(),
    "margin": Margin(),
}


def check_scores(scores: NDArray[np.float64], items: int) -> None:
    """Do nothing if there is a score in [0, 1] for each item.

    :raises CurationError: another shape, or scores that are NaN or outside; names how many.
    """
    if scores.shape != (items,):
        raise CurationError(f"scores: shape {scores.shape}; expected ({items},), one p_positive for each item")
    wrong = int((~((scores >= 0) & (scores <= 1))).sum())
    if wrong:
        raise CurationError(f"scores: {wrong} of {items} are NaN or outside [0, 1]; score those items again")


def implied_threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the score half-way between the lowest positive and the highest negative item.

    With one label only it is the score of the item nearest to changing it; NaN without items.
    """
    ends = []
    if positive.any():
        ends.append(scores[positive].min())
    if not positive.all():
        ends.append(scores[~positive].max())
    return float(np.mean(ends)) if ends else float("nan")


def pick_pairs(candidates: pl.DataFrame, budget_pairs: int, seed: int = 0) -> pl.DataFrame:
    """Rank candidate pairs for variety and select the first ``budget_pairs``; returns ``boundary_pairs``.

    Round robin over pairs of micro cells, those that hold the best pair (highest mixing, then similarity) first; at its
    turn a pair of cells gives its best pair whose members are both still free. So an item has at most one ranked pair,
    and the pairs ranked behind the budget stand in for one that cannot be queued. Pairs that reuse an item get rank
    null. The rule is deterministic, so inclusion probabilities are null: these labels cannot speak for the pool.

    :param candidates: what ``cross_label_pairs`` returned.
    :param seed: draws the order of pairs with equal mixing and similarity.
    :return: the candidates with rank, selected and inclusion_probability, ranked pairs first.
    """
    check_at_least("budget_pairs", budget_pairs, 0)
    check_columns(
        candidates,
        "candidates",
        ("pair_id", "positive_item", "negative_item", "similarity", "mixing", "positive_cell", "negative_cell"),
    )
    lot = np.random.default_rng(seed).permutation(candidates.height)
    ordered = (
        candidates.sort("pair_id")
        .with_columns(pl.Series("_lot", lot))
        .sort("mixing", "similarity", "_lot", descending=[True, True, False])
        .drop("_lot")
    )
    rank = np.full(ordered.height, -1, dtype=np.int64)
    for place, row in enumerate(_round_robin(ordered)):
        rank[row] = place
    return (
        ordered.with_columns(pl.Series("rank", rank))
        .with_columns(pl.when(pl.col("rank") >= 0).then("rank").alias("rank"))
        .with_columns(
            (pl.col("rank") < budget_pairs).fill_null(value=False).alias("selected"),
            pl.lit(None, dtype=pl.Float64).alias("inclusion_probability"),
        )
        .sort("rank", nulls_last=True, maintain_order=True)
    )


def promising_share(positive_share_of_labels: float | None, target: float, labelled: int) -> float:
    """Return the part of the boundary budget that goes to top-scored items instead of pairs, 0 to .5.

    While the labeler is weak, boundary pairs hold few positives. With s the positive share of the labels that boundary
    and promising items got (not audit or control items: theirs is the pool's), and n their number:

        evidence = s n / (n + 20)        # before the first label nothing speaks for the labeler
        share    = .5 max(0, 1 - evidence / (.8 target))

    So it starts at .5, falls as positives are found, and is 0 once their share is near the target.

    :param positive_share_of_labels: 0 to 1; None if nothing is labelled yet.
    :param target: the wanted positive share, 0 to 1.
    :raises CurationError: a value is out of range.
    """
    check_share("target", target)
    check_at_least("labelled", labelled, 0)
    if positive_share_of_labels is None:
        positive_share_of_labels = 0.0
    check_share("positive_share_of_labels", positive_share_of_labels)
    if target == 0:
        return 0.0
    evidence = positive_share_of_labels * labelled / (labelled + _PRIOR_LABELS)
    return _MOST_PROMISING * max(0.0, 1 - evidence / (_NEAR_TARGET * target))


def _round_robin(ordered: pl.DataFrame) -> Iterator[int]:
    """Yield the row numbers of a frame of pairs, best first, in the order of picking."""
    positives, negatives = ordered["positive_item"].to_list(), ordered["negative_item"].to_list()
    cells: dict[tuple[int, int], list[int]] = {}
    for row, cell in enumerate(ordered.select("positive_cell", "negative_cell").iter_rows()):
        cells.setdefault(cell, []).append(row)
    used: set[str] = set()
    waiting = [iter(rows) for rows in cells.values()]
    while waiting:
        still_waiting = []
        for rows in waiting:
            free = (row for row in rows if positives[row] not in used and negatives[row] not in used)
            for row in islice(free, 1):
                used.update((positives[row], negatives[row]))
                still_waiting.append(rows)
                yield row
        waiting = still_waiting


def _within(budget: int, items: int) -> int:
    check_at_least("budget", budget, 0)
    return min(budget, items)


def _lowest(candidates: Candidates, cost: NDArray[np.float64], budget: int, seed: int, reason: str) -> pl.DataFrame:
    rows = candidates.open_rows
    lot = np.random.default_rng(seed).permutation(len(rows))
    best = np.lexsort((lot, cost[rows]))[: _within(budget, len(rows))]
    return _picks(candidates, rows[best], reason, None)


def _picks(candidates: Candidates, rows: NDArray[np.int64], reason: str, probability: float | None) -> pl.DataFrame:
    return pl.DataFrame({"item_id": candidates.item_ids.gather(rows)}).select(
        "item_id",
        pl.lit(reason).alias("reason"),
        pl.lit(probability, dtype=pl.Float64).alias("inclusion_probability"),
    )
