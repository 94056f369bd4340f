"""The panel of agreement figures with intervals: over all labelled items, slice by slice, and rater by rater."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import (
    Distribution,
    Resampling,
    agreement_leverage,
    group_sums,
    resampled_sums,
    table_leverage,
)
from al_assets.agreement.core.figures import Figure, frame_of, slice_figure
from al_assets.agreement.core.kappa import TABLE_FIGURES, Floats, Panel, mean_defined, pair_cells, table_figures
from al_assets.agreement.core.labelled_items import LabelledItems, aligned, require_columns, why_undefined
from al_assets.agreement.raters.rated_items import (
    MAJORITY,
    RatedItems,
    leave_one_out_majority,
    quality_rows,
    rated_items,
)

_NAN = float("nan")


def agreement_figures(
    votes: pl.DataFrame,
    *,
    model: pl.DataFrame | None = None,
    resamples: int = 2_000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return every agreement figure of every slice of the votes with its BCa interval over groups.

    Slices (scope: slice): all; reason: each label reason; iteration: each iteration, items counting for the
    first that asked for them; policy_version: each version, the votes cast under it alone. They hold the figures of
    ``kappa.Panel``; kappas with the model rest on items with two decisive votes, as those among the raters do.
    Then, over all items, rater: each rater against each other rater, the majority of the others and the model, the
    figures of ``kappa.TABLE_FIGURES``; their mean kappa with each other rater; and ``QUALITY_FIGURES``.
    The prevalence and bias indices are absolute values, so their intervals are rough where the index is near 0.

    :param votes: current votes, the columns of ``labelled_items.VOTE_COLUMNS``, policy_version if known; one row for
        each item and rater.
    :param model: item_id, label (boolean); items it does not hold count for the raters only.
    :return: columns of the table ``agreement_figures``; detail says why there is no estimate or no interval.
    :raises ValueError: a column is missing, a label unknown or a row repeated.
    """
    rated = rated_items(votes)
    labels = _model_labels(model, rated.items)
    how = Resampling(resamples, seed)
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
    distributions = resampled_sums(sums, panel.figures_of, how)
    shared = labelled.decisive > 1
    compared = shared if model is None else shared & ~np.isnan(model[kept])
    leverage = agreement_leverage(labelled.positive_share)
    rows = []
    for name in names:
        basis = compared if name in _OF_MODEL else shared
        rows.append(
            slice_figure(
                (kind, value, None, name),
                distributions[name],
                items=int(basis.sum()),
                groups=len(np.unique(labelled.group[basis])),
                undefined=_why_panel(name, labelled, int(basis.sum())),
                leverage=leverage.get(name, _NAN),
            )
        )
    return rows


def _why_panel(figure: str, items: LabelledItems, shared: int) -> str:
    if shared and figure in ("positive_agreement", "negative_agreement"):
        return f"no vote is {figure.removesuffix('_agreement')}"
    if figure in _OF_MODEL and not shared:
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


_OF_MODEL = ("model_expert_kappa", "model_expert_mean_kappa")
MODEL = "(model)"
OTHERS = "(each other rater, mean)"
_Pairs = list[tuple[str, str]]


def comparison_rows(rated: RatedItems, model: Floats | None, how: Resampling) -> list[Figure]:
    """Return the figures of ``TABLE_FIGURES`` of each rater against each other rater, the majority and the model.

    All from the same resamples of groups. With the model a rater is compared on items with two decisive votes.

    :param model: shape (items,), 1, 0 or NaN; None without a model.
    :return: figures of scope "rater"; two raters' figures are given from either side.
    """
    kept = rated.items.decisive > 0
    if len(rated.raters) < 2 or not kept.any():
        return []
    votes = rated.items.votes[kept]
    pairs, cells = _pair_tables(rated.raters, votes, None if model is None else model[kept])
    sums = group_sums(cells.reshape(len(votes), -1), rated.items.group[kept])

    def figures_of(totals: Floats) -> dict[str, Floats]:
        tables = totals.reshape(len(totals), len(pairs), 4)
        figures = table_figures(tables)
        by_pair = {f"{place} {name}": figures[name][:, place] for name in figures for place in range(len(pairs))}
        kappa = figures["cohen_kappa"]
        return by_pair | {f"mean {rater}": mean_defined(kappa[:, _with(rater, pairs)]) for rater in rated.raters}

    distributions = resampled_sums(sums, figures_of, how)
    tables = sums.reshape(len(sums), len(pairs), 4)
    rows = []
    for place, (rater, against) in enumerate(pairs):
        for name in TABLE_FIGURES:
            row = _table_row((rater, against, name), distributions[f"{place} {name}"], tables[:, place])
            rows.append(row)
            if against not in (MAJORITY, MODEL):
                rows.append(replace(row, slice=against, against=rater))
    shared = (~np.isnan(votes)) & ((~np.isnan(votes)).sum(axis=1, keepdims=True) > 1)
    for column, rater in enumerate(rated.raters):
        rows.append(
            slice_figure(
                ("rater", rater, OTHERS, "cohen_kappa"),
                distributions[f"mean {rater}"],
                items=int(shared[:, column].sum()),
                groups=len(np.unique(rated.items.group[kept][shared[:, column]])),
                undefined="kappa is undefined with every other rater",
                leverage=table_leverage(tables[:, _with(rater, pairs)].sum(axis=(0, 1))).get("cohen_kappa", _NAN),
            )
        )
    return rows


def _pair_tables(raters: tuple[str, ...], votes: Floats, model: Floats | None) -> tuple[_Pairs, Floats]:
    """Return who is compared with whom, and each item's place in their tables, shape (items, pairs, 4)."""
    left, right = (list(side) for side in zip(*combinations(range(len(raters)), 2), strict=True))
    pairs = [(raters[a], raters[b]) for a, b in zip(left, right, strict=True)]
    cells = [pair_cells(votes[:, left], votes[:, right]), pair_cells(votes, leave_one_out_majority(votes))]
    pairs += [(rater, MAJORITY) for rater in raters]
    if model is not None:
        shared = np.where(((~np.isnan(votes)).sum(axis=1) > 1)[:, None], votes, np.nan)
        cells.append(pair_cells(shared, np.broadcast_to(model[:, None], votes.shape)))
        pairs += [(rater, MODEL) for rater in raters]
    return pairs, np.concatenate(cells, axis=1)


def _with(rater: str, pairs: _Pairs) -> list[int]:
    return [place for place, pair in enumerate(pairs) if rater in pair and not {MAJORITY, MODEL} & set(pair)]


def _table_row(key: tuple[str, str, str], distribution: Distribution, table: Floats) -> Figure:
    items = round(float(table.sum()))
    return slice_figure(
        ("rater", *key),
        distribution,
        items=items,
        groups=int((table.sum(axis=1) > 0).sum()),
        undefined=_why(key[2], items),
        leverage=table_leverage(table.sum(axis=0)).get(key[2], _NAN),
    )


def _why(figure: str, items: int) -> str:
    if not items:
        return "no item that both answered decisively"
    if figure in ("positive_agreement", "negative_agreement"):
        return f"neither ever says {figure.removesuffix('_agreement')}"
    return f"both give one and the same label to all {items} items"
