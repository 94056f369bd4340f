import polars as pl
import pytest

from al_assets.agreement.core.figures import Figure, estimate_of, figure_of, frame_of, interval_of

KNOWN = Figure("model_expert_kappa", "audit", 0.5, 0.4, 0.6, 30, "how")
BARE = Figure("model_expert_kappa", "control", 1.0, items=4, detail="no interval: too few")
UNDEFINED = Figure("threshold", "pool", None, detail="nothing scored")


@pytest.fixture
def report() -> pl.DataFrame:
    return frame_of([KNOWN, BARE, UNDEFINED])


def test_a_figure_is_found_by_name_and_scope(report: pl.DataFrame) -> None:
    assert [figure_of(report, each.figure, each.scope) for each in (KNOWN, BARE, UNDEFINED)] == [KNOWN, BARE, UNDEFINED]
    assert figure_of(report, "model_expert_kappa", "panel") is None


def test_columns_of_a_mart_do_not_matter(report: pl.DataFrame) -> None:
    wider = report.with_columns(iteration=pl.lit("0000")).select(pl.all().reverse())
    assert figure_of(wider, "model_expert_kappa", "audit") == KNOWN


def test_an_interval_needs_all_three_numbers(report: pl.DataFrame) -> None:
    assert interval_of(report, "model_expert_kappa", "audit") == (0.5, 0.4, 0.6)
    assert interval_of(report, "model_expert_kappa", "control") is None
    assert interval_of(report, "threshold", "pool") is None
    assert interval_of(report, "missing", "pool") is None


def test_an_estimate_that_is_needed_and_unknown_says_why(report: pl.DataFrame) -> None:
    assert estimate_of(report, "model_expert_kappa", "control") == 1.0
    with pytest.raises(ValueError, match="leaves it undefined: nothing scored"):
        estimate_of(report, "threshold", "pool")
    with pytest.raises(ValueError, match="labels of scope loop is needed, and the report has no such row"):
        estimate_of(report, "labels", "loop")
