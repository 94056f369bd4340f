import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import cohen_kappa
from al_assets.report.iteration_tables import IterationTables
from al_assets.report.sentences import (
    ScopeFigures,
    kappa_at,
    population_sentence,
    recommended_sentence,
    standing_sentence,
    undecided_sentence,
    verdict_reason,
    verdict_sentence,
    why_scopes_differ,
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
    is_gap = (pl.col("figure") == "parity_difference") & (pl.col("scope") == "audit")
    bounds = {
        "low": pl.when(is_gap).then(pl.lit(low, dtype=pl.Float64)).otherwise("low"),
        "high": pl.when(is_gap).then(pl.lit(high, dtype=pl.Float64)).otherwise("high"),
    }
    assert says in standing_sentence(tables.report.with_columns(**bounds))


def test_the_standing_is_not_known_without_the_models_kappa(tables: IterationTables) -> None:
    assert standing_sentence(tables.report).startswith("In the pool, estimated from 98 random items, the student")
    report = _edited(tables.report, "model_expert_kappa", "audit", estimate=None)
    assert standing_sentence(report).startswith("On 180 evaluation items, which are no sample of the pool, the student")
    nothing = _edited(report, "model_expert_kappa", "evaluation", estimate=None)
    assert "is not known" in standing_sentence(nothing)
    report = _edited(tables.report, "expert_expert_kappa", "audit", estimate=None)
    assert standing_sentence(report).endswith("is not known on them.")


@pytest.mark.parametrize(("low", "high", "says"), [(0.9, 0.95, "do not overlap"), (0.0, 0.95, "intervals overlap")])
def test_population_and_boundary_are_compared_by_their_intervals(
    tables: IterationTables, low: float, high: float, says: str
) -> None:
    report = _edited(tables.report, "model_expert_kappa", "audit", low=low, high=high)
    report = _edited(report, "model_expert_kappa", "boundary", low=0.1, high=0.2)
    assert says in population_sentence(report, 0.5)


def test_the_model_to_take_is_named_with_its_reason(tables: IterationTables) -> None:
    apart = tables.report.with_columns(recommended=pl.lit("0001"), better_reason=pl.lit("student minus LLM-0 +0.2"))
    assert recommended_sentence(apart) == "The model to take is the student of 0001. Student minus LLM-0 +0.2."
    unsure = tables.report.with_columns(recommended=pl.lit("LLM-0"))
    assert recommended_sentence(unsure).startswith("The model to take is LLM-0. ")


POOL = ScopeFigures(kappa=0.45, prevalence=0.05, expert_kappa=0.8, precision=0.48, recall=0.48)


def test_prevalence_raises_and_difficulty_lowers_kappa() -> None:
    boundary = ScopeFigures(kappa=0.31, prevalence=0.42, expert_kappa=0.55)
    expected = kappa_at(POOL, 0.42)
    assert expected is not None
    found = why_scopes_differ(boundary, POOL)
    assert found == (
        "The model agrees with the experts with kappa 0.31 on boundary items and 0.45 in the whole pool: "
        "42 % of them are positive against 5 % of the pool, which at equal error rates raises kappa by "
        f"{expected - 0.45:.2f}, and being chosen for their difficulty lowers it by {expected - 0.31:.2f} "
        "(the experts themselves agree with kappa 0.55 there and 0.80 in the pool)."
    )


def test_kappa_at_another_prevalence_is_that_of_labels_with_the_same_error_rates() -> None:
    generator = np.random.default_rng(0)
    size, recall, false_alarm = 400_000, 0.6, 0.03

    def labels(prevalence: float) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.random(size) < prevalence
        return truth.astype(float), (generator.random(size) < np.where(truth, recall, false_alarm)).astype(float)

    truth, model = labels(0.05)
    pool = ScopeFigures(cohen_kappa(model, truth), 0.05, None, float(truth[model == 1].mean()), recall)
    assert kappa_at(pool, 0.05) == pytest.approx(pool.kappa, abs=0.01)
    other, called = labels(0.4)
    assert kappa_at(pool, 0.4) == pytest.approx(cohen_kappa(called, other), abs=0.01)


def test_items_that_are_no_harder_are_not_called_so() -> None:
    same = kappa_at(POOL, 0.05)
    assert same is not None
    found = why_scopes_differ(ScopeFigures(same, 0.05), ScopeFigures(same, 0.05, None, 0.48, 0.48))
    assert "changes kappa by less than 0.02" in found
    assert "no harder for the model than the pool (+0.00)" in found
    assert "experts themselves" not in found


@pytest.mark.parametrize(
    ("boundary", "population", "missing"),
    [
        (ScopeFigures(None, 0.4), POOL, "for boundary."),
        (ScopeFigures(0.3, 0.4), ScopeFigures(None, 0.05), "for population."),
        (ScopeFigures(None, None), ScopeFigures(None, None), "for boundary and population."),
    ],
)
def test_what_is_undefined_is_named(boundary: ScopeFigures, population: ScopeFigures, missing: str) -> None:
    assert why_scopes_differ(boundary, population).endswith(missing)


def test_without_precision_nothing_is_attributed() -> None:
    found = why_scopes_differ(ScopeFigures(0.3, 0.4), ScopeFigures(0.5, 0.05, recall=0.5))
    assert "kappa 0.30 on boundary items and 0.50 in the whole pool" in found
    assert "error rates" not in found


def test_the_bounds_of_kappa_are_told_where_anybody_was_undecided(tables: IterationTables) -> None:
    report = tables.report
    for figure, value in (("_worst", 0.31), ("", 0.4), ("_best", 0.52)):
        report = _edited(report, f"expert_expert_kappa{figure}", "evaluation", estimate=value)
    said = undecided_sentence(report)
    assert "expert-expert kappa between 0.31 and 0.52 (0.40 without these answers)" in said
    assert "student-expert kappa between" in said
    assert undecided_sentence(report.filter(~pl.col("figure").str.contains("_worst"))) == ""
    unknown = _edited(report, "expert_expert_kappa_best", "evaluation", estimate=None)
    assert "expert-expert" not in undecided_sentence(unknown)
