"""What a strategy is given, what it gives back, and how its picks are drawn with a known chance."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_item_ids, check_labels, check_share
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.settings import RoundSettings

EXPLORATION = RoundSettings.exploration
"""Part of the budget that is drawn by lot from a short list, unless told otherwise."""
SHORT_LIST = 4
"""Items on the short list for each one drawn from it: each has a chance of one in four."""

PICKS = pl.Schema(
    {
        "item_id": pl.String,
        "reason": pl.String,
        "pair_id": pl.String,
        "rank": pl.Int64,
        "inclusion_probability": pl.Float64,
    }
)
"""What a strategy returns, first pick first: ``rank`` is the place in the strategy's own order, from 0;
``inclusion_probability`` the chance to be picked, given that order and what earlier parts of the queue had taken."""


@dataclass(frozen=True)
class Candidates:
    """What a strategy may look at, row for row.

    Only unlabelled items that are ``free`` may be picked; all may be looked at.

    :param scores: p_positive in [0, 1], shape (items,).
    :param positive: the pseudo-labels, booleans of shape (items,).
    :param vectors: of length one, shape (items, dimensions), or None where no strategy that needs them is asked.
    :param labels: the experts' labels so far: 1 (positive), 0 (negative) or NaN (not labelled), shape (items,).
    :param free: which items may be picked, shape (items,); None is all of them.
    :param pairs: boundary pairs as ``rank_pairs`` returned them, or None.
    :param disagreement: how far several labelers disagree on each item, 0 to 1, shape (items,), or None.
    :param reference: p_positive by a reference model, NaN where unknown, shape (items,), or None.
    """

    item_ids: pl.Series
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    vectors: Vectors | None = None
    labels: NDArray[np.float64] | None = None
    free: NDArray[np.bool_] | None = None
    pairs: pl.DataFrame | None = None
    disagreement: NDArray[np.float64] | None = None
    reference: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Check lengths and ranges.

        :raises CurationError: ids repeat, a column is of another length, or a score is not in [0, 1].
        """
        items = len(check_item_ids(self.item_ids))
        check_labels(self.positive, items)
        check_scores(self.scores, items)
        for name in ("vectors", "labels", "free", "disagreement", "reference"):
            column = getattr(self, name)
            if column is not None and len(column) != items:
                raise CurationError(f"{name}: {len(column)} rows for {items} items; give one row for each item")

    @property
    def free_items(self) -> NDArray[np.bool_]:
        """Which items are free, labelled or not, shape (items,)."""
        return np.ones(len(self.item_ids), dtype=np.bool_) if self.free is None else self.free

    @property
    def open_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items that may be picked."""
        may = self.free_items
        return np.flatnonzero(may if self.labels is None else may & np.isnan(self.labels))

    def without(self, picked: pl.DataFrame) -> "Candidates":
        """Return the same with what was picked no longer free."""
        return replace(self, free=self.free_items & ~self.item_ids.is_in(picked["item_id"].implode()).to_numpy())

    @property
    def labelled_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items whose label is known."""
        return np.zeros(0, dtype=np.int64) if self.labels is None else np.flatnonzero(~np.isnan(self.labels))

    def required_vectors(self, strategy: str) -> Vectors:
        """Return the vectors.

        :raises CurationError: there are none.
        """
        if self.vectors is None:
            raise CurationError(
                f"vectors: none given, and the strategy {strategy!r} looks at them; pass the embeddings"
            )
        return self.vectors


