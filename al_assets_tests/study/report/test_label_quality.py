import polars as pl
import pytest

from al_assets.study.report import label_quality as quality
from al_assets.study.report.arms import arms_of
from al_assets.study.report.label_quality import expert_kappa_of
from al_assets_tests.support.known_curves import LABELS, SEEDS, SIZES, by_log, only, seeded
from al_assets_tests.support.studies import Level, crowd, curve, frame, framed

label_quality, label_quality_limits = framed(quality.label_quality), framed(quality.label_quality_limits)


def noisy(slope: float, offset: float) -> pl.DataFrame:
    """Curated kappa is offset + slope X in the last round; the crowd's .4."""

    def level(x: float) -> Level:
        return lambda seed, _: offset + slope * x + seeded(seed)

    qualities = (0.5, 0.7, 0.9, 1.0)
    parts = [curve("boundary_pairs", SEEDS, LABELS, level(x), variant=f"expert kappa {x:g}") for x in qualities]
    return frame(crowd(SEEDS, SIZES, by_log), *parts)


def test_the_limit_of_label_quality_is_where_the_curve_meets_the_crowd() -> None:
    arms = arms_of(noisy(0.5, 0.0))
    row = only(label_quality_limits(arms), metric="kappa")
    assert (row["limit"], row["bound"], row["below_share"]) == (pytest.approx(0.8), "=", 1)
    points = label_quality(arms).filter(pl.col("metric") == "kappa")
    assert points["expert_kappa"].to_list() == [0.5, 0.7, 0.9, 1.0]
    assert points["difference"].to_list() == pytest.approx([-0.15, -0.05, 0.05, 0.1])
    assert points["side"].to_list() == ["below", "below", "above", "above"]
    assert set(points["crowd_labels"]) == {10_000}


@pytest.mark.parametrize(("offset", "bound"), [(0.5, "<"), (-0.2, ">")])
def test_a_curve_that_never_meets_the_crowd_has_no_limit(offset: float, bound: str) -> None:
    row = only(label_quality_limits(arms_of(noisy(0.5, offset))), metric="kappa")
    assert (row["limit"], row["bound"], row["low_bound"], row["high_bound"]) == (None, bound, bound, bound)
    assert (row["lowest"], row["highest"]) == (0.5, 1)


def test_label_quality_without_a_crowd_has_levels_only() -> None:
    arms = arms_of(noisy(0.5, 0.0).filter(pl.col("strategy") != "crowd"))
    assert label_quality_limits(arms).is_empty()
    assert label_quality(arms)["difference"].null_count() == 8


@pytest.mark.parametrize(
    ("variant", "expected"), [("expert kappa 0.7", 0.7), ("expert kappa 1", 1), ("", None), ("no expert kappa 1", None)]
)
def test_variants_name_the_expert_kappa(variant: str, expected: float | None) -> None:
    assert expert_kappa_of(variant) == expected
