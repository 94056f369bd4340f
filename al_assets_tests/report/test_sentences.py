import polars as pl
import pytest

from al_assets.report.iteration_tables import IterationTables
from al_assets.report.sentences import (
    gain_sentence,
    population_sentence,
    standing_sentence,
    verdict_reason,
    verdict_sentence,
)


def _edited(report: pl.DataFrame, figure: str, scope: str, **values: float | None) -> pl.DataFrame:
    chosen = (pl.col("figure") == figure) & (pl.col("scope") == scope)
    edits = {
        name: pl.when(chosen).then(pl.lit(value, dtype=pl.Float64)).otherwise(name) for name, value in values.items()
    }
    return report.with_columns(**edits)


@pytest.mark.parametrize(
    ("verdict", "reason", "says"),
    [
        ("parity", "close enough", "as well as they agree with each other.|Close enough."),
        ("guideline problem", "kappa 0.4", "the experts agree too little among themselves.|Kappa 0.4."),
        ("continue", "no stopping rule fired", "Go on: no stopping rule fired.|"),
        (
            "continue",
            "no stopping rule fired; also fired: x (advice only)",
            "fired.|No stopping rule fired; also fired: x",
        ),
        ("another", "why not", "Verdict: another.|Why not."),
    ],
)
def test_the_verdict_is_a_sentence(tables: IterationTables, verdict: str, reason: str, says: str) -> None:
    report = tables.report.with_columns(verdict=pl.lit(verdict), verdict_reason=pl.lit(reason))
    assert says in f"{verdict_sentence(report)}|{verdict_reason(report)}"


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.3, -0.1, "the student is below the experts"),
        (-0.3, 0.1, "may be chance"),
        (0.05, 0.1, "more than they do with each other"),
        (None, None, "how sure that is cannot be said"),
    ],
)
def test_the_standing_follows_the_interval_of_the_difference(
    tables: IterationTables, low: float | None, high: float | None, says: str
) -> None:
    is_gap = (pl.col("figure") == "parity_difference") & (pl.col("scope") == "evaluation")
    bounds = {
        "low": pl.when(is_gap).then(pl.lit(low, dtype=pl.Float64)).otherwise("low"),
        "high": pl.when(is_gap).then(pl.lit(high, dtype=pl.Float64)).otherwise("high"),
    }
    assert says in standing_sentence(tables.report.with_columns(**bounds))


def test_the_standing_is_not_known_without_the_models_kappa(tables: IterationTables) -> None:
    report = _edited(tables.report, "model_expert_kappa", "evaluation", estimate=None)
    assert "is not known" in standing_sentence(report)
    report = _edited(tables.report, "expert_expert_kappa", "evaluation", estimate=None)
    assert standing_sentence(report).endswith("is not known on them.")


@pytest.mark.parametrize(("low", "high", "says"), [(0.9, 0.95, "do not overlap"), (0.0, 0.95, "intervals overlap")])
def test_population_and_boundary_are_compared_by_their_intervals(
    tables: IterationTables, low: float, high: float, says: str
) -> None:
    report = _edited(tables.report, "model_expert_kappa", "audit", low=low, high=high)
    report = _edited(report, "model_expert_kappa", "boundary", low=0.1, high=0.2)
    assert says in population_sentence(report, 0.5)


def test_the_gain_is_divided_into_ranking_and_threshold(tables: IterationTables) -> None:
    report = tables.report
    for figure, estimate in (("student_gain", 0.1), ("gain_from_ranking", 0.1), ("gain_from_threshold", -0.001)):
        report = _edited(report, figure, "evaluation", estimate=estimate)
    assert gain_sentence(report) == (
        "Of the difference of +0.10, +0.10 comes from which items are put first and +0.00 from how many are called "
        "positive."
    )
    assert gain_sentence(report.filter(pl.col("figure") != "gain_from_ranking")) == ""
