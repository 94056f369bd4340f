"""A labeler's votes as a few ordered answers, so that scores of any scale can be compared and counted."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.calibration import level_for

MAX_LEVELS = 12
"""Up to so many different votes are answers of their own; more are cut into ranges."""
MIDDLE = 0.5
_NORMAL = NormalDist()
_CUTS = np.array([_NORMAL.cdf(step / 2) for step in range(-4, 7)])


@dataclass(frozen=True, eq=False)
class Answers:
    """One labeler's votes, cut into ordered answers.

    Votes of at most 12 different values are answers of their own. Others are cut where a normal score would be -2,
    -1.5, ... 3: finest at the top, where the rare positives are, and without regard to the scale of the votes.
    A labeler that abstains has one more answer, "no vote", which lies between votes below and from one half: to keep
    silent says neither yes nor no, but seldom nothing.

    :param code: shape (items,), each item's answer, from 0, in rising order.
    :param counts: shape (answers,), items of each answer.
    :param centres: shape (answers,), the median vote of each; NaN for "no vote".
    :param lowest: of the votes, as ``highest``; NaN without votes.
    :param ranged: whether votes were cut into ranges.
    """

    code: NDArray[np.uint8]
    counts: Floats
    centres: Floats
    lowest: float
    highest: float
    ranged: bool

    @property
    def silent(self) -> int | None:
        """Which answer is "no vote"; None if the labeler never abstains."""
        found = np.flatnonzero(np.isnan(self.centres))
        return int(found[0]) if len(found) else None

    @property
    def ranks(self) -> Floats:
        """The middle rank of each answer, as a share of the items, shape (answers,)."""
        share = self.counts / self.counts.sum()
        return np.asarray(np.cumsum(share) - share / 2)


def answers_of(votes: Floats) -> Answers:
    """Cut one labeler's votes into answers.

    :param votes: shape (items,), one item or more, in [0, 1]; NaN abstains.
    """
    voted = ~np.isnan(votes)
    ordered = np.sort(votes[voted])
    starts = np.flatnonzero(np.append(True, np.diff(ordered) > 0)) if len(ordered) else np.zeros(0, dtype=np.int64)
    ranged = len(starts) > MAX_LEVELS
    cuts = _range_cuts(ordered, abstains=len(ordered) < len(votes)) if ranged else ordered[starts[1:]]
    edges = np.concatenate([[0], np.searchsorted(ordered, cuts), [len(ordered)]]) if len(ordered) else np.zeros(1, int)
    centres = np.array([ordered[(start + end - 1) // 2] for start, end in zip(edges[:-1], edges[1:], strict=True)])
    code = np.zeros(len(votes), dtype=np.uint8)
    code[voted] = np.searchsorted(cuts, votes[voted], side="right")
    if not voted.all():
        silent = int((centres < MIDDLE).sum())
        code[voted] += code[voted] >= silent
        code[~voted] = silent
        centres = np.insert(centres, silent, np.nan)
    counts = np.bincount(code, minlength=len(centres)).astype(np.float64)
    lowest, highest = (float(ordered[0]), float(ordered[-1])) if len(ordered) else (np.nan, np.nan)
    return Answers(code, counts, centres, lowest, highest, ranged)


def expected_share(answers: Answers, prevalence: float, discrimination: float = 1.0) -> Floats:
    """Return what is thought of each answer before anything is known: the share of positives among its items.

    Log-odds rise by ``discrimination`` with each unit of the answer's normal score, from where the mean over all items
    is the prevalence. At 1 that is about a labeler with area under the curve .76.

    :return: shape (answers,), rising, each in (0, 1).
    """
    from scipy.special import expit

    slope = discrimination * np.array([_NORMAL.inv_cdf(float(rank)) for rank in answers.ranks])
    return np.asarray(expit(slope + level_for(slope, prevalence, answers.counts)))


def _range_cuts(ordered: Floats, *, abstains: bool) -> Floats:
    """Return the lowest vote of every range but the first, rising; equal votes are never parted."""
    cuts = ordered[np.minimum((_CUTS * len(ordered)).astype(np.int64), len(ordered) - 1)]
    if abstains:
        cuts = np.append(cuts, MIDDLE)
    cuts = np.unique(cuts)
    places, first = np.unique(np.searchsorted(ordered, cuts), return_index=True)
    # A range without votes is none: below the first cut, above the last, or between two that part the same votes.
    return np.asarray(cuts[first][(places > 0) & (places < len(ordered))])
