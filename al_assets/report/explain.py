"""Where a figure comes from: what it is, which items and votes it rests on, and its value computed again from them."""

import difflib
from dataclasses import replace

from al_assets.agreement.core.figures import Figure, figure_of
from al_assets.report.descriptions import SCOPES, Description, describe, title_of
from al_assets.report.explanation import Explanation
from al_assets.report.iteration_tables import IterationTables, figures_of
from al_assets.report.tracing import trace

SCOPE_ORDER = ("evaluation", "loop", "audit", "pool", "panel", "boundary", "control")


def explain_figure(tables: IterationTables, figure: str, scope: str | None = None) -> Explanation:
    """Trace a figure of an iteration's report to the items and votes it rests on, and compute it again from them.

    :param scope: None for the most telling scope that has the figure: evaluation, then loop, audit, pool and the rest.
    :raises ValueError: the report has no such figure, or not of that scope.
    """
    stored = _find(tables, figure, scope)
    found = describe(figure)
    blank = Explanation(
        iteration=tables.iteration,
        stored=stored,
        title=title_of(figure),
        definition=found.sentence if found else "No description of this figure is known.",
        formula=found.formula if found else "",
        scope=SCOPES.get(stored.scope, stored.scope),
        basis="stored",
        rests_on=_inputs(tables, stored, found),
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
    ordered = sorted(scopes, key=lambda each: SCOPE_ORDER.index(each) if each in SCOPE_ORDER else len(SCOPE_ORDER))
    wanted = ordered[0] if scope is None else scope
    if wanted not in scopes:
        raise ValueError(f"scope: {figure} has no scope {scope!r}; it has {', '.join(ordered)}")
    return next(stored for stored in figures if (stored.figure, stored.scope) == (figure, wanted))


def _inputs(tables: IterationTables, stored: Figure, found: Description | None) -> tuple[Figure, ...]:
    names = found.rests_on if found else ()
    inputs = [figure_of(tables.report, name, scope or stored.scope) for name, scope in names]
    return tuple(each for each in inputs if each is not None)


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
