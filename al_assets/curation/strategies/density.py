"""Strategies that look for what is typical, for small budgets and cold starts: TypiClust and ProbCover."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.geometry.cells import assign_cells, train_centroids
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import distances, drawn, filled, most_similar

# In the authors' code such small clusters are never picked from.
_SMALL_CLUSTER = 5
# Typicality is quadratic in a cluster's size; beyond this many of its items, drawn by lot, the rest comes last.
_TYPICAL_AMONG = 2_000
_RADIUS_FROM = 2_000
_BLOCK = 2_048
# Two copies of a vector have a cosine a few rounding errors below 1.
_ROUNDING = 1e-6


@ranking("typiclust", sentence="Picked as the most typical item of a cluster with few labels.", vectors=True)
@dataclass(frozen=True)
class TypiClust:
    """The most typical item of each of the largest clusters without a label (Hacohen, Dekel and Weinshall 2022).

    The open and labelled items are put into as many k-means clusters as there are labels and items to rank. The
    clusters are taken in turn, those with the fewest labels first, then the largest, and each gives its most typical
    item: typicality is one over the mean distance to the nearest neighbours within the cluster. As in the authors' code
    clusters of up to 5 items are left to the end, and a small cluster has half its size as neighbours; unlike there, an
    item's typicality is not counted anew after others of its cluster were picked. Does not look at scores.

    :param neighbours: nearest neighbours whose distances are averaged.
    :param most_clusters: k-means clusters, at most; the authors stop at 500.
    :param most: open items looked at, drawn by lot where there are more, and as many labelled ones.
    """

    neighbours: int = 20
    most_clusters: int = 1_000
    most: int = 50_000
    reason: str = "typiclust"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return open rows, first the most typical one of each cluster, then the second most typical one of each."""
        vectors = candidates.required_vectors("typiclust")
        rows = drawn(candidates.open_rows, self.most, (seed, 20))
        known = drawn(candidates.labelled_rows, self.most, (seed, 21))
        if not len(rows) or not count:
            return rows[:0]
        both = np.concatenate([rows, known])
        wanted = min(len(known) + count, self.most_clusters, len(both))
        clusters, _ = assign_cells(vectors, both, train_centroids(vectors, both, wanted, seed))
        points = vectors.take(rows)
        order = typical_first(points, clusters[: len(rows)], clusters[len(rows) :], self.neighbours)
        return filled(rows[order], candidates, count, seed)


