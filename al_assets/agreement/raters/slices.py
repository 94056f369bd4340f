"""The panel of agreement figures with intervals: over all labelled items, slice by slice, and rater by rater."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Resampling, agreement_leverage, group_sums, resampled_sums
from al_assets.agreement.core.figures import Figure, frame_of, slice_figure
from al_assets.agreement.core.kappa import Panel
from al_assets.agreement.core.labelled_items import LabelledItems, aligned, require_columns, why_undefined
from al_assets.agreement.core.two_by_two import Floats
from al_assets.agreement.raters.pairwise import comparison_rows
from al_assets.agreement.raters.rated_items import quality_rows, rated_items

_NAN = float("nan")


def agreement_figures(
    votes: pl.DataFrame,
    *,
    model: pl.DataFrame | None = None,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> pl.DataFrame:
    """Return every agreement figure of every slice of the votes with its BCa interval over groups.

    Slices (scope: slice): all; reason: each label reason; iteration: each iteration, items counting for the
    first that asked for them; policy_version: each version, the votes cast under it alone. They hold the figures of
    ``kappa.Panel``; kappas with the model rest on items with two decisive votes, as those among the raters do.
    Then, over all items, rater: each rater against each other rater, the majority of the others and the model, the
    figures of ``two_by_two.TABLE_FIGURES``; their mean kappa with each other rater; and ``QUALITY_FIGURES``.
    The prevalence and bias indices are absolute values, so their intervals are rough where the index is near 0.

    :param votes: current votes, the columns of ``labelled_items.VOTE_COLUMNS``, policy_version if known; one row for
        each item and rater.
    :param model: item_id, label (boolean); items it does not hold count for the raters only.
    :return: columns of the table ``agreement_figures``; detail says why there is no estimate or no interval.
    :raises ValueError: a column is missing, a label unknown or a row repeated.
    """
    rated = rated_items(votes)
    labels = _model_labels(model, rated.items)
    how = Resampling(resamples, seed, confidence)
    rows = _panel_rows("all", "all", rated.items, labels, how)
    for kind in ("reason", "iteration"):
        values = getattr(rated.items, kind)
        for value in np.unique(values):
            part = values == value
            rows += _panel_rows(
                kind, str(value), rated.items.where(part), None if labels is None else labels[part], how
            )
    for version, cast in _versions(votes):
        items = rated_items(cast).items
        rows += _panel_rows("policy_version", version, items, _model_labels(model, items), how)
    return frame_of([*rows, *comparison_rows(rated, labels, how), *quality_rows(rated, how)])


def _panel_rows(kind: str, value: str, items: LabelledItems, model: Floats | None, how: Resampling) -> list[Figure]:
    kept = items.decisive > 0
    labelled = items.where(kept)
    panel = Panel(labelled.votes, {} if model is None else {"model": model[kept]})
    names = tuple(panel.figures_of(np.zeros((1, panel.features.shape[1]))))
    if not len(labelled):
        reason = "no item with a decisive vote"
        return [Figure(name, kind, None, items=0, detail=reason, slice=value) for name in names]
    sums = group_sums(panel.features, labelled.group)
    found = resampled_sums(sums, panel.figures_of, how)
    shared = labelled.decisive > 1
    compared = shared if model is None else shared & ~np.isnan(model[kept])
    leverage = agreement_leverage(labelled.positive_share)
    rows = []
    for name in names:
        basis = compared if name == "model_expert_kappa" else shared
        rows.append(
            slice_figure(
                (kind, value, None, name),
                found[name],
                items=int(basis.sum()),
                groups=len(np.unique(labelled.group[basis])),
                undefined=_why_panel(name, labelled, int(basis.sum())),
                leverage=leverage.get(name, _NAN),
                confidence=how.confidence,
            )
        )
    return rows


def _why_panel(figure: str, items: LabelledItems, shared: int) -> str:
    if shared and figure in ("positive_agreement", "negative_agreement"):
        return f"no vote is {figure.removesuffix('_agreement')}"
    if figure == "model_expert_kappa" and not shared:
        return "the model labelled no item that has two decisive votes"
    return why_undefined(items)


def _versions(votes: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    if "policy_version" in votes.columns:
        for version in votes["policy_version"].drop_nulls().unique().sort():
            yield str(version), votes.filter(pl.col("policy_version") == version)


def _model_labels(model: pl.DataFrame | None, items: LabelledItems) -> Floats | None:
    if model is None:
        return None
    require_columns(model, "model", ("item_id", "label"))
    if model["item_id"].is_duplicated().any():
        raise ValueError("model: an item_id is repeated; give one label for each item")
    return aligned(model, items.item_id)
