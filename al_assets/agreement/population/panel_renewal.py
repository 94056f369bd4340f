"""When the frozen panel has to be renewed because the pool drifted.

The panel is a sample of the pool as it was when it was drawn. To see whether the pool is still that pool, one fixed
labeler's scores of both snapshots are compared: the labeler of the panel's first iteration, never the current one, or
each retraining would look like drift of the pool. Levels on two panels are never subtracted from each other: in the
iteration that draws the new panel the same student is to be measured on both.
"""

from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.kappa import Floats
from al_assets.formatting import decimal

FEWEST_ITEMS = 100
_BINS = 10


@dataclass(frozen=True)
class PanelRenewal:
    """Whether the panel should be renewed.

    :param index: population stability index between the snapshots; None if it cannot be told.
    :param by_chance: what the index stays below in 999 of 1,000 pairs of samples of one and the same pool.
    """

    due: bool
    index: float | None
    by_chance: float | None
    reason: str


def panel_renewal(then: Floats, now: Floats, *, limit: float = 0.2) -> PanelRenewal:
    """Say whether the pool has drifted so far that the panel no longer stands for it.

    Due if the population stability index, sum (q - p) ln(q / p) over tenths of the first snapshot, is above the limit
    and above what chance gives: about (1 / n + 1 / m) times a chi-square of bins - 1 degrees of freedom (Yurdakul and
    Naranjo 2020, Journal of Risk Model Validation 14(4)). By convention below .1 is no drift, .1 to .25 some, above
    .25 a different population. A significance test alone would call every large pool drifted.

    :param then: p_positive by one fixed labeler of the pool the panel was drawn from (all of it or a random sample),
        shape (items,), in [0, 1].
    :param now: the same labeler's scores of the pool as it is now.
    :raises ValueError: a score is missing or out of range, or the limit is not above 0.
    """
    from scipy.stats import chi2

    for name, scores in (("then", then), ("now", now)):
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            raise ValueError(f"{name}: scores outside 0 to 1 or missing; score both snapshots with the same labeler")
    if not limit > 0:
        raise ValueError(f"limit: {limit}; expected a number above 0, such as 0.2")
    fewest = min(len(then), len(now))
    if fewest < FEWEST_ITEMS:
        why = f"cannot tell: {fewest} scored items; it takes {FEWEST_ITEMS} of each snapshot"
        return PanelRenewal(False, None, None, why)
    edges = np.unique(np.quantile(then, np.arange(1, _BINS) / _BINS))
    before, after = (
        np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1) for scores in (then, now)
    )
    # Half an item in each bin, as an empty one would make the index infinite.
    p, q = ((counts + 0.5) / (counts.sum() + len(counts) / 2) for counts in (before, after))
    index = float(((q - p) * np.log(q / p)).sum())
    chance = float((1 / before.sum() + 1 / after.sum()) * chi2.ppf(0.999, max(len(before) - 1, 1)))
    drift = f"population stability index {decimal(index, 3)} (limit {limit:g}, by chance below {decimal(chance, 3)})"
    way = "up" if now.mean() > then.mean() else "down"
    shifted = f"scores moved {way} from {decimal(then.mean(), 3)} to {decimal(now.mean(), 3)}"
    if index <= limit:
        return PanelRenewal(False, index, chance, f"{drift}: the panel still stands for the pool")
    if index <= chance:
        return PanelRenewal(False, index, chance, f"{drift}: too few items to tell drift from chance")
    said = f"{drift}: the pool drifted, {shifted}; draw a new panel and measure both once"
    return PanelRenewal(True, index, chance, said)
