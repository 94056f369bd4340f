"""Strategies that look at one number of each item: chance, score, uncertainty, disagreement."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least
from al_assets.curation.strategies.base import Candidates, lowest, picks_frame
from al_assets.curation.strategies.registry import ranking, strategy


@strategy(
    "random",
    build=lambda exploration, promising: UniformRandom(),
    sentence="Picked by chance alone, among the items that were left.",
)
@dataclass(frozen=True)
class UniformRandom:
    """Every item has the same chance: the arm that all others are measured against."""

    reason: str = "random"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return a simple random sample without replacement."""
        check_at_least("budget", budget, 0)
        rows = candidates.open_rows
        budget = min(budget, len(rows))
        chosen = np.random.default_rng(seed).choice(rows, budget, replace=False)
        chances = np.full(budget, budget / max(len(rows), 1))
        return picks_frame(candidates.item_ids, chosen, self.reason, np.arange(budget), chances)


@ranking(
    "top_scored",
    sentence="Picked for its high score: among such items positives are most likely.",
    order="scores, the highest first",
)
@dataclass(frozen=True)
class TopScored:
    """The highest p_positive first: finds positives while the labeler is weak."""

    reason: str = "promising"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows with the highest scores."""
        return lowest(candidates, -candidates.scores, count, seed)


@ranking(
    "margin",
    sentence="Picked because its score is near to where the incumbent's label changes.",
    order="scores, the nearest to the change of label first",
)
@dataclass(frozen=True)
class Margin:
    """The scores nearest to where the label changes first (uncertainty sampling, Lewis and Gale 1994)."""

    reason: str = "margin"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows whose score is nearest to the threshold."""
        threshold = implied_threshold(candidates.scores, candidates.positive)
        return lowest(candidates, np.abs(candidates.scores - threshold), count, seed)


@ranking(
    "entropy",
    sentence="Picked because its score is near to one half.",
    order="scores, the nearest to one half first",
)
@dataclass(frozen=True)
class Entropy:
    """The scores nearest to one half first: the largest entropy of a score taken for a probability.

    With two labels least confidence and smallest margin give the same order. Unlike ``Margin`` it does not know the
    threshold, so it is only worth its name when scores are calibrated.
    """

    reason: str = "entropy"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows of largest entropy."""
        return lowest(candidates, np.abs(candidates.scores - 0.5), count, seed)


@ranking(
    "disagreement",
    sentence="Picked because the labelers disagree about it.",
    order="disagreement between the labelers, the largest first",
)
@dataclass(frozen=True)
class Disagreement:
    """Where several labelers disagree most (query by committee, Seung, Opper and Sompolinsky 1992)."""

    reason: str = "disagreement"

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the open rows on which the labelers disagree most.

        :raises CurationError: there is only one labeler.
        """
        if candidates.disagreement is None:
            raise CurationError(
                "disagreement: one labeler alone cannot disagree; name several in labeler (kind: combination), or "
                "choose another strategy"
            )
        return lowest(candidates, -candidates.disagreement, count, seed)


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


def uncertainty(candidates: Candidates) -> NDArray[np.float64]:
    """Return how near each score is to where the label changes, 1 at the threshold, falling to 0 at scores 0 and 1.

    :return: shape (items,), linear on either side of the threshold.
    """
    scores = candidates.scores
    threshold = implied_threshold(scores, candidates.positive)
    below = scores / threshold if threshold > 0 else np.zeros(len(scores))
    above = (1 - scores) / (1 - threshold) if threshold < 1 else np.zeros(len(scores))
    near: NDArray[np.float64] = np.where(scores < threshold, below, above)
    return np.where(scores == threshold, 1.0, np.clip(near, 0, 1))
