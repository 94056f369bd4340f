"""Draws that the strategies share: seeded sub-samples, and what is ranked behind a strategy's own order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.strategies.base import Candidates


def drawn(
    rows: NDArray[np.int64], most: int, seed: int | tuple[int, ...], weights: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Return at most ``most`` of the rows in random order, without replacement.

    :param weights: the larger, the sooner a row is drawn, shape (rows,), none below 0: each draw takes one of the rows
        left with a chance in proportion to its weight (Efraimidis and Spirakis 2006). None is equal chances.
    """
    rng = np.random.default_rng(seed)
    if weights is None:
        return rng.permutation(rows)[:most]
    with np.errstate(divide="ignore"):
        # The earliest of exponential arrivals; a weight of 0 never arrives and comes last.
        arrival = rng.exponential(size=len(rows)) / weights
    if 0 < most < len(rows):
        early = np.flatnonzero(arrival <= np.partition(arrival, most - 1)[most - 1])
        rows, arrival = rows[early], arrival[early]
    return rows[np.argsort(arrival, kind="stable")[:most]]


def filled(order: NDArray[np.int64], candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
    """Return the first ``count`` of the order; if it is too short, the open items it left out follow by lot."""
    if len(order) >= count:
        return order[:count]
    behind = np.setdiff1d(candidates.open_rows, order, assume_unique=True)
    return np.concatenate([order, drawn(behind, count - len(order), (seed, 6))])


def drawn_by_softmax(logits: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``size`` places drawn one after the other without replacement, each by the softmax of the logits left.

    The largest of logits plus Gumbel noise are such a draw (Kool, van Hoof and Welling 2019). No exponential is taken,
    so logits of any size neither overflow nor vanish.

    :param logits: shape (places,); minus infinity is never drawn while another is left.
    """
    keys = logits + rng.gumbel(size=len(logits))
    return np.argsort(-keys, kind="stable")[:size]


def most_similar(points: NDArray[np.float32], others: NDArray[np.float32], block: int = 8_192) -> NDArray[np.float32]:
    """Return each point's largest cosine to any of the others, shape (points,); minus infinity if there are none."""
    best = np.full(len(points), -np.inf, dtype=np.float32)
    if len(others):
        for start in range(0, len(points), block):
            best[start : start + block] = (points[start : start + block] @ others.T).max(axis=1)
    return best


def distances(cosines: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Euclidean distances of vectors of length one from their cosines, 0 to 2."""
    return np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0))
