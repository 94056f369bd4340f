"""Candidates for boundary pairs: near neighbours with different pseudo-labels in a neighbourhood that holds both."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import check_at_least, check_share
from al_assets.curation.geometry.labelled_pool import LabelledPool, Sides, labelled_pool
from al_assets.curation.geometry.neighbours import (
    PROBES,
    Found,
    Lists,
    nearest_neighbours,
    nearest_of_both,
    without_self,
)
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.settings import DEFAULTS
from al_assets.tables import BOUNDARY_PAIRS

CANDIDATES = pl.Schema(list(BOUNDARY_PAIRS.schema.items())[:9])
"""The columns of ``boundary_pairs`` up to the cells."""
_MAX_QUERIES = 50_000
_PRODUCTS = 8_192


@dataclass(frozen=True)
class Search:
    """How neighbours are looked for.

    :param exact_cosines: a search of so many items among so many others compares each with each as long as it takes no
        more cosines; 500 million of 384 numbers take 4 CPU seconds. Larger ones go through the cells.
    :param probes: cells looked into for each item's nearest on the other side.
    :param mixing_probes: cells looked into, on each side, for the neighbourhood that mixing is counted in.
    """

    exact_cosines: int = 500_000_000
    probes: int = PROBES
    mixing_probes: int = PROBES // 4


def cross_label_pairs(
    items: Sides,
    clusters: pl.DataFrame,
    *,
    neighbours: int = DEFAULTS.neighbours,
    min_mixing: float = DEFAULTS.min_mixing,
    exclude: Collection[str] = (),
    seed: int = 0,
    max_queries: int = _MAX_QUERIES,
    search: Search = Search(),
    runner: Runner = THREADS,
) -> pl.DataFrame:
    """Return the columns of ``boundary_pairs`` up to the cells, most similar pair first.

    The side with fewer items asks for its nearest items on the other side. Mixing is 2 min(p, 1 - p), p being the share
    of positive items among the ``neighbours`` nearest of both members, the members left out: a lone item among items of
    the other label, most often a labelling error, gets 0. Empty if a side is empty.

    :param clusters: ``cluster_assignments`` of the same items.
    :param neighbours: how many partners each item proposes, and how many neighbours of each member mixing looks at.
    :param min_mixing: pairs below it are dropped, 0 to 1.
    :param exclude: items that may not be in a pair, such as those already labelled; they still count as neighbours.
    :param seed: draws which items ask, should there be more than ``max_queries``.
    :raises CurationError: a setting is out of range, or clusters are of other items or other labels.
    """
    check_at_least("neighbours", neighbours, 1)
    check_at_least("max_queries", max_queries, 1)
    check_share("min_mixing", min_mixing)
    pool = labelled_pool(items, clusters)
    free = ~pool.item_ids.is_in(list(exclude)).to_numpy() if exclude else np.ones(len(pool.item_ids), dtype=np.bool_)
    sides = _Sides.of(pool, search, runner)
    asking, answering = _ask(sides, free, max_queries, seed)
    nearest = sides.nearest(asking, answering, neighbours, search.probes)
    found = _partners(sides, asking, answering, free, nearest)
    query, place = np.nonzero(found.rows >= 0)
    one, other = asking[query], found.rows[query, place]
    mixing = _mixing(sides, asking, answering, nearest, query, other)
    mixed = mixing >= min_mixing
    one, other = one[mixed], other[mixed]
    is_positive = pool.positive[one]
    return _frame(pool, np.where(is_positive, one, other), np.where(is_positive, other, one), mixing[mixed])


@dataclass(frozen=True)
class _Sides:
    """The pool's two sides, each in lists to search."""

    pool: LabelledPool
    lists: dict[bool, Lists]
    search: Search
    runner: Runner

    @classmethod
    def of(cls, pool: LabelledPool, search: Search, runner: Runner) -> "_Sides":
        lists = {
            side: Lists.of(pool.vectors, rows, pool.cell[rows])
            for side in (True, False)
            for rows in (np.flatnonzero(pool.positive == side),)
        }
        return cls(pool, lists, search, runner)

    def nearest(
        self,
        queries: NDArray[np.int64],
        side: bool,
        count: int,
        probes: int,
        allowed: NDArray[np.bool_] | None = None,
    ) -> Found:
        """Return the nearest rows of a side; exact where that is affordable."""
        lists = self.lists[side]
        if len(queries) * len(lists.rows) <= self.search.exact_cosines:
            lists = lists.in_one()
        if allowed is not None:
            lists = lists.among(allowed)
        return nearest_neighbours(self.pool.vectors, lists, queries, count, probes=probes, runner=self.runner)


