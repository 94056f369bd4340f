"""How often a loop was right about its students: its own labels held against the population's, which it never sees."""

from collections.abc import Sequence

import numpy as np

from al_assets.study.report.arms import BASELINES, Arm, SummaryRow


def judgements(arms: Sequence[Arm]) -> list[SummaryRow]:
    """Return, over all seeds and rounds of an arm, what its loops said of their students and what is true.

    The truth is the difference in kappa on held-out items drawn at random, which has an error of its own: an interval
    holds it a little less often than its 95 %.

    :return: one row an arm: ``students`` judged; those ``truly_better`` than the model recommended so far,
        ``called_better``, and ``called_wrongly``; ``bias``, the mean gain in the pool minus the true one; ``held``, the
        share of intervals that hold the truth; and the students ``promoted`` to label next, with those of them that
        are ``promoted_worse`` than the incumbent.
    """
    return [_row(arm) for arm in arms if arm.strategy not in BASELINES and not np.isnan(arm.values["promoted"]).all()]


def _row(arm: Arm) -> SummaryRow:
    values = arm.values
    kappa, gain, low, high = (values[name] for name in ("kappa", "gain", "gain_low", "gain_high"))
    truth = kappa - values["recommended_kappa"]
    judged, sure, promoted = ~np.isnan(truth), values["better"] == 1, values["promoted"] == 1
    bounded, known = ~np.isnan(truth + low + high), ~np.isnan(truth + gain)
    return {
        **arm.key,
        "students": int(judged.sum()),
        "truly_better": int((truth > 0).sum()),
        "called_better": int((judged & sure).sum()),
        "called_wrongly": int((sure & (truth <= 0)).sum()),
        "bias": float((gain - truth)[known].mean()) if known.any() else None,
        "held": float(((low <= truth) & (truth <= high))[bounded].mean()) if bounded.any() else None,
        "promoted": int(promoted.sum()),
        "promoted_worse": int((promoted & (kappa < values["incumbent_kappa"])).sum()),
    }
