"""Beside kappa, for want of answers: "cannot decide" as a third answer, and the items that kappa leaves out."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import grouped_distributions
from al_assets.agreement.core.figures import Figure, as_figure
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import LabelledItems
from al_assets.agreement.core.undecided import ALPHA, UndecidedPanel
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.population_figures import sample_distributions
from al_assets.agreement.report.scopes import held_out_sample, scope_masks

SCOPES = ("boundary", "evaluation", "panel", "audit", "loop")
LEFT_OUT = "left_out_of_kappa"
_NAMED = 5
_COMPARED = ("model", "incumbent")


def undecided_figures(
    items: LabelledItems, models: Mapping[str, Floats], design: PoolDesign, *, resamples: int, seed: int
) -> list[Figure]:
    """Return, of each scope, how many items kappa leaves out and, where anybody could not decide, ``UndecidedPanel``.

    These rest on the items with two answers, "cannot decide" included; in the audit weighted to the pool. Where nobody
    was undecided alpha is Krippendorff's and either bound is kappa itself, so there are none.

    :param models: see ``all_scopes``; NaN for fine-tuning items.
    :param design: how the items came to be asked.
    """
    figures = []
    for scope in SCOPES:
        mask = scope_masks(items)[scope]
        figures.append(left_out_of_kappa(scope, items.where(mask)))
        usable = two_answers(items, scope)
        kept = items.where(usable)
        if not kept.undecided.any():
            continue
        compared = {name: labels[usable] for name, labels in models.items() if name in _COMPARED and scope != "loop"}
        panel = UndecidedPanel(kept.votes, kept.undecided_by, compared)
        if scope == "audit":
            sample = held_out_sample(items, models, design, usable)
            if not sample.random.any():
                names, why = panel.figures(np.zeros((1, len(kept)))), "no random item has two answers"
                figures += [Figure(name, scope, None, items=0, detail=why) for name in names]
                continue
            found = sample_distributions(sample, panel.figures, resamples=resamples, seed=seed)
            count = int(sample.random.sum())
            method = f"weighted to the pool; Rao-Wu, {resamples} resamples of {count} random items"
        else:
            found = grouped_distributions(panel.figures, kept.group, resamples=resamples, seed=seed)
            count = len(kept)
            method = f"BCa, {resamples} resamples of {found[ALPHA].groups} groups"
        nobody = bool(np.isnan(kept.votes).all())
        undefined = "every answer is 'cannot decide'" if nobody else "however they are decided, one label only occurs"
        figures += [
            as_figure(name, scope, each.interval(count, undefined=undefined), method) for name, each in found.items()
        ]
    return figures


def two_answers(items: LabelledItems, scope: str) -> NDArray[np.bool_]:
    """Return which items the undecided figures of a scope rest on: shape (items,)."""
    # Of the pool all evaluation items tell, those chosen by rule for themselves.
    mask = items.evaluation if scope == "audit" else scope_masks(items)[scope]
    return mask & (items.answers >= 2)


def left_out_of_kappa(scope: str, items: LabelledItems) -> Figure:
    """Return how many items with an answer kappa leaves out, for want of two decisive votes, and which.

    :param items: those of the scope.
    """
    if not len(items):
        return Figure(LEFT_OUT, scope, None, items=0, detail="no labelled item in this scope")
    left_out = items.where(items.decisive < 2)
    undecided = int((left_out.answers >= 2).sum())
    detail = f"{len(left_out)} of {len(items)} items have fewer than two decisive votes"
    if len(left_out):
        named = ", ".join(left_out.item_id[:_NAMED].tolist())
        detail += (
            f": {undecided} by 'cannot decide', {len(left_out) - undecided} with one answer only; "
            f"{'such as ' if len(left_out) > _NAMED else ''}{named}"
        )
    return Figure(LEFT_OUT, scope, float(len(left_out)), items=len(items), detail=detail)
