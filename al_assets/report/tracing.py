"""How each figure of a report is traced: to its items and votes, or to the figures it is computed from."""

import difflib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from al_assets.agreement.core.figures import Figure, figure_of
from al_assets.agreement.core.kappa import Floats, pair_cells
from al_assets.agreement.core.undecided import ALPHA
from al_assets.agreement.population.reliability import pool_reliability
from al_assets.agreement.report.alt_test import alt_test
from al_assets.agreement.report.undecided_figures import LEFT_OUT
from al_assets.partitions import iteration_key, iteration_number, previous_key
from al_assets.report.agreement_descriptions import Description
from al_assets.report.descriptions import FIGURES, SCOPES, is_rule, title_of
from al_assets.report.explanation import Explanation
from al_assets.report.iteration_tables import IterationTables, figures_of, last_change
from al_assets.report.recompute import FROM_ITEMS, UNDECIDED_FIGURES
from al_assets.report.traced_items import (
    Rows,
    answered_rows,
    cells_frame,
    labelled_rows,
    out_of_fold_rows,
    pool_rows,
    stop_set_rows,
    with_earlier,
    with_probability,
)

ONE_VOTE = frozenset(
    (
        "prevalence", "precision", "recall", "positive_share", "average_precision", "gwet_ac1", "fleiss_kappa",
        "brier_score", "calibration_error",
    )
)  # fmt: skip
WITH_STUDENT_BEFORE = ("stop_set_agreement", "predicted_f_change")
MOST_EFFECTS = 5_000
"""Of more items no effects are computed: their time grows with the square of the items, and each is tiny."""
_NO_FRAME = pl.DataFrame()


def trace(tables: IterationTables, blank: Explanation) -> Explanation:
    """Return the explanation with what the figure rests on and its value computed again, where a way is known."""
    figure = blank.stored.figure
    if figure in _SPECIAL:
        return _SPECIAL[figure](tables, blank)
    return _rule(blank) if is_rule(figure) else _from_items(tables, blank)


def _from_items(tables: IterationTables, blank: Explanation) -> Explanation:
    figure, scope = blank.stored.figure, blank.stored.scope
    recompute = FROM_ITEMS.get(figure)
    if recompute is None or scope not in SCOPES:
        return replace(blank, note="It is known as stored; no way to compute it from the items is registered.")
    rows = _rows(tables, figure, scope)
    value = recompute(rows, rows.weights)
    effects = pl.Series(_effects(rows, recompute, value), dtype=pl.Float64).fill_nan(None)
    shown = rows.frame().with_columns(effect=effects)
    return replace(blank, basis="items", recomputed=_known(value), items=shown, cells=_cells(rows, figure))


def _rows(tables: IterationTables, figure: str, scope: str) -> Rows:
    if scope == "pool":
        before = previous_key(tables.iteration)
        rows = stop_set_rows(tables, tables.earlier_labels.get(before or ""))
        return rows.where(~np.isnan(rows.label("earlier"))) if figure in WITH_STUDENT_BEFORE else rows
    if figure in UNDECIDED_FIGURES:
        return answered_rows(tables, scope)
    if figure == LEFT_OUT:
        return labelled_rows(tables, scope)
    least = 1 if figure.removeprefix("incumbent_") in ONE_VOTE else 2
    if figure == "undecided_share" or scope != "audit":
        rows = labelled_rows(tables, scope)
    else:
        rows = pool_rows(tables, figure, least)
    if figure == "undecided_share":
        return rows
    if figure == "panel_gain":
        rows = _with_earlier(tables, rows)
    if figure == "brier_score":
        rows = with_probability(tables, rows)
    return rows.where(rows.decisive >= least)


def _with_earlier(tables: IterationTables, rows: Rows) -> Rows:
    number = iteration_number(tables.iteration) - tables.policy.stopping.window
    key = iteration_key(number) if number >= 0 else ""
    known = key in tables.earlier_labels
    return with_earlier(tables, rows, key) if known else rows.where(np.zeros(len(rows), dtype=np.bool_))


def _effects(rows: Rows, recompute: Callable[[Rows, Floats], float], value: float) -> list[float]:
    """Return the figure less what it would be without each item; NaN where it would be undefined."""
    if len(rows) > MOST_EFFECTS:
        return [float("nan")] * len(rows)
    effects = []
    for at in range(len(rows)):
        weights = rows.weights.copy()
        weights[at] = 0.0
        effects.append(value - recompute(rows, weights))
    return effects


