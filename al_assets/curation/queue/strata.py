"""The stratified random sample behind the audit: strata of the score, their share of the budget, the draw."""

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least

# Two items a stratum, or its variance cannot be estimated (Rao-Wu needs n_h - 1 >= 1).
FLOOR = 2
# Half of the budget at most is dealt out evenly, and no more than this to a stratum (statistics.md, 9).
_EVEN_FLOOR = 20
_ITEMS_A_STRATUM = 4
# Scores are not calibrated when the first audit is drawn. The threshold is matched to the expected prevalence, so as
# many positives are missed as are falsely called; without labels the guess for either is half of what is called.
_ASSUMED_PRECISION = 0.5
_LEAST_RATE = 0.01
# A positive among the items called positive moves kappa two to three times as far as one among the others (called
# share 5-15 %, kappa .3-.5), prevalence equally far: twice is the compromise.
_CALLED_MATTERS = 2.0


@dataclass(frozen=True)
class StrataPlan:
    """Strata of a pool and how many items are to be drawn from each.

    If anything is drawn, every item has a chance above 0 and it is known exactly, so weights of one over it give
    unbiased figures of the pool (statistics.md, 9).

    :param names: shape (strata,).
    :param member: shape (items,), each item's stratum.
    :param sizes: shape (strata,), N_h.
    :param counts: shape (strata,), n_h.
    """

    names: NDArray[np.str_]
    member: NDArray[np.int64]
    sizes: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def inclusion_probability(self) -> NDArray[np.float64]:
        """Each item's chance n_h / N_h of being drawn, shape (items,)."""
        chances: NDArray[np.float64] = (self.counts / self.sizes)[self.member]
        return chances

    def draw(self, seed: int | np.random.Generator) -> NDArray[np.int64]:
        """Return the rows drawn without replacement, stratum by stratum."""
        rng = np.random.default_rng(seed)
        drawn = [
            np.sort(rng.choice(members, count, replace=False))
            for members, count in zip(self._members, self.counts.tolist(), strict=True)
        ]
        return np.concatenate([np.zeros(0, dtype=np.int64), *drawn])

    @cached_property
    def _members(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(self.member == number) for number in range(len(self.names))]


def plan_strata(scores: NDArray[np.float64], positive: NDArray[np.bool_], *, budget: int, bins: int) -> StrataPlan:
    """Return strata of score and pseudo-label and their shares of the budget, by Neyman's rule with assumed spreads.

    The spread of a stratum is that of the positives it is assumed to hold: half of what is called positive, and among
    the rest what balances that, half of it spread evenly and half in proportion to the mean score. Raw scores alone
    would not do: a labeler whose scores are low throughout would get few items of what it calls positive, and those
    decide kappa and precision. A budget too small for four items a stratum makes the strata coarser, never empty.

    :param scores: p_positive of each item, shape (items,); only their order and rough proportions matter.
    :param budget: items wanted; all are drawn if there are no more.
    :param bins: score quantile bins wanted.
    :raises CurationError: budget or bins is out of range.
    """
    check_at_least("audit budget", budget, 0)
    check_at_least("audit_strata", bins, 1)
    budget = min(budget, len(scores))
    names, member = score_strata(scores, positive, bins=bins, most=max(1, budget // _ITEMS_A_STRATUM))
    sizes = np.bincount(member, minlength=len(names)).astype(np.int64)
    counts = np.zeros(len(names), dtype=np.int64)
    if budget:
        floor = max(FLOOR, min(_EVEN_FLOOR, budget // (2 * len(names))))
        counts = allocate(sizes, assumed_spread(scores, positive, member), budget, floor)
    return StrataPlan(names, member, sizes, counts)


def assumed_spread(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], member: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what to take for each stratum's spread S_h before anything is labelled, see ``plan_strata``.

    :param member: shape (items,), each item's stratum, numbered from 0.
    :return: shape (strata,), above 0; doubled where most items are called positive.
    """
    sizes = np.bincount(member)
    called = np.bincount(member, weights=positive) > sizes / 2
    share = float(positive.mean())
    missed = (1 - _ASSUMED_PRECISION) * share / max(1 - share, 1 / len(scores))
    typical = float(scores[~positive].mean()) if share < 1 else 0.0
    relative = np.bincount(member, weights=scores) / sizes / typical if typical > 0 else np.ones(len(sizes))
    rate = np.where(called, _ASSUMED_PRECISION, np.clip(missed * (1 + relative) / 2, _LEAST_RATE, 0.5))
    return np.asarray(np.sqrt(rate * (1 - rate)) * np.where(called, _CALLED_MATTERS, 1.0))


def score_strata(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], *, bins: int, most: int
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the strata's names, by score quantile bin and pseudo-label (``score 5/5, positive``), and each item's.

    Equal scores share a bin. If there are more than ``most`` strata, fewer bins are made; at last the labels share one.
    """
    for count in range(bins, 0, -1):
        edges = np.quantile(scores, np.arange(1, count) / count) if len(scores) else np.zeros(0)
        codes, member = np.unique(2 * np.searchsorted(edges, scores, side="right") + positive, return_inverse=True)
        if len(codes) <= most:
            names = [f"score {code // 2 + 1}/{count}, {('negative', 'positive')[code % 2]}" for code in codes.tolist()]
            return np.array(names, dtype=np.str_), member.astype(np.int64)
    return np.array(["all"], dtype=np.str_), np.zeros(len(scores), dtype=np.int64)


def allocate(
    sizes: NDArray[np.int64], spread: NDArray[np.float64], budget: int, floor: int = FLOOR
) -> NDArray[np.int64]:
    """Divide a budget over strata so that the sum of N_h^2 S_h^2 / n_h is least: Neyman's n_h ~ N_h S_h in whole items.

    Each further item goes where it lowers the variance most, by the priority N_h S_h / sqrt(n (n + 1)) (Wright 2012,
    The American Statistician 66:217-224), within floor <= n_h <= N_h.

    :param sizes: items in each stratum, N_h.
    :param spread: standard deviation in each stratum, S_h, above 0.
    :raises CurationError: the budget is above the number of items, or below one item a stratum.
    """
    counts = np.minimum(sizes, floor)
    if counts.sum() > budget:
        counts = np.minimum(sizes, 1)
    if not counts.sum() <= budget <= sizes.sum():
        raise CurationError(
            f"audit budget: {budget} items for {len(sizes)} strata of {sizes.sum()} items; "
            "expected at least one for each stratum and at most all items"
        )
    priority = sizes * spread

    def entry(stratum: int) -> tuple[float, int]:
        count = int(counts[stratum])
        # A stratum below one item comes before all others.
        return (-float(priority[stratum]) / (count * (count + 1)) ** 0.5 if count else -np.inf, stratum)

    waiting = [entry(stratum) for stratum in range(len(sizes)) if counts[stratum] < sizes[stratum]]
    heapq.heapify(waiting)
    for _ in range(budget - int(counts.sum())):
        _, stratum = heapq.heappop(waiting)
        counts[stratum] += 1
        if counts[stratum] < sizes[stratum]:
            heapq.heappush(waiting, entry(stratum))
    return counts
