"""The pictures of a report, from the tables of the run."""

import polars as pl

from al_assets import pictures
from al_assets.agreement.core.figures import figure_of, interval_of
from al_assets.agreement.population.reliability import pool_reliability
from al_assets.pictures import Form, Point
from al_assets.report import page_tables
from al_assets.report.iteration_tables import IterationTables
from al_assets.report.traced_items import labelled_rows

HISTORY = {"boundary": "boundary", "population": "audit"}
BESIDE = {
    "student-expert kappa": "model_expert_kappa",
    "incumbent-expert kappa": "incumbent_expert_kappa",
    "expert-expert kappa": "expert_expert_kappa",
    "positive agreement": "positive_agreement",
    "observed agreement": "observed_agreement",
}


def report_pictures(tables: IterationTables, form: Form = "png") -> dict[str, bytes]:
    """Return the pictures by name: history, beside, matrix, yield and, with audit items, reliability.

    :param form: png for metadata in the Dagster UI, svg for a page.
    """
    report = tables.report
    past = tables.reports.values()
    history = {
        name: (
            [_point(each, "model_expert_kappa", scope) for each in past],
            [interval_of(each, "expert_expert_kappa", scope) for each in past],
        )
        for name, scope in HISTORY.items()
    }
    beside = {
        name: [_point(report, figure, "boundary"), _point(report, figure, "audit")] for name, figure in BESIDE.items()
    }
    drawn = {
        "history": pictures.kappa_history(list(tables.reports), history, form=form),
        "beside": pictures.beside_each_other(beside, ("boundary", "population"), form=form),
        "matrix": pictures.agreement_matrix(*page_tables.matrix(labelled_rows(tables, "evaluation")), form=form),
        "yield": pictures.curation_yield(list(tables.reports), _stages(tables), form=form),
    }
    reliability = _reliability(tables, form)
    return drawn if reliability is None else {**drawn, "reliability": reliability}


def _stages(tables: IterationTables) -> dict[str, list[float | None]]:
    shares = {(row["iteration"], row["stage"]): row["positive_share"] for row in tables.yields.iter_rows(named=True)}
    audit = [figure_of(report, "prevalence", "audit") for report in tables.reports.values()]
    return {
        "pool, audit": [None if figure is None else figure.estimate for figure in audit],
        "pool, incumbent": [shares[key, "pool"] for key in tables.reports],
        "queue, incumbent": [shares[key, "queue"] for key in tables.reports],
        "labels, experts": [shares[key, "labels"] for key in tables.reports],
    }


def _reliability(tables: IterationTables, form: Form) -> bytes | None:
    # The bins take no resamples; only the summaries' intervals do.
    bins = pool_reliability(tables.items, tables.design, tables.choice.calibration, resamples=2).bins
    if not bins.height:
        return None
    return pictures.reliability_diagram(
        bins["mean_probability"].to_list(),
        bins["positive_share"].to_list(),
        bins["items"].to_list(),
        intervals=bins.select("share_low", "share_high").rows(),
        form=form,
    )


def _point(report: pl.DataFrame, figure: str, scope: str) -> Point | None:
    known = figure_of(report, figure, scope)
    if known is None or known.estimate is None:
        return None
    nothing = float("nan")
    return known.estimate, nothing if known.low is None else known.low, nothing if known.high is None else known.high