class Strategy(Protocol):
    """Picks up to ``budget`` of the items that may be picked; the first row is the first pick."""

    @property
    def reason(self) -> str:
        """What the queue says about why its picks are there."""

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the columns of ``PICKS``; never an item twice, never one that is not open, at most ``budget`` rows."""


class Ranking(Protocol):
    """A strategy's order of preference, from which :class:`Ranked` draws."""

    @property
    def reason(self) -> str:
        """What the queue says about why its picks are there."""

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the row numbers of up to ``count`` open items, best first, none twice; ties are drawn by lot."""


@dataclass(frozen=True)
class Ranked:
    """A strategy made of an order of preference.

    Part of the budget is the head of the order, certain to be picked; the rest is drawn by lot from the short list
    behind it, see ``draw_from_ranking``. So every pick has a known chance, and picks weighted by one over it speak for
    the head and the short list together.

    :param exploration: the part drawn by lot, 0 (the order's head alone) to 1.
    """

    ranking: Ranking
    exploration: float = EXPLORATION

    @property
    def reason(self) -> str:
        """What the queue says about why its picks are there."""
        return self.ranking.reason

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the picks in the order of their rank."""
        check_at_least("budget", budget, 0)
        order = self.ranking.rank(candidates, ranked_for(budget, self.exploration), seed)
        places, chances = draw_from_ranking(len(order), budget, self.exploration, seed)
        return picks_frame(candidates.item_ids, order[places], self.reason, places, chances)


def ranked_for(budget: int, exploration: float) -> int:
    """Return how many items have to be ranked for a budget: those certain and the short list."""
    by_lot = _by_lot(budget, exploration)
    return budget - by_lot + SHORT_LIST * by_lot


def draw_order(ranked: int, budget: int, exploration: float, seed: int) -> NDArray[np.int64]:
    """Return the places of a ranking in the order in which they are picked, shape (ranked,).

    First the head, in its order; then the short list behind it, ``SHORT_LIST`` places for each one drawn from it, in an
    order drawn by lot; then the rest, in its order. So whoever takes the first of this order that are free draws a
    simple random sample from what is free of the short list.

    :param ranked: how many places there are.
    :param budget: how many are to be picked.
    :param exploration: the budget's part that is drawn by lot, 0 to 1 (rounded to whole items).
    """
    certain, listed = short_list(ranked, budget, exploration)
    order = np.arange(ranked, dtype=np.int64)
    # A stream of its own, or the lots that broke ties would be drawn again.
    np.random.default_rng((seed, 5)).shuffle(order[certain : certain + listed])
    return order


def short_list(ranked: int, budget: int, exploration: float) -> tuple[int, int]:
    """Return how many places of a ranking are certain to be picked, and how many after them are on the short list."""
    check_at_least("budget", budget, 0)
    by_lot = _by_lot(budget, exploration)
    certain = min(budget - by_lot, ranked)
    return certain, min(SHORT_LIST * by_lot, ranked - certain)


def draw_from_ranking(
    ranked: int, budget: int, exploration: float, seed: int, free: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which places of a ranking are picked, rising, and the chance that each had, see ``first_free``.

    :param free: which places may be picked, shape (ranked,); None is all of them.
    """
    order = draw_order(ranked, budget, exploration, seed)
    may = np.ones(ranked, dtype=np.bool_) if free is None else free
    return first_free(order, may, budget, *short_list(ranked, budget, exploration))


def first_free(
    order: NDArray[np.int64], free: NDArray[np.bool_], budget: int, certain: int, listed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the first free places of a ``draw_order``, rising, and the chance that each had, given what is free.

    Those of the head have a chance of 1. Those of the short list share one: what the free of the head left of the
    budget, over the free places of the short list, at most 1. Should both be used up, the places behind them are picked
    in their order, which is certain too.

    :param free: which places may be picked, shape (ranked,); it must not depend on the lots.
    :param certain: places of the head.
    :param listed: places of the short list behind it.
    :return: places (picks,) and chances (picks,), above 0 and at most 1; picks = min(budget, free places).
    """
    places = np.sort(order[free[order]][:budget])
    left = budget - int(free[:certain].sum())
    on_list = int(free[certain : certain + listed].sum())
    chances = np.ones(len(places))
    chances[(places >= certain) & (places < certain + listed)] = min(1.0, left / max(on_list, 1))
    return places, chances


def picks_frame(
    item_ids: pl.Series,
    rows: NDArray[np.int64],
    reason: str,
    ranks: NDArray[np.int64],
    chances: NDArray[np.float64],
) -> pl.DataFrame:
    """Return single items as the columns of ``PICKS``."""
    return pl.DataFrame({"item_id": item_ids.gather(rows)}).select(
        "item_id",
        pl.lit(reason).alias("reason"),
        pl.lit(None, dtype=pl.String).alias("pair_id"),
        pl.Series("rank", ranks, dtype=pl.Int64),
        pl.Series("inclusion_probability", chances, dtype=pl.Float64),
    )


def lowest(candidates: Candidates, cost: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Return the open rows of least cost, least first; ties are drawn by lot.

    :param cost: shape (items,).
    """
    rows = candidates.open_rows
    count = min(count, len(rows))
    own = cost[rows]
    if 0 < count < len(rows):
        # Only what may be among the lowest is sorted: a pool of a million takes a tenth of the time.
        near = np.flatnonzero(own <= np.partition(own, count - 1)[count - 1])
        rows, own = rows[near], own[near]
    lot = np.random.default_rng(seed).permutation(len(rows))
    return rows[np.lexsort((lot, own))[:count]]


def check_scores(scores: ArrayLike, items: int) -> None:
    """Do nothing if there is a score in [0, 1] for each item.

    :raises CurationError: another shape, or scores that are NaN or outside; names how many.
    """
    scores = np.asarray(scores)
    if scores.shape != (items,):
        raise CurationError(f"scores: shape {scores.shape}; expected ({items},), one p_positive for each item")
    wrong = int((~((scores >= 0) & (scores <= 1))).sum())
    if wrong:
        raise CurationError(f"scores: {wrong} of {items} are NaN or outside [0, 1]; score those items again")


def _by_lot(budget: int, exploration: float) -> int:
    check_share("exploration", exploration)
    return math.floor(exploration * budget + 0.5)
