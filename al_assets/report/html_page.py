"""The report of an iteration as one HTML file that needs nothing else: no network, no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from upath import UPath

from al_assets.agreement.core.figures import figure_of
from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.config import Policy
from al_assets.pictures import region_map, with_own_ids
from al_assets.report import page_tables
from al_assets.report.descriptions import FIGURES
from al_assets.report.drawing import report_pictures
from al_assets.report.iteration_tables import IterationTables, figures_of, read_tables
from al_assets.report.sentences import (
    figure_text,
    population_sentence,
    recommended_sentence,
    standing_sentence,
    undecided_sentence,
    verdict_reason,
    verdict_sentence,
)
from al_assets.report.traced_items import Rows, labelled_rows
from al_assets.storage.atomic import write_bytes

POPULATION = ("prevalence", "precision", "recall", "positive_share")


class Appendix(NamedTuple):
    """A table at the end of a report, of what no loop knows of itself.

    :param rows: by column, as shown; ``notes`` stand under the table.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    notes: Sequence[str]


def write_report(
    policy: Policy, iteration: str | None = None, path: Path | None = None, appendix: Appendix | None = None
) -> Path:
    """Write the report of an iteration as one self-contained HTML file and return where it is.

    :param iteration: its key; None for the newest with a report.
    :param path: None for ``report-ITERATION.html`` in the working directory.
    :raises ValueError: there is no report of that iteration.
    """
    tables = read_tables(policy, iteration)
    target = Path(f"report-{tables.iteration}.html") if path is None else path
    write_bytes(UPath(target), report_page(tables, appendix).encode())
    return target


def report_page(tables: IterationTables, appendix: Appendix | None = None) -> str:
    """Return the page; every text that comes from items, raters or policy is escaped."""
    environment = Environment(
        loader=PackageLoader("al_assets.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(_context(tables), appendix=appendix)


def _context(tables: IterationTables) -> dict[str, Any]:
    report, everything = tables.report, labelled_rows(tables, "loop")
    disputed, disputed_items = page_tables.disputed(tables, everything)
    undecided, undecided_items = page_tables.undecided(tables, everything)
    # The graph has the map where it is made, with overlap_map.
    drawn = report_pictures(tables, "svg") | {"regions": region_map(tables.overlaps, form="svg")}
    conclusion, present = conclusion_of(report), {figure.figure for figure in figures_of(report)}
    return {
        "policy": tables.policy.policy,
        "iteration": tables.iteration,
        "verdict": verdict_sentence(report),
        "reason": verdict_reason(report),
        "standing": standing_sentence(report),
        "probe": tables.probe,
        "pictures": {name: _inline(svg, name) for name, svg in drawn.items()},
        "course": page_tables.course(tables),
        "population": population_sentence(report, _positive_share(labelled_rows(tables, "boundary"))),
        "recommended": recommended_sentence(report),
        "curve": _detail(report, "calibration_slope", "pool"),
        "pool_figures": [
            (figure.figure, figure, figure_text(figure, 3))
            for figure in (figure_of(report, name, "audit") for name in POPULATION)
            if figure is not None
        ],
        "rules": page_tables.rules(report),
        "regions": page_tables.regions(tables),
        "region_count": tables.overlaps.height,
        "raters": page_tables.raters(everything, tables.votes),
        "promoted": conclusion.promoted,
        "promotion": conclusion.promotion_reason.removesuffix("."),
        "disputed": disputed,
        "disputed_items": disputed_items,
        "undecided": undecided,
        "undecided_items": undecided_items,
        "undecided_bounds": undecided_sentence(report),
        "left_out": _detail(report, "left_out_of_kappa", "evaluation"),
        "labelled_items": len(everything),
        "scopes": page_tables.figures_by_scope(report),
        "descriptions": {name: FIGURES[name] for name in FIGURES if name in present},
        "provenance": page_tables.provenance(tables),
    }


def _positive_share(rows: Rows) -> float | None:
    known = rows.positive_share[rows.decisive > 0]
    return float(known.mean()) if len(known) else None


def _detail(report: pl.DataFrame, figure: str, scope: str) -> str:
    known = figure_of(report, figure, scope)
    return (known.detail or "") if known else ""


def _inline(svg: bytes, name: str) -> Markup:
    """Return a picture as markup whose ids no other picture of the page has."""
    # Matplotlib has escaped the texts of its drawing.
    return Markup(with_own_ids(svg.decode(), name))