@ranking(
    "probcover",
    sentence="Picked because many items near it had nothing picked or labelled near them.",
    vectors=True,
)
@dataclass(frozen=True)
class ProbCover:
    """The item whose ball holds most items that no ball holds yet (Yehuda, Dekel, Hacohen and Weinshall 2022).

    Greedy maximum coverage: reaches at least 1 - 1/e of what as many balls can hold. Balls around labelled items are
    held already. Once every item is held the rest follows by lot.

    :param radius: Euclidean radius of a ball between vectors of length one, above 0 up to 2; None finds it by
        ``pure_radius`` among the items looked at.
    :param purity: part of the balls that shall be pure, for ``pure_radius``.
    :param most: open items looked at, drawn by lot where there are more: 20,000 take 50 MB of bits and 307 GFLOP.
    """

    radius: float | None = None
    purity: float = 0.95
    most: int = 20_000
    reason: str = "probcover"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return open rows, each adding most to what the balls of the labelled ones and those before it hold."""
        vectors = candidates.required_vectors("probcover")
        rows = drawn(candidates.open_rows, self.most, (seed, 22))
        if not len(rows) or not count:
            return rows[:0]
        points = vectors.take(rows)
        radius = pure_radius(points, candidates.positive[rows], self.purity) if self.radius is None else self.radius
        cosine = 1 - radius**2 / 2 - _ROUNDING
        covered = most_similar(points, vectors.take(candidates.labelled_rows)) >= cosine
        return filled(rows[maximum_coverage(balls(points, cosine), covered, count)], candidates, count, seed)


def typical_first(
    points: NDArray[np.float32], clusters: NDArray[np.int32], labelled: NDArray[np.int32], neighbours: int
) -> NDArray[np.int64]:
    """Return all places of the points in the order of TypiClust.

    :param points: shape (points, dimensions), rows of length one, open items only.
    :param clusters: each point's cluster, shape (points,).
    :param labelled: the clusters that labelled items are in, shape (labelled items,).
    """
    found = int(max(clusters.max(initial=0), labelled.max(initial=0))) + 1
    known = np.bincount(labelled, minlength=found)
    sizes = np.bincount(clusters, minlength=found) + known
    turn = np.zeros(len(points), dtype=np.int64)
    by_cluster = np.argsort(clusters, kind="stable")
    for members in np.split(by_cluster, np.flatnonzero(np.diff(clusters[by_cluster])) + 1):
        among = members[:_TYPICAL_AMONG]
        typical = np.argsort(mean_neighbour_distance(points[among], neighbours), kind="stable")
        turn[members] = np.arange(len(members))
        turn[among[typical]] = np.arange(len(among))
    return np.lexsort((clusters, -sizes[clusters], known[clusters], turn, sizes[clusters] <= _SMALL_CLUSTER))


def mean_neighbour_distance(points: NDArray[np.float32], neighbours: int) -> NDArray[np.float64]:
    """Return each point's mean distance to its nearest neighbours, one over its typicality, shape (points,).

    :param neighbours: how many, but no more than half the points (at least one; 0 for a single point).
    """
    wanted = min(neighbours, max(len(points) // 2, 1), len(points) - 1)
    if wanted < 1:
        return np.zeros(len(points))
    apart = distances(points @ points.T)
    np.fill_diagonal(apart, 0)
    # Oneself is the nearest, at distance 0.
    mean: NDArray[np.float64] = np.partition(apart, wanted, axis=1)[:, : wanted + 1].sum(axis=1) / wanted
    return mean


def pure_radius(
    points: NDArray[np.float32], positive: NDArray[np.bool_], purity: float = 0.95, least_neighbours: int = 10
) -> float:
    """Return the largest radius at which ``purity`` of the balls hold one label only (Yehuda et al. 2022, section 3.3).

    The authors take clusters for the labels; here the pseudo-labels serve. Where the labels mix everywhere, or only one
    occurs, that radius says nothing: it is never less than the median distance to the tenth nearest neighbour (or balls
    would hold their centre alone), and equal to it with one label.

    :param points: shape (points, dimensions), rows of length one, in random order: 2,000 balls, around the first ones,
        are looked at.
    :param positive: shape (points,).
    :param purity: 0 to 1.
    """
    wanted = min(least_neighbours, len(points) - 1)
    if wanted < 1:
        return 0.0
    other, near = [], []
    for start in range(0, min(_RADIUS_FROM, len(points)), _BLOCK // 4):
        own = slice(start, min(start + _BLOCK // 4, _RADIUS_FROM))
        cosines = points[own] @ points.T
        near.append(np.partition(cosines, -1 - wanted, axis=1)[:, -1 - wanted])
        cosines[positive[own, None] == positive[None, :]] = -np.inf
        other.append(cosines.max(axis=1))
    least = float(np.median(distances(np.concatenate(near))))
    if positive.all() or not positive.any():
        return least
    pure = np.quantile(distances(np.concatenate(other)), 1 - purity, method="lower")
    return max(least, float(pure))


def balls(points: NDArray[np.float32], cosine: float) -> NDArray[np.uint8]:
    """Return which points are at least so similar to each: bits of shape (points, points / 8), rows padded with 0."""
    packed = [
        np.packbits(points[start : start + _BLOCK] @ points.T >= cosine, axis=1)
        for start in range(0, len(points), _BLOCK)
    ]
    return np.concatenate(packed)


def maximum_coverage(within: NDArray[np.uint8], covered: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Return up to ``count`` points, each covering most of what is not covered yet, until all is.

    :param within: what each point covers, as ``balls`` returned it: symmetric, and each point covers itself.
    :param covered: shape (points,).
    :return: at most ``count`` places; of equals the first is taken first.
    """
    open_points = ~covered
    gains = np.zeros(len(covered), dtype=np.int64)
    gains += _covering(within, np.flatnonzero(open_points))
    chosen: list[int] = []
    while len(chosen) < count and open_points.any():
        place = int(gains.argmax())
        fresh = np.unpackbits(within[place], count=len(covered)).astype(np.bool_) & open_points
        gains -= _covering(within, np.flatnonzero(fresh))
        open_points &= ~fresh
        chosen.append(place)
    return np.array(chosen, dtype=np.int64)


def _covering(within: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many of the places each point covers; coverage is symmetric, so their rows add up to it."""
    points = len(within)
    total = np.zeros(points, dtype=np.int64)
    for start in range(0, len(places), _BLOCK // 2):
        rows = np.unpackbits(within[places[start : start + _BLOCK // 2]], axis=1, count=points)
        total += rows.sum(axis=0, dtype=np.int32)
    return total
