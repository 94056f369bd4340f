"""The stratified random sample behind the audit: strata of the score, their share of the budget, the draw."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least

# Two items a stratum, or its variance cannot be estimated (Rao-Wu needs n_h - 1 >= 1).
FLOOR = 2
# Scores are not yet calibrated: a stratum scored 0 or 1 throughout still gets what a 5 % error rate would deserve.
_LEAST_DOUBT = 0.05


@dataclass(frozen=True)
class StratifiedSample:
    """The drawn rows, and of every item: its stratum, the stratum's size N_h, its chance n_h / N_h of being drawn."""

    rows: NDArray[np.int64]
    stratum: NDArray[np.str_]
    stratum_size: NDArray[np.int64]
    inclusion_probability: NDArray[np.float64]


def stratified_sample(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], *, budget: int, bins: int, seed: int
) -> StratifiedSample:
    """Draw a random sample within strata of score and pseudo-label, most from where the label is in doubt.

    If anything is drawn, every item has a chance above 0 and it is known exactly, so weights 1 / inclusion_probability
    give unbiased figures of the pool (statistics.md, 9). A budget too small for two items a stratum makes the strata
    coarser, never empty.

    :param scores: p_positive of each item, shape (items,).
    :param budget: items wanted; all are drawn if there are no more.
    :param bins: score quantile bins wanted.
    """
    check_at_least("audit budget", budget, 0)
    check_at_least("audit_strata", bins, 1)
    budget = min(budget, len(scores))
    names = score_strata(scores, positive, bins=bins, most=max(1, budget // FLOOR))
    found, member, sizes = np.unique(names, return_inverse=True, return_counts=True)
    counts = np.zeros(len(found), dtype=np.int64)
    if budget:
        doubt = np.clip(np.bincount(member, weights=scores) / sizes, _LEAST_DOUBT, 1 - _LEAST_DOUBT)
        counts = allocate(sizes, np.sqrt(doubt * (1 - doubt)), budget)
    rng = np.random.default_rng(seed)
    drawn = [
        np.sort(rng.choice(np.flatnonzero(member == number), count, replace=False))
        for number, count in enumerate(counts.tolist())
    ]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *drawn])
    return StratifiedSample(rows, names, sizes[member], (counts / sizes)[member])


def score_strata(scores: NDArray[np.float64], positive: NDArray[np.bool_], *, bins: int, most: int) -> NDArray[np.str_]:
    """Return each item's stratum: its score's quantile bin and its pseudo-label, such as ``score 5/5, positive``.

    Equal scores share a bin. If there are more than ``most`` strata, fewer bins are made; at last the labels share one.
    """
    for count in range(bins, 0, -1):
        edges = np.quantile(scores, np.arange(1, count) / count) if len(scores) else np.zeros(0)
        codes, member = np.unique(2 * np.searchsorted(edges, scores, side="right") + positive, return_inverse=True)
        if len(codes) <= most:
            names = [f"score {code // 2 + 1}/{count}, {('negative', 'positive')[code % 2]}" for code in codes.tolist()]
            return np.array(names, dtype=np.str_)[member]
    return np.full(len(scores), "all", dtype=np.str_)


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