def _ask(sides: _Sides, free: NDArray[np.bool_], max_queries: int, seed: int) -> tuple[NDArray[np.int64], bool]:
    """Return the rows that ask for partners, and the side that answers."""
    positive = sides.pool.positive
    positives, negatives = np.flatnonzero(positive & free), np.flatnonzero(~positive & free)
    answering = len(positives) > len(negatives)
    asking = negatives if answering else positives
    if len(asking) > max_queries:
        asking = np.sort(np.random.default_rng(seed).choice(asking, max_queries, replace=False))
    return asking, answering


def _partners(
    sides: _Sides, asking: NDArray[np.int64], answering: bool, free: NDArray[np.bool_], nearest: Found
) -> Found:
    """Return each asking row's nearest free rows on the other side.

    :param nearest: its nearest rows there, free or not.
    """
    count = nearest.rows.shape[1]
    # Few items are excluded, so few questions have to be asked again without them.
    again = np.flatnonzero(((nearest.rows >= 0) & ~free[nearest.rows]).any(axis=1))
    if not len(again):
        return nearest
    once_more = sides.nearest(asking[again], answering, count, sides.search.probes, free)
    rows = nearest.rows.copy()
    rows[again] = -1
    rows[again, : once_more.rows.shape[1]] = once_more.rows
    return Found(nearest.cosine, rows)


def _mixing(
    sides: _Sides,
    asking: NDArray[np.int64],
    answering: bool,
    nearest: Found,
    query: NDArray[np.int64],
    other: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the mixing of each pair: of the asking row number ``query`` and the answering row ``other``.

    :param nearest: the nearest rows of each asking row on the answering side.
    """
    count = nearest.rows.shape[1]
    members, place = np.unique(other, return_inverse=True)
    probes = sides.search.mixing_probes

    def near(rows: NDArray[np.int64], across: Found) -> NDArray[np.int64]:
        own = sides.nearest(rows, bool(sides.pool.positive[rows[0]]), count + 1, probes)
        return without_self(nearest_of_both(own, across, count + 1).rows, rows, count)

    if not len(other):
        return np.zeros(0)
    of_asking = near(asking, nearest)
    of_answering = near(members, sides.nearest(members, not answering, count, probes))
    joint = np.concatenate((of_asking[query], of_answering[place]), axis=1)
    return joint_mixing(joint, asking[query], other, sides.pool.positive)


def joint_mixing(
    joint: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64], positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 2 min(p, 1 - p) for each pair, p being the share of positive items among its distinct neighbours.

    :param joint: row numbers of the neighbours of both members, shape (pairs, any); -1 and the members do not count.
    :return: shape (pairs,), 0 to 1; 0 where no neighbour is left.
    """
    if not joint.shape[1]:
        return np.zeros(len(joint), dtype=np.float64)
    members = (joint == one[:, None]) | (joint == other[:, None])
    ordered = np.sort(np.where(members, -1, joint), axis=1)
    counted = ordered >= 0
    counted[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    total = counted.sum(axis=1)
    positives = (counted & positive[ordered]).sum(axis=1)
    share: NDArray[np.float64] = positives / np.maximum(total, 1)
    return np.where(total > 0, 2 * np.minimum(share, 1 - share), 0.0)


def _frame(
    pool: LabelledPool, positives: NDArray[np.int64], negatives: NDArray[np.int64], mixing: NDArray[np.float64]
) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "positive_item": pool.item_ids.gather(positives),
            "negative_item": pool.item_ids.gather(negatives),
            "similarity": _cosines(pool.vectors, positives, negatives),
            "mixing": mixing,
            "positive_region": pool.region[positives],
            "negative_region": pool.region[negatives],
            "positive_cell": pool.cell[positives],
            "negative_cell": pool.cell[negatives],
        }
    ).with_columns(pl.concat_str("positive_item", "negative_item", separator="|").alias("pair_id"))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATES.items()).sort(
        "similarity", "pair_id", descending=[True, False]
    )


def _cosines(vectors: Vectors, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    cosine = np.zeros(len(one))
    for start in range(0, len(one), _PRODUCTS):
        place = slice(start, start + _PRODUCTS)
        cosine[place] = np.einsum("ij,ij->i", vectors.take(one[place]), vectors.take(other[place]))
    # A float32 product of equal vectors may end a hair above one.
    return np.clip(cosine, -1, 1)
