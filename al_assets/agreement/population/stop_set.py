"""What the unlabelled stop set, a uniform random sample of the pool, says about the student."""

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Interval, table_distribution, table_leverage
from al_assets.agreement.core.figures import Figure, as_figure
from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells, positive_of
from al_assets.agreement.core.labelled_items import aligned, floats, has_incumbent
from al_assets.agreement.population.thresholds import labels_at

AGREEMENT = "stop_set_agreement"
CHANGE = "predicted_f_change"


def stop_set_figures(
    scores: pl.DataFrame, threshold: float, earlier: pl.DataFrame | None, *, resamples: int, seed: int
) -> dict[str, Figure]:
    """Return the figures of scope pool: positive shares, and agreement with the incumbent and the student before.

    :param scores: item_id, role, p_student, incumbent_label; rows of role ``stop_set`` count.
    :param earlier: item_id, label of the student one iteration before; None if there is none.
    """
    stop_set = scores.filter(pl.col("role") == "stop_set").sort("item_id")
    student = labels_at(floats(stop_set["p_student"]), threshold)
    before = Interval(None, None, None, 0, "no student before this one")
    change: float | None = None
    if earlier is not None:
        ids = np.array(stop_set["item_id"].to_list(), dtype=np.str_)
        labels_before = aligned(earlier, ids)
        before = _agreement(student, labels_before, resamples, seed)
        change = predicted_f_change(student, labels_before)
    size = stop_set.height
    said = "called positive by the student"
    figures = [Figure("positive_share", "pool", float(student.mean()), items=size, detail=said)]
    if has_incumbent(scores):
        incumbent = floats(stop_set["incumbent_label"])
        alike, share = _agreement(student, incumbent, resamples, seed), float(incumbent.mean())
        figures += [
            Figure("incumbent_positive_share", "pool", share, items=size, detail="by the incumbent"),
            as_figure("incumbent_agreement", "pool", alike, "kappa with the incumbent on the stop set"),
        ]
    said = "1 - 2a / (2a + b + c) with the student before on the stop set"
    unknown = "neither student calls anything positive" if before.items else before.reason
    figures += [
        as_figure(AGREEMENT, "pool", before, "kappa with the student before on the stop set"),
        Figure(CHANGE, "pool", change, items=before.items, detail=unknown if change is None else said),
    ]
    return {figure.figure: figure for figure in figures}


def predicted_f_change(now: Floats, before: Floats) -> float | None:
    """Return 1 - 2a / (2a + b + c) of two models' labels (Altschuler and Bloodgood 2019).

    a items are positive for both, b and c for one. It is 1 minus F of one model with the other as the truth.

    :param now: shape (items,), 1, 0 or NaN; an item where either is NaN is left out.
    :return: 0 to 1; None if neither ever says positive: F then says nothing about how alike they are.
    """
    value = 1 - float(positive_of(pair_cells(now, before).sum(axis=0)))
    return None if np.isnan(value) else value


def _agreement(first: Floats, second: Floats, resamples: int, seed: int) -> Interval:
    cells = pair_cells(first, second).sum(axis=0)
    items = int(cells.sum())
    leverage = table_leverage(cells).get("cohen_kappa", np.nan)
    kappa = table_distribution(cells, kappa_of, resamples=resamples, seed=seed, leverage=leverage)
    why = "both call every item the same; kappa is undefined" if items else "no stop-set item that both labelled"
    return kappa.interval(items, undefined=why)
