"""What a student gained on the frozen panel since an earlier one."""

from functools import partial

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Interval, agreement_leverage, grouped_distributions
from al_assets.agreement.core.figures import Figure, as_figure
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import LabelledItems, aligned
from al_assets.agreement.stopping.rules import Bounds


def panel_gain(
    items: LabelledItems, student: Floats, earlier: pl.DataFrame | None, key: str | None, *, resamples: int, seed: int
) -> tuple[Bounds, Figure]:
    """Return the gain since an earlier student as the plateau rule's bounds and as the report's figure.

    :param student: shape (items,), the student's labels, 1, 0 or NaN.
    :param earlier: item_id, label of the student of iteration ``key``; None without labels, or without such a student.
    """
    if key is None or earlier is None:
        return _no_gain("no student that many iterations ago" if key is None else f"no labels of {key}")
    panel = (items.split == "panel") & (items.decisive > 0)
    kept = items.where(panel)
    before = aligned(earlier, kept.item_id)
    known = ~np.isnan(before)
    kept, now, before = kept.where(known), student[panel][known], before[known]
    if not len(kept):
        return _no_gain(f"no labelled panel item that the student of {key} labelled")
    agreement = Panel(kept.votes, {"now": now, "earlier": before})

    def statistics(weights: Floats) -> dict[str, Floats]:
        kappas = agreement.kappas(weights)
        return {"panel_gain": kappas["now_expert_kappa"] - kappas["earlier_expert_kappa"]}

    leverage = agreement_leverage(kept.positive_share)
    gain = grouped_distributions(
        statistics, kept.group, resamples=resamples, seed=seed, leverage=leverage
    )["panel_gain"]  # fmt: skip
    shared = int((kept.decisive > 1).sum())
    bounds = partial(gain.interval, shared, undefined="kappa is undefined for one of the two students")
    made = f"kappa gained since the student of {key}, paired; BCa over groups"
    return bounds, as_figure("panel_gain", "panel", bounds(0.95), made)


def _no_gain(why: str) -> tuple[Bounds, Figure]:
    nothing = Interval(None, None, None, 0, why)
    return lambda _: nothing, as_figure("panel_gain", "panel", nothing)
