"""Two views: the labeler and a reference that was taught by the other, or taught it. Where they disagree, one errs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.queue.cold_start import normal_score
from al_assets.curation.strategies.base import Candidates, lowest
from al_assets.curation.strategies.by_score import uncertainty
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import most_similar

_LOOKED_AT = 4
"""Items looked at for each one wanted, so that they can differ."""


@ranking(
    "contention",
    sentence="Picked because LLM-0 and the student that it taught disagree about it.",
    order="how sure LLM-0 and the student are of opposite labels, each unlike those before it",
    vectors=True,
    reference=True,
)
@dataclass(frozen=True)
class Contention:
    """Items of which the labeler and the reference are sure, and of opposite labels (co-testing, Muslea et al. 2000).

    Either calls as much of the pool positive as the labeler does. Sureness is the distance from there in normal scores
    of ranks, the smaller of the two; each item counts the less, the more it resembles one that is ranked before it.
    Without a reference the least sure come first.
    """

    reason: str = "contention"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows that are most contested first, ties by lot."""
        if not len(candidates.open_rows):
            return candidates.open_rows
        contested = contention(candidates)
        rows = lowest(candidates, -contested, _LOOKED_AT * count, seed)
        vectors = candidates.required_vectors("contention").take(rows)
        # Above 0, so that likeness counts against those that are not contested too.
        worth = contested[rows] - contested[rows].min(initial=0.0) + 1e-9
        order, nearest = np.empty(min(count, len(rows)), dtype=np.int64), np.zeros(len(rows), dtype=np.float64)
        left = np.ones(len(rows), dtype=np.bool_)
        for place in range(len(order)):
            best = int(np.argmax(np.where(left, worth * (1 - nearest), -np.inf)))
            order[place], left[best] = best, False
            nearest = np.maximum(nearest, np.clip(most_similar(vectors, vectors[best : best + 1]), 0, 1))
        return rows[order]


def contention(candidates: Candidates) -> NDArray[np.float64]:
    """Return how sure both views are of opposite labels, below 0 where they say the same; shape (items,).

    NaN of a reference counts as no opinion: 0.
    """
    if candidates.reference is None:
        return uncertainty(candidates) - 1
    known, share = ~np.isnan(candidates.reference), float(candidates.positive.mean())
    sure = np.zeros((2, len(known)))
    for view, scores in enumerate((candidates.scores, candidates.reference)):
        pool = np.sort(scores[known])
        cut = np.quantile(pool, 1 - share) if len(pool) else 0.0
        sure[view, known] = normal_score(pool, scores[known]) - normal_score(pool, np.array([cut]))
    return np.asarray(-np.sign(sure[0] * sure[1]) * np.abs(sure).min(axis=0))