def _cells(rows: Rows, figure: str) -> pl.DataFrame:
    if figure in ("incumbent_agreement", *WITH_STUDENT_BEFORE):
        other = "incumbent" if figure == "incumbent_agreement" else "earlier"
        return cells_frame([("student", other, pair_cells(rows.label("student"), rows.label(other)))], rows.weights)
    if figure.removeprefix("incumbent_") in ONE_VOTE or not rows.raters or figure in _NO_PAIRS:
        return _NO_FRAME
    if figure in UNDECIDED_FIGURES:
        kappa, _, end = figure.rpartition("_")
        (model,) = _PAIRS_WITH.get(kappa, (None,))
        return cells_frame(rows.decided(end, model).pairs(model), rows.weights)
    models = _PAIRS_WITH.get(figure, (None,))
    return cells_frame([pair for model in models for pair in rows.pairs(model)], rows.weights)


_NO_PAIRS = ("undecided_share", LEFT_OUT, ALPHA)
_PAIRS_WITH: dict[str, tuple[str | None, ...]] = {
    **dict.fromkeys(("model_expert_kappa", "model_expert_mean_kappa"), ("student",)),
    **dict.fromkeys(("incumbent_expert_kappa", "incumbent_expert_mean_kappa"), ("incumbent",)),
    "parity_difference": ("student", None),
    "student_gain": ("student", "incumbent"),
    "gain_over_recommended": ("student", "recommended"),
    "panel_gain": ("student", "earlier"),
}


def _chosen(tables: IterationTables, blank: Explanation, rows: Rows) -> Explanation:
    """Trace a figure of the student's threshold, which is chosen again from the same scores and votes."""
    values = {figure.figure: figure.estimate for figure in tables.choice.figures()}
    return replace(blank, basis="items", recomputed=values.get(blank.stored.figure), items=rows.frame())


def _from_stop_set(tables: IterationTables, blank: Explanation) -> Explanation:
    return _chosen(tables, blank, with_probability(tables, stop_set_rows(tables, None)))


def _threshold_prevalence(tables: IterationTables, blank: Explanation) -> Explanation:
    explained = _chosen(tables, blank, pool_rows(tables, "threshold_prevalence", 1))
    return replace(explained, scope=f"{blank.scope}; the items are all that were labelled, weighted to the pool")


def _calibration(tables: IterationTables, blank: Explanation) -> Explanation:
    explained = _chosen(tables, blank, out_of_fold_rows(tables))
    scope = "items that teach, each scored by a student that did not learn from it; the level is that of the pool"
    return replace(explained, scope=scope)


def _calibration_error(tables: IterationTables, blank: Explanation) -> Explanation:
    # The estimate takes no resamples; only its interval does.
    error = pool_reliability(tables.items, tables.design, tables.choice.calibration, resamples=2).error
    rows = with_probability(tables, pool_rows(tables, "calibration_error", 1))
    return replace(blank, basis="items", recomputed=error.estimate, items=rows.frame())


def _labels(tables: IterationTables, blank: Explanation) -> Explanation:
    rows = labelled_rows(tables, "loop")
    return replace(blank, basis="items", recomputed=float(len(rows)), items=rows.frame())


def _watermark(tables: IterationTables, blank: Explanation) -> Explanation:
    last = tables.votes.sort("seq").select("seq", "item_id", "iteration", "rater", "label", "voted_at").tail(20)
    value = float(last_change(tables.votes))
    note = "The votes shown are the last 20 it rests on; what was withdrawn or adjudicated after them counts too."
    return replace(blank, basis="items", recomputed=value, items=last, note=note)


def _alt_test(tables: IterationTables, blank: Explanation) -> Explanation:
    rows = labelled_rows(tables, blank.stored.scope)
    # An expert is compared with the model by the others' votes: an item with one vote tells nothing.
    rows = rows.where(rows.decisive >= 2)
    opinion = alt_test(rows.votes, rows.label("student"))
    values = {"alt_test_winning_rate": opinion.winning_rate, "alt_test_advantage": opinion.average_advantage}
    return replace(blank, basis="items", recomputed=values[blank.stored.figure], items=rows.frame(), note=opinion.text)


