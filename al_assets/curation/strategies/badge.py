"""BADGE: picks that are uncertain and differ from each other, by the gradients they would cause."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.strategies.base import Candidates, lowest
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import filled

# Draws made from the same distances; more share one pass over the pool, but are rejected more often.
_AT_ONCE = 512
_BLOCK = 8_192
# Squared distances below this part of the longest squared gradient are rounding errors of equal ones.
_ROUNDING = 1e-6


@ranking("badge", sentence="Picked as uncertain and unlike the other picks.", vectors=True)
@dataclass(frozen=True)
class Badge:
    """Seeds of k-means++ among the gradients that each item's pseudo-label would cause (Ash et al. 2020).

    The gradient of the loss in the last layer is (p - onehot of the pseudo-label) times the vector. With two labels its
    halves differ only in sign, so half of it is enough: ``(p - 1)`` times the vector of a positive item, ``p`` times
    that of a negative one. Long gradients are uncertain items, and k-means++ rarely takes two that are close.

    As in the authors' code the first pick is the longest gradient and there are no trial draws.

    :param most: open items looked at, those with the longest gradients; 100,000 of 384 numbers take 154 MB.
    """

    most: int = 100_000
    reason: str = "badge"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return open rows in the order in which k-means++ drew them."""
        vectors = candidates.required_vectors("badge")
        factor = candidates.scores - candidates.positive
        rows = lowest(candidates, -np.abs(factor), self.most, seed)
        gradients = vectors.take(rows)
        gradients *= factor[rows, None].astype(np.float32)
        places = plus_plus(gradients, count, np.random.default_rng((seed, 30)), first=0)
        return filled(rows[places], candidates, count, seed)


def plus_plus(
    points: NDArray[np.float32], count: int, rng: np.random.Generator, first: int | None = None
) -> NDArray[np.int64]:
    """Return seeds of k-means++ without trial draws (Arthur and Vassilvitskii 2007), none twice.

    Each seed is drawn with a chance in proportion to its squared distance to the seeds before it. Exact, in few passes
    over the points: draws come from the distances as they were when all were last brought up to date, and one is
    accepted with its distance of now over that one. It stops early when every point equals a seed.

    :param points: shape (points, dimensions), of any length.
    :param first: the place of the first seed; None draws it, each point with the same chance.
    :return: shape (at most count,).
    """
    if not len(points) or count < 1:
        return np.zeros(0, dtype=np.int64)
    squares = np.einsum("ij,ij->i", points, points)
    nothing = _ROUNDING * float(squares.max())
    chosen = [int(rng.integers(len(points))) if first is None else first]
    away = _squared_distance(points, squares, chosen, nothing)
    while len(chosen) < count and away.any():
        batch = _accepted(points, squares, away, count - len(chosen), nothing, rng)
        chosen.extend(batch)
        np.minimum(away, _squared_distance(points, squares, batch, nothing), out=away)
    return np.array(chosen, dtype=np.int64)


def _accepted(
    points: NDArray[np.float32],
    squares: NDArray[np.float32],
    away: NDArray[np.float64],
    wanted: int,
    nothing: float,
    rng: np.random.Generator,
) -> list[int]:
    total = np.cumsum(away)
    size = min(_AT_ONCE, 4 * wanted)
    draws = np.searchsorted(total, rng.random(size) * total[-1], side="right")
    # The sum may round up to its end, where the last points may have no chance.
    draws = np.minimum(draws, np.flatnonzero(away)[-1])
    limits = rng.random(size) * away[draws]
    apart = _apart(points[draws], squares[draws], points[draws], squares[draws], nothing)
    now = away[draws]
    batch: list[int] = []
    for place, draw in enumerate(draws.tolist()):
        if limits[place] < now[place] and len(batch) < wanted:
            batch.append(draw)
            # A point drawn again is at distance 0 of itself.
            now = np.where(draws == draw, 0, np.minimum(now, apart[place]))
    return batch


def _squared_distance(
    points: NDArray[np.float32], squares: NDArray[np.float32], seeds: list[int], nothing: float
) -> NDArray[np.float64]:
    """Return each point's squared distance to the nearest seed, shape (points,)."""
    nearest = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        own = slice(start, start + _BLOCK)
        apart = _apart(points[own], squares[own], points[seeds], squares[seeds], nothing)
        nearest[own] = apart.min(axis=1)
    nearest[seeds] = 0
    return nearest


def _apart(
    some: NDArray[np.float32],
    their_squares: NDArray[np.float32],
    others: NDArray[np.float32],
    other_squares: NDArray[np.float32],
    nothing: float,
) -> NDArray[np.float32]:
    squared = some @ others.T
    squared *= -2
    squared += their_squares[:, None]
    squared += other_squares[None, :]
    squared[squared < nothing] = 0
    return squared
