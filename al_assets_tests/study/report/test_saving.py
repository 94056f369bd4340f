import numpy as np
import polars as pl
import pytest

from al_assets.study.report import saving
from al_assets.study.report.arms import arms_of
from al_assets.study.report.saving import CROWD_TARGET, HIGHEST_TARGET, RANDOM_TARGET
from al_assets_tests.support.known_curves import LABELS, SEEDS, SIZES, by_log, only, seeded
from al_assets_tests.support.studies import crowd, curve, frame, framed

labels_needed, crowd_equivalents = framed(saving.labels_needed), framed(saving.crowd_equivalents)


def study(level: float, noise: float = 0.0) -> pl.DataFrame:
    """Curated labels rise to ``level`` at 400 labels, random ones to .05 less; all shift by seed."""
    shifts = np.random.default_rng(1).normal(0, noise, 6) if noise else np.zeros(6)
    return frame(
        curve("boundary_pairs", SEEDS, LABELS, lambda s, n: level - 0.2 * (1 - n / 400) + seeded(s) + float(shifts[s])),
        curve("random", SEEDS, LABELS, lambda s, n: level - 0.05 - 0.2 * (1 - n / 400) + seeded(s)),
        crowd(SEEDS, SIZES, by_log),
    )


def test_labels_needed_are_where_the_curves_cross() -> None:
    found = labels_needed(arms_of(study(0.4)))
    row = only(found, strategy="boundary_pairs", metric="kappa", target=RANDOM_TARGET)
    # .35 is reached at 300 labels of 400: the curve rises by .05 every 100.
    assert (row["level"], row["labels"], row["bound"]) == (pytest.approx(0.35), pytest.approx(300), "=")
    assert (row["low"], row["high"]) == (pytest.approx(300), pytest.approx(300))
    assert row["random_factor"] == pytest.approx(4 / 3)
    assert row["reached_share"] == 1
    # The crowd needs 10 ** 3.5 labels for .35.
    assert row["crowd_factor"] == pytest.approx(10**3.5 / 300)


def test_the_targets_are_those_of_crowd_random_and_best() -> None:
    found = labels_needed(arms_of(study(0.45))).filter(pl.col("metric") == "kappa")
    levels = {target: level for target, level in zip(found["target"], found["level"], strict=True)}
    assert levels == pytest.approx({CROWD_TARGET: 0.4, RANDOM_TARGET: 0.4, HIGHEST_TARGET: 0.36})


def test_a_target_out_of_reach_is_not_reached() -> None:
    row = only(labels_needed(arms_of(study(0.3))), strategy="random", metric="kappa", target=CROWD_TARGET)
    assert (row["labels"], row["bound"], row["last_labels"], row["reached_share"]) == (None, ">", 400, 0)
    assert (row["interval"], row["low"], row["high"]) == (True, None, None)
    assert (row["random_factor"], row["crowd_bound"]) == (None, "<")
    assert row["crowd_factor"] == pytest.approx(10_000 / 400)


def test_a_target_that_the_first_round_reaches_is_a_bound() -> None:
    row = only(labels_needed(arms_of(study(0.8))), strategy="boundary_pairs", metric="kappa", target=CROWD_TARGET)
    assert (row["labels"], row["bound"], row["random_bound"]) == (100, "<", None)
    assert (row["crowd_bound"], row["crowd_factor"]) == (">", pytest.approx(100))


def test_a_target_near_the_last_level_is_reached_by_some_resamples() -> None:
    found = labels_needed(arms_of(study(0.402, noise=0.02)))
    row = only(found, strategy="boundary_pairs", metric="kappa", target=CROWD_TARGET)
    assert 0.1 < row["reached_share"] < 0.9
    assert row["low"] is not None
    assert row["high"] is None


def test_the_crowd_labels_for_the_same_kappa_lie_on_its_curve() -> None:
    found = crowd_equivalents(arms_of(study(0.35)))
    row = only(found, strategy="boundary_pairs", metric="kappa")
    assert (row["crowd_labels"], row["bound"]) == (pytest.approx(10**3.5), "=")
    # All seeds shift alike, so pairing leaves no noise.
    assert (row["low"], row["high"]) == (pytest.approx(10**3.5), pytest.approx(10**3.5))
    assert (row["labels"], row["votes"], row["fewest"], row["most"]) == (400, 800, 100, 10_000)
    assert row["per_label"] == pytest.approx(10**3.5 / 400)
    assert row["per_vote"] == pytest.approx(10**3.5 / 800)
    assert row["difference"] == pytest.approx(-0.05)
    assert only(found, strategy="random", metric="kappa")["crowd_labels"] == pytest.approx(1_000)


@pytest.mark.parametrize(("level", "bound", "per_label"), [(0.6, ">", 25), (0.15, "<", 0.25)])
def test_outside_of_the_sizes_only_a_bound_is_given(level: float, bound: str, per_label: float) -> None:
    row = only(crowd_equivalents(arms_of(study(level))), strategy="boundary_pairs", metric="kappa")
    assert (row["crowd_labels"], row["bound"], row["low_bound"], row["high_bound"]) == (None, bound, bound, bound)
    assert row["per_label"] == pytest.approx(per_label)


def test_the_interval_of_an_equivalent_covers_the_noise_between_seeds() -> None:
    row = only(crowd_equivalents(arms_of(study(0.35, noise=0.02))), strategy="boundary_pairs", metric="kappa")
    assert row["low"] < row["crowd_labels"] < row["high"]
    again = only(crowd_equivalents(arms_of(study(0.35, noise=0.02)), seed=0), strategy="boundary_pairs", metric="kappa")
    assert again == row


def test_a_crowd_that_falls_is_made_level() -> None:
    def falling(_: int, labels: float) -> float:
        return {100: 0.2, 1_000: 0.4, 10_000: 0.3}[int(labels)]

    rows = frame(curve("margin", SEEDS, LABELS, lambda s, n: 0.35 * n / 400), crowd(SEEDS, SIZES, falling))
    row = only(crowd_equivalents(arms_of(rows)), strategy="margin", metric="kappa")
    # .4 and .3 become .35 twice; the first size that reaches it counts.
    assert row["crowd_labels"] == pytest.approx(1_000)
    assert row["crowd_level"] == pytest.approx(0.35)


def test_one_seed_has_estimates_but_no_intervals() -> None:
    rows = study(0.35).filter(pl.col("seed") == 0)
    row = only(crowd_equivalents(arms_of(rows)), strategy="boundary_pairs", metric="kappa")
    assert (row["bound"], row["low_bound"], row["high_bound"], row["seeds"]) == ("=", None, None, 1)
    needed = labels_needed(arms_of(rows))
    assert not needed["interval"].any()
    assert needed["low"].null_count() == len(needed)


def test_without_crowd_or_kappa_there_is_nothing_to_say() -> None:
    rows = study(0.35)
    assert crowd_equivalents(arms_of(rows.filter(pl.col("strategy") != "crowd"))).is_empty()
    unknown = rows.with_columns(kappa_boundary=pl.lit(None, pl.Float64))
    assert set(crowd_equivalents(arms_of(unknown))["metric"]) == {"kappa"}
    assert set(labels_needed(arms_of(unknown))["metric"]) == {"kappa"}
