"""Reports of simulated loops, and stored ones with the few rows that a test is about."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.pool_design import PoolDesign, pool_design
from al_assets.agreement.population.student_threshold import CalibrationRules, StudentThreshold, choose_threshold
from al_assets.agreement.report import ReportSettings, agreement_report
from al_assets.agreement.report.inputs import asked_items
from al_assets.tables import KAPPA_REPORT
from al_assets_tests.support.simulated_loop import World


def report_frame(
    *,
    votes: pl.DataFrame,
    split: pl.DataFrame,
    scores: pl.DataFrame,
    iteration: str = "0002",
    labels: int = 300,
    history: Mapping[str, pl.DataFrame] | None = None,
    earlier_labels: Mapping[str, pl.DataFrame] | None = None,
    watermark: int | None = None,
    asked: pl.DataFrame | None = None,
    frame: pl.DataFrame | None = None,
    **settings: Any,
) -> pl.DataFrame:
    """Return a report as the table kappa_report has it.

    :param settings: of ``ReportSettings``.
    """
    report = agreement_report(
        votes, scores, split=split, iteration=iteration, labels=labels, history=history or {},
        earlier_labels=earlier_labels or {}, asked=asked, frame=frame, settings=ReportSettings(**settings),
    )  # fmt: skip
    return report.frame(watermark)


def stored_report(rows: Sequence[Mapping[str, object]], **conclusion: object) -> pl.DataFrame:
    """Return a report of a few rows, as the table kappa_report has it.

    :param conclusion: verdict, verdict_reason, promoted, promotion_reason, watermark, where they matter.
    """
    said = {
        "verdict": "continue", "verdict_reason": "no stopping rule fired", "promoted": False, "promotion_reason": "-",
        "better": "undecided", "better_reason": "-", "recommended": "LLM-0", **conclusion,
    }  # fmt: skip
    return KAPPA_REPORT.check(pl.DataFrame([{**row, **said} for row in rows], schema=KAPPA_REPORT.schema))


def threshold_of(world: World, expected_prevalence: float, rules: CalibrationRules | None = None) -> StudentThreshold:
    """Return the threshold that a report of this loop chooses."""
    items = labelled_items(world.votes, world.split, world.scores)
    return choose_threshold(items, world.scores, design_of(world), expected_prevalence, rules=rules)


def design_of(world: World) -> PoolDesign:
    """Return how the items of a loop came to be asked, its pool taken to be without end."""
    return pool_design(asked_items(world.votes))