def _promotion(tables: IterationTables, blank: Explanation) -> Explanation:
    # The pool's gain, or where it has none that of the evaluation items.
    known = [gain.estimate for gain in blank.rests_on if gain.estimate is not None]
    value = float(bool(known) and known[0] >= 0)
    return replace(blank, basis="figures", recomputed=value, note=f"The report says: {blank.stored.detail}.")


def _better(tables: IterationTables, blank: Explanation) -> Explanation:
    (gain,) = blank.rests_on
    value = float((gain.low or 0.0) > 0) - float((gain.high or 0.0) < 0)
    return replace(blank, basis="figures", recomputed=value, note=f"The report says: {blank.stored.detail}.")


def _verdict(tables: IterationTables, blank: Explanation) -> Explanation:
    value = float(any(rule.estimate for rule in blank.rests_on))
    return replace(blank, basis="figures", recomputed=value, note=f"The report says: {blank.stored.detail}.")


def _rule(blank: Explanation) -> Explanation:
    note = (
        "It looks at one-sided bounds of the figures it rests on, read from the same resamples as their intervals. "
        f"The report says: {blank.stored.detail}."
    )
    return replace(blank, basis="bounds", note=note)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


_SPECIAL: dict[str, Callable[[IterationTables, Explanation], Explanation]] = {
    **dict.fromkeys(("threshold", "incumbent_threshold", "recommended_threshold"), _from_stop_set),
    "calibration_intercept": _calibration,
    "threshold_prevalence": _threshold_prevalence,
    "calibration_slope": _calibration,
    "calibration_error": _calibration_error,
    "labels": _labels,
    "watermark": _watermark,
    "alt_test_winning_rate": _alt_test,
    "alt_test_advantage": _alt_test,
    "ceiling_further_labels": lambda _, blank: _rule(blank),
    "promotion": _promotion,
    "better": _better,
    "verdict": _verdict,
}


SCOPE_ORDER = ("evaluation", "loop", "audit", "pool", "panel", "boundary", "control")


def explain_figure(tables: IterationTables, figure: str, scope: str | None = None) -> Explanation:
    """Trace a figure of an iteration's report to the items and votes it rests on, and compute it again from them.

    :param scope: None for the most telling scope that has the figure: evaluation, then loop, audit, pool and the rest.
    :raises ValueError: the report has no such figure, or not of that scope.
    """
    stored = _find(tables, figure, scope)
    description = FIGURES.get(figure)
    blank = Explanation(
        iteration=tables.iteration,
        stored=stored,
        title=title_of(figure),
        definition=description.sentence if description else "No description of this figure is known.",
        formula=description.formula if description else "",
        scope=SCOPES.get(stored.scope, stored.scope),
        basis="stored",
        rests_on=_inputs(tables, stored, description),
    )
    explained = trace(tables, blank)
    return replace(explained, note=_note(explained))


def _find(tables: IterationTables, figure: str, scope: str | None) -> Figure:
    figures = figures_of(tables.report)
    scopes = [stored.scope for stored in figures if stored.figure == figure]
    if not scopes:
        names = sorted({stored.figure for stored in figures})
        near = difflib.get_close_matches(figure, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"figure: {figure!r} is not in the report of {tables.iteration}; {hint}It has {', '.join(names)}"
        )
    ordered = sorted(scopes, key=lambda name: SCOPE_ORDER.index(name) if name in SCOPE_ORDER else len(SCOPE_ORDER))
    wanted = ordered[0] if scope is None else scope
    if wanted not in scopes:
        raise ValueError(f"scope: {figure} has no scope {scope!r}; it has {', '.join(ordered)}")
    return next(stored for stored in figures if (stored.figure, stored.scope) == (figure, wanted))


def _inputs(tables: IterationTables, stored: Figure, description: Description | None) -> tuple[Figure, ...]:
    names = description.rests_on if description else ()
    inputs = [figure_of(tables.report, name, scope or stored.scope) for name, scope in names]
    return tuple(figure for figure in inputs if figure is not None)


def _note(explained: Explanation) -> str:
    notes = [explained.note] if explained.note else []
    if explained.matches is False:
        notes.append(
            "The value computed again differs from the stored one: votes, split, scores or policy changed since the "
            "report was made. Materialize kappa_report again."
        )
    stored = explained.stored
    if stored.low is not None:
        notes.append(f"Low and high are the ends of the 95 % interval ({stored.detail}).")
    elif stored.estimate is None:
        notes.append(f"It is undefined: {stored.detail}.")
    return " ".join(notes)
