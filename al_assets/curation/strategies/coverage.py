"""Strategies that spread picks over the whole space: k-center and facility location."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.by_score import uncertainty
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import drawn, filled, most_similar

# Points looked at together; more share one pass over the pool, but cost a product of their square.
_AT_ONCE = 512
_BLOCK = 8_192


@ranking(
    "k_center",
    sentence="Picked because it lies far from everything picked or labelled before it.",
    vectors=True,
)
@dataclass(frozen=True)
class KCenter:
    """The item farthest from all picked and labelled ones first (greedy k-center, Sener and Savarese 2018).

    The greedy order covers every item within twice the smallest possible radius (Gonzalez 1985). It goes for outliers:
    it does not look at scores, nor at how many items are near.

    :param most: open items looked at, drawn by lot where there are more; 100,000 of 384 numbers take 154 MB.
    """

    most: int = 100_000
    reason: str = "k_center"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return open rows, each the farthest from the labelled and those before it; the first by lot if none is."""
        vectors = candidates.required_vectors("k_center")
        rows = drawn(candidates.open_rows, self.most, (seed, 10))
        points = vectors.take(rows)
        nearest = most_similar(points, vectors.take(candidates.labelled_rows))
        return filled(rows[farthest_first(points, nearest, count)], candidates, count, seed)


@ranking(
    "facility_location",
    sentence="Picked because many items resemble it more than anything picked or labelled before it.",
    vectors=True,
)
@dataclass(frozen=True)
class FacilityLocation:
    """The items that together are most similar to all (facility location; Nemhauser, Wolsey and Fisher 1978).

    Greedily maximises the sum over reference items of the largest cosine (at least 0) to a picked or labelled item. The
    greedy order reaches at least 1 - 1/e of the best sum that any choice of as many of the same candidates reaches.

    :param by_uncertainty: reference items and candidates are drawn in proportion to ``uncertainty``, so that the sum
        speaks for the boundary; otherwise every open item has the same chance.
    :param references: reference items, at most; they are drawn by lot and stand for all.
    :param most: candidates, at most, drawn by lot; 20,000 against 2,000 references take 160 MB.
    """

    by_uncertainty: bool = True
    references: int = 2_000
    most: int = 20_000
    reason: str = "facility_location"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return open rows, each adding most to what the labelled ones and those before it cover."""
        vectors = candidates.required_vectors("facility_location")
        rows = candidates.open_rows
        weights = uncertainty(candidates)[rows] if self.by_uncertainty else None
        references = vectors.take(drawn(rows, self.references, (seed, 11), weights))
        rows = drawn(rows, self.most, (seed, 12), weights)
        similarity = vectors.take(rows) @ references.T
        np.maximum(similarity, 0, out=similarity)
        covered = np.maximum(most_similar(references, vectors.take(candidates.labelled_rows)), 0)
        return filled(rows[facility_location(similarity, covered, count)], candidates, count, seed)


def farthest_first(points: NDArray[np.float32], nearest: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the places of ``count`` points, each the farthest from the centres and the points before it.

    Exact, in few passes over the points: the farthest of now are put on a list, picked from it while its farthest is at
    least as far as all that is not on it (distances only fall), and only then are all distances brought up to date.

    :param points: shape (points, dimensions), rows of length one.
    :param nearest: each point's largest cosine to a centre, minus infinity without centres, shape (points,).
    :return: shape (min(count, points),); of equals the first in ``points`` is taken first.
    """
    nearest = nearest.copy()
    count = min(count, len(points))
    chosen: list[int] = []
    while len(chosen) < count:
        batch = _next_farthest(points, nearest, count - len(chosen))
        np.maximum(nearest, most_similar(points, points[batch]), out=nearest)
        nearest[batch] = np.inf
        chosen.extend(batch)
    return np.array(chosen, dtype=np.int64)


def _next_farthest(points: NDArray[np.float32], nearest: NDArray[np.float32], wanted: int) -> list[int]:
    size = min(_AT_ONCE, len(points))
    bound = np.partition(nearest, size - 1)[size - 1]
    farther = np.flatnonzero(nearest < bound)
    listed = np.sort(np.concatenate([farther, np.flatnonzero(nearest == bound)[: size - len(farther)]]))
    own, products = nearest[listed], points[listed] @ points[listed].T
    batch: list[int] = []
    while len(batch) < wanted:
        place = int(own.argmin())
        if batch and own[place] > bound:
            break
        batch.append(int(listed[place]))
        own = np.maximum(own, products[place])
        own[place] = np.inf
    return batch


def facility_location(similarity: NDArray[np.float32], covered: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the places of ``count`` candidates, each adding most to the sum of the references' largest similarity.

    Lazy greedy (Minoux 1978): a gain can only fall, so one that was brought up to date and is still the largest is the
    largest of all. The order is that of the plain greedy algorithm.

    :param similarity: shape (candidates, references), at least 0.
    :param covered: each reference's similarity to what is picked already, shape (references,), at least 0.
    :return: shape (min(count, candidates),); of equals the first is taken first.
    """
    covered = covered.copy()
    waiting: list[tuple[float, int, int]] = []
    for start in range(0, len(similarity), _BLOCK):
        gains = np.maximum(similarity[start : start + _BLOCK] - covered, 0).sum(axis=1)
        waiting.extend((-float(gain), start + place, 0) for place, gain in enumerate(gains))
    heapq.heapify(waiting)
    chosen: list[int] = []
    while waiting and len(chosen) < count:
        _, place, round_of_gain = waiting[0]
        if round_of_gain == len(chosen):
            heapq.heappop(waiting)
            chosen.append(place)
            np.maximum(covered, similarity[place], out=covered)
        else:
            gain = float(np.maximum(similarity[place] - covered, 0).sum())
            heapq.heapreplace(waiting, (-gain, place, len(chosen)))
    return np.array(chosen, dtype=np.int64)
