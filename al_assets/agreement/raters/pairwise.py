"""Each rater compared with each other rater, with the majority of the others and with the model."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from al_assets.agreement.core.bootstrap import Distribution, Resampling, group_sums, resampled_sums, table_leverage
from al_assets.agreement.core.figures import Figure, slice_figure
from al_assets.agreement.core.two_by_two import TABLE_FIGURES, Floats, mean_defined, pair_cells, table_figures
from al_assets.agreement.raters.rated_items import MAJORITY, RatedItems, leave_one_out_majority

MODEL = "(model)"
OTHERS = "(each other rater, mean)"
_NAN = float("nan")
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
        found = {f"{place} {name}": figures[name][:, place] for name in figures for place in range(len(pairs))}
        kappa = figures["cohen_kappa"]
        return found | {f"mean {rater}": mean_defined(kappa[:, _with(rater, pairs)]) for rater in rated.raters}

    found = resampled_sums(sums, figures_of, how)
    tables = sums.reshape(len(sums), len(pairs), 4)
    rows = []
    for place, (rater, against) in enumerate(pairs):
        for name in TABLE_FIGURES:
            row = _table_row((rater, against, name), found[f"{place} {name}"], tables[:, place], how.confidence)
            rows += [row, _turned(row)] if against not in (MAJORITY, MODEL) else [row]
    shared = (~np.isnan(votes)) & ((~np.isnan(votes)).sum(axis=1, keepdims=True) > 1)
    for column, rater in enumerate(rated.raters):
        rows.append(
            slice_figure(
                ("rater", rater, OTHERS, "cohen_kappa"),
                found[f"mean {rater}"],
                items=int(shared[:, column].sum()),
                groups=len(np.unique(rated.items.group[kept][shared[:, column]])),
                undefined="kappa is undefined with every other rater",
                leverage=table_leverage(tables[:, _with(rater, pairs)].sum(axis=(0, 1))).get("cohen_kappa", _NAN),
                confidence=how.confidence,
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


def _table_row(key: tuple[str, str, str], distribution: Distribution, table: Floats, confidence: float) -> Figure:
    items = round(float(table.sum()))
    return slice_figure(
        ("rater", *key),
        distribution,
        items=items,
        groups=int((table.sum(axis=1) > 0).sum()),
        undefined=_why(key[2], items),
        leverage=table_leverage(table.sum(axis=0)).get(key[2], _NAN),
        confidence=confidence,
    )


def _why(figure: str, items: int) -> str:
    if not items:
        return "no item that both answered decisively"
    if figure in ("positive_agreement", "negative_agreement"):
        return f"neither ever says {figure.removesuffix('_agreement')}"
    return f"both give one and the same label to all {items} items"


def _turned(figure: Figure) -> Figure:
    return replace(figure, slice=figure.against, against=figure.slice)
