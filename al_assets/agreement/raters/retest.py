"""Whether raters agree with themselves: the same item, the same rater, some time later, unannounced.

Two raters cannot be expected to agree better than each agrees with themselves: an answer that changes with the day is
noise that no guideline and no model can learn. So read expert-expert kappa beside the retest kappa; where it lies
above, chance or the choice of items put it there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Distribution, Resampling, group_sums, resampled_sums, table_leverage
from al_assets.agreement.core.figures import Figure, frame_of, slice_figure
from al_assets.agreement.core.kappa import Floats, kappa_of, observed_of, pair_cells, ratio
from al_assets.agreement.core.labelled_items import VOTE_VALUES, require_columns

THEMSELVES = "(themselves, earlier)"
FIGURES = ("retest_kappa", "retest_agreement")
CAVEAT = "expert-expert agreement cannot exceed the experts' agreement with themselves"
_COLUMNS = ("item_id", "rater", "group_id", "first_label", "label", "same_policy")


def retest(retests: pl.DataFrame, how: Resampling | None = None) -> pl.DataFrame:
    """Return each rater's agreement with themselves, and that of all, with BCa intervals over groups of items.

    ``retest_kappa`` is Cohen's kappa of the later answers with the earlier ones; that of all takes the agreement due to
    chance within each rater, kappa = sum n_r (Po_r - Pe_r) / sum n_r (1 - Pe_r), which is the mean of the raters'
    kappas weighted by n_r (1 - Pe_r): raters of different habits are not thrown into one table (Barlow, Lai and Azen
    1991, Statistics in Medicine 10:1465-1472). ``retest_agreement`` is the share of answers that stayed the same.
    Answers on either side of an edit of the policy are left out, and so is "cannot decide"; the reason names them.

    :param retests: item_id, rater, group_id, first_label, label (positive, negative, undecided), same_policy; a row
        for each item and rater.
    :return: columns of the table ``agreement_figures``: scope ``rater`` and the name, or ``all``; items are the
        retests counted.
    :raises ValueError: a column is missing, a label is unknown, or a row is repeated.
    """
    how = how or Resampling()
    _check(retests)
    counted = retests.filter(pl.col("same_policy")).sort("item_id", "rater")
    raters = retests["rater"].unique().sort().to_list()
    cells = _cells(counted, raters)
    group = counted["group_id"].to_numpy().astype(np.str_)
    sums = group_sums(cells.reshape(len(cells), -1), group) if len(cells) else np.zeros((0, 4 * len(raters)))
    tables = sums.reshape(len(sums), len(raters), 4)
    distributions = resampled_sums(sums, _figures, how) if len(sums) else {}
    rows = []
    for place, rater in enumerate(raters):
        own = {figure: distributions[f"{place} {figure}"] for figure in FIGURES if distributions}
        rows += _rows(("rater", rater), tables[:, [place]], own, retests.filter(rater=rater))
    return frame_of(rows + _rows(("all", "all"), tables, distributions, retests))


def _rows(
    part: tuple[str, str],
    tables: Floats,
    distributions: Mapping[str, Distribution],
    asked: pl.DataFrame,
) -> list[Figure]:
    """Return the figures of one rater or of all.

    :param tables: shape (groups, raters, 4).
    """
    items, groups = int(tables.sum()), int((tables.sum(axis=(1, 2)) > 0).sum())
    rows = []
    for figure in FIGURES:
        key, undefined = (*part, THEMSELVES, figure), _undefined(asked, items)
        if not items:
            rows.append(Figure(figure, part[0], None, items=0, detail=undefined, slice=part[1], against=THEMSELVES))
            continue
        kappa = table_leverage(tables.sum(axis=(0, 1))).get("cohen_kappa", float("nan"))
        rows.append(
            slice_figure(
                key, distributions[figure], items=items, groups=groups, undefined=undefined,
                leverage=1.0 if figure == "retest_agreement" else kappa,
            )
        )  # fmt: skip
    return rows


def _check(retests: pl.DataFrame) -> None:
    require_columns(retests, "retests", _COLUMNS)
    for column in ("first_label", "label"):
        unknown = retests.filter(~pl.col(column).is_in(list(VOTE_VALUES)))[column]
        if len(unknown):
            raise ValueError(f"retests.{column}: {unknown[0]!r}; expected one of {', '.join(VOTE_VALUES)}")
    repeated = retests.filter(retests.select("item_id", "rater").is_duplicated())
    if repeated.height:
        item, rater = repeated["item_id"][0], repeated["rater"][0]
        raise ValueError(f"retests: more than one row for item_id={item!r}, rater={rater!r}; an item is repeated once")


def _cells(counted: pl.DataFrame, raters: Sequence[str]) -> Floats:
    """Return each row's place in its rater's table, shape (rows, raters, 4); zeros in the others'."""
    first, second = (
        np.array([VOTE_VALUES[label] for label in counted[column]], dtype=np.float64)
        for column in ("first_label", "label")
    )
    cells = np.zeros((counted.height, len(raters), 4))
    columns = [raters.index(rater) for rater in counted["rater"]]
    cells[np.arange(counted.height), columns] = pair_cells(first, second)
    return cells


def _figures(totals: Floats) -> dict[str, Floats]:
    tables = totals.reshape(len(totals), -1, 4)
    of_raters = {"retest_kappa": kappa_of(tables), "retest_agreement": observed_of(tables)}
    figures = {
        f"{place} {name}": values[:, place] for name, values in of_raters.items() for place in range(tables.shape[1])
    }
    a, b, c, d = np.moveaxis(tables, -1, 0)
    asked = a + b + c + d
    by_chance = np.where(asked > 0, ((a + b) * (a + c) + (c + d) * (b + d)) / np.maximum(asked, 1), 0.0)
    possible = (asked - by_chance).sum(axis=1)
    # Sums of counts: what is below is rounding of a table with one label only.
    possible = np.where(possible > 1e-9, possible, 0.0)
    figures["retest_kappa"] = ratio((a + d - by_chance).sum(axis=1), possible)
    figures["retest_agreement"] = observed_of(tables.sum(axis=1))
    return figures


def _undefined(asked: pl.DataFrame, items: int) -> str:
    if items:
        return f"one and the same label throughout the {items} retests; repeat more items"
    edited = asked.filter(~pl.col("same_policy")).height
    undecided = asked.filter(
        pl.col("same_policy") & ((pl.col("label") == "undecided") | (pl.col("first_label") == "undecided"))
    ).height
    why = [f"{edited} lie on either side of an edit of the policy"] * (edited > 0)
    why += [f"{undecided} hold a 'cannot decide'"] * (undecided > 0)
    return f"no retest: {', '.join(why)}" if why else "no retest: set selection.repeat_share above 0"
