"""What the unlabelled stop set, a uniform random sample of the pool, says about the student."""

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Interval, table_distribution
from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells
from al_assets.agreement.core.labelled_items import aligned, floats
from al_assets.agreement.report.scopes import Figure, as_figure, table_leverage
from al_assets.agreement.stopping import predicted_f_change

AGREEMENT = "stop_set_agreement"
CHANGE = "predicted_f_change"


def stop_set_scope(
    scores: pl.DataFrame, threshold: float, earlier: pl.DataFrame | None, *, resamples: int, seed: int
) -> dict[str, Figure]:
    """Return the figures of scope pool: positive shares, and agreement with the incumbent and the student before.

    :param scores: item_id, role, p_student, incumbent_label; rows of role ``stop_set`` count.
    :param earlier: item_id, label of the student one iteration before; None if there is none.
    """
    stop_set = scores.filter(pl.col("role") == "stop_set").sort("item_id")
    student = labels_at(floats(stop_set["p_student"]), threshold)
    incumbent = floats(stop_set["incumbent_label"])
    before = Interval(None, None, None, 0, "no student before this one")
    change: float | None = None
    if earlier is not None:
        ids = np.array(stop_set["item_id"].to_list(), dtype=np.str_)
        labels_before = aligned(earlier, ids)
        before = _agreement(student, labels_before, resamples, seed)
        change = predicted_f_change(student, labels_before)
    with_incumbent = _agreement(student, incumbent, resamples, seed)
    size = stop_set.height
    figures = [
        Figure("positive_share", "pool", float(student.mean()), items=size, detail="called positive by the student"),
        Figure("incumbent_positive_share", "pool", float(incumbent.mean()), items=size, detail="by the incumbent"),
        as_figure("incumbent_agreement", "pool", with_incumbent, "kappa with the incumbent on the stop set"),
        as_figure(AGREEMENT, "pool", before, "kappa with the student before on the stop set"),
        Figure(CHANGE, "pool", change, items=before.items, detail=_about_change(change, before)),
    ]
    return {figure.figure: figure for figure in figures}


def labels_at(scores: Floats, threshold: float) -> Floats:
    """Return 1 where a score is at or above the threshold, 0 below, NaN where there is no score."""
    return np.where(np.isnan(scores), np.nan, (scores >= threshold).astype(np.float64))


def _about_change(change: float | None, before: Interval) -> str | None:
    if change is not None:
        return "1 - 2a / (2a + b + c) with the student before on the stop set"
    return "neither student calls anything positive" if before.items else before.reason


def _agreement(first: Floats, second: Floats, resamples: int, seed: int) -> Interval:
    cells = pair_cells(first, second).sum(axis=0)
    items = int(cells.sum())
    leverage = table_leverage(cells).get("cohen_kappa", np.nan)
    found = table_distribution(cells, kappa_of, resamples=resamples, seed=seed, leverage=leverage)
    why = "both call every item the same; kappa is undefined" if items else "no stop-set item that both labelled"
    return found.interval(items, undefined=why)
