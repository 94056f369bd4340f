"""Contrastive active learning: items that are scored unlike their nearest neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import check_at_least
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import drawn, filled

_BLOCK = 1_024
_GROUPS = 256
# Scores of exactly 0 or 1 would be infinitely far from all others.
_LEAST_SCORE = 1e-6


@ranking("contrastive", sentence="Picked because the items nearest to it have other scores.", vectors=True)
@dataclass(frozen=True)
class Contrastive:
    """The items whose neighbours have other scores first (CAL; Margatina, Vernikos, Barrault and Aletras 2021).

    With p the score of an item and q those of its nearest neighbours it takes the largest mean of KL(q || p). The
    neighbours are labelled items, as in the paper, or items of the pool while too few are labelled.

    :param neighbours: nearest neighbours whose divergence is averaged; ties at the last one all count.
    :param enough: labelled items from which on the neighbours are labelled ones.
    :param references: items of the pool among which neighbours are found while too few are labelled, drawn by lot where
        there are more; labelled ones likewise.
    :param most: open items looked at, drawn by lot where there are more.
    """

    neighbours: int = 10
    enough: int = 100
    references: int = 20_000
    most: int = 20_000
    reason: str = "contrastive"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows of largest mean divergence; ties are drawn by lot."""
        check_at_least("neighbours", self.neighbours, 1)
        vectors = candidates.required_vectors("contrastive")
        rows = drawn(candidates.open_rows, self.most, (seed, 40))
        known = candidates.labelled_rows
        if len(known) < self.enough:
            known = np.arange(len(candidates.scores))
        known = drawn(known, self.references, (seed, 41))
        cost = np.zeros(len(rows))
        others = vectors.take(known)
        itself, place = _same(rows, known)
        for start in range(0, len(rows), _BLOCK):
            own = slice(start, start + _BLOCK)
            cosines = vectors.take(rows[own]) @ others.T
            here = (itself >= start) & (itself < start + _BLOCK)
            cosines[itself[here] - start, place[here]] = -np.inf
            cost[own] = -mean_divergence(
                candidates.scores[rows[own]], candidates.scores[known], cosines, self.neighbours
            )
        return filled(rows[np.argsort(cost, kind="stable")], candidates, count, seed)


def mean_divergence(
    scores: NDArray[np.float64], others: NDArray[np.float64], cosines: NDArray[np.float32], neighbours: int
) -> NDArray[np.float64]:
    """Return the mean of KL(q || p) over each item's nearest neighbours, in nats; 0 for an item without any.

    :param scores: p of the items, shape (items,).
    :param others: q of the possible neighbours, shape (others,).
    :param cosines: shape (items, others); minus infinity is no neighbour.
    """
    rows, columns = nearest(cosines, neighbours)
    many = np.maximum(np.bincount(rows, minlength=len(scores)), 1)
    p, q = (np.clip(each, _LEAST_SCORE, 1 - _LEAST_SCORE) for each in (scores, others))
    # KL(q || p) is linear in q and its negative entropy, so that their means over the neighbours are enough.
    order = q * np.log(q) + (1 - q) * np.log(1 - q)
    mean_q = np.bincount(rows, q[columns], minlength=len(scores)) / many
    mean_order = np.bincount(rows, order[columns], minlength=len(scores)) / many
    divergence: NDArray[np.float64] = mean_order - mean_q * np.log(p) - (1 - mean_q) * np.log(1 - p)
    return np.where(np.bincount(rows, minlength=len(scores)) > 0, np.maximum(divergence, 0), 0)


def nearest(cosines: NDArray[np.float32], wanted: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of the ``wanted`` largest of each row, in no order within a row, and of ties at the last.

    :param cosines: shape (items, others); minus infinity is left out.
    """
    items, others = cosines.shape
    wanted = min(wanted, others)
    if not wanted:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    largest = cosines
    if others >= 2 * _GROUPS and wanted < _GROUPS:
        # The wanted-th of the groups' maxima is at most the wanted-th of all, and a tenth of the work.
        whole = others // _GROUPS * _GROUPS
        largest = cosines[:, :whole].reshape(items, -1, _GROUPS).max(axis=1)
    least = np.partition(largest, -wanted, axis=1)[:, -wanted]
    rows, columns = np.nonzero((cosines >= least[:, None]) & (cosines > -np.inf))
    found = cosines[rows, columns]
    # Within its row each is numbered from the largest on; what lies behind the wanted-th and is less than it goes.
    order = np.lexsort((-found, rows))
    rows, columns, found = rows[order], columns[order], found[order]
    many = np.bincount(rows, minlength=items)
    starts = np.cumsum(many) - many
    last = starts + np.minimum(wanted, many) - 1
    kept = found >= found[last[rows]]
    return rows[kept], columns[kept]


def _same(rows: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places in both at which the same row stands."""
    _, place, other = np.intersect1d(rows, others, assume_unique=True, return_indices=True)
    return place.astype(np.int64), other.astype(np.int64)
