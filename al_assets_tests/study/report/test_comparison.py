import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from al_assets.study.report import comparison
from al_assets.study.report.arms import arms_of
from al_assets.study.report.comparison import compare
from al_assets_tests.support.known_curves import only
from al_assets_tests.support.studies import Level, curve, frame, framed, row

against_random, controls = framed(comparison.against_random), framed(comparison.controls)
default_against_best = framed(comparison.default_against_best)

LABELS = (100, 200, 300, 400)
SEEDS = range(12)
GAINS = np.random.default_rng(5).normal(0.05, 0.02, 12)
"""What the strategy gains at the last round, by seed."""


def base(seed: int, labels: float) -> float:
    # Seeds differ far more than strategies do.
    return 0.2 * (seed % 5) + 0.1 * labels / 400


def gained(seed: int, labels: float) -> float:
    return base(seed, labels) + float(GAINS[seed]) * labels / 400


def test_differences_from_random_are_paired_by_seed() -> None:
    rows = frame(curve("random", SEEDS, LABELS, base), curve("boundary_pairs", SEEDS, LABELS, gained))
    last = only(against_random(arms_of(rows)), metric="kappa", measure="last")
    expected = stats.ttest_1samp(GAINS, 0)
    ends = expected.confidence_interval()
    assert last["seeds"] == 12
    assert last["side"] == "above"
    assert (last["difference"], last["low"], last["high"]) == pytest.approx((GAINS.mean(), ends.low, ends.high))
    assert last["p"] == pytest.approx(expected.pvalue)
    assert last["labels"] == last["random_labels"] == 400


def test_the_area_is_the_mean_height_between_the_curves() -> None:
    rows = frame(curve("random", SEEDS, LABELS, base), curve("boundary_pairs", SEEDS, LABELS, gained))
    # The gain rises from a quarter at 100 labels to the whole at 400.
    area = only(against_random(arms_of(rows)), metric="kappa", measure="area")
    assert area["difference"] == pytest.approx(GAINS.mean() * 5 / 8)


def test_curves_at_other_labels_are_compared_where_both_are() -> None:
    rows = frame(
        curve("random", [0, 1], (100, 200, 300), lambda _, labels: labels / 1000),
        curve("margin", [0, 1], (150, 260, 400), lambda _, labels: labels / 1000 + 0.07),
    )
    found = against_random(arms_of(rows)).filter((pl.col("metric") == "kappa") & (pl.col("measure") == "area"))
    assert found["difference"].to_list() == pytest.approx([0.07])


def test_only_seeds_that_both_have_count_and_one_has_no_interval() -> None:
    rows = frame(
        curve("random", [0, 1, 2], LABELS, base), curve("margin", [2, 3], LABELS, lambda s, n: base(s, n) + 0.3)
    )
    found = only(against_random(arms_of(rows)), metric="kappa", measure="last")
    assert (found["seeds"], found["low"], found["p"], found["p_holm"]) == (1, None, None, None)
    assert found["difference"] == pytest.approx(0.3)
    assert found["side"] == "unknown"


def test_a_round_without_kappa_is_bridged_and_a_last_one_is_left_out() -> None:
    rows = [*curve("random", [0, 1, 2], LABELS, base)]
    rows += [
        row("margin", seed, at, labels, None if (seed, at) in ((0, 1), (1, 3)) else base(seed, labels) + 0.1)
        for seed in range(3)
        for at, labels in enumerate(LABELS)
    ]
    random, margin = sorted(arms_of(frame(rows)), key=lambda arm: arm.strategy != "random")
    assert compare(margin, random, "kappa", "last").seeds == 2
    area = compare(margin, random, "kappa", "area")
    assert area.mean == pytest.approx(0.1)
    assert area.seeds == 3


def test_holm_covers_the_strategies_of_a_data_set_and_student() -> None:
    noise = np.random.default_rng(2).normal(0, 0.03, (3, 12))
    names = ("margin", "top_scored", "typiclust")

    def shifted(at: int) -> Level:
        return lambda seed, labels: base(seed, labels) + float(noise[at, seed]) + 0.01 * at

    parts = [curve(name, SEEDS, LABELS, shifted(at)) for at, name in enumerate(names)]
    found = against_random(arms_of(frame(curve("random", SEEDS, LABELS, base), *parts)))
    last = found.filter((pl.col("metric") == "kappa") & (pl.col("measure") == "last"))
    expected = multipletests(last["p"].to_list(), method="holm")[1]
    assert last["p_holm"].to_list() == pytest.approx(expected)
    assert last["strategy"].to_list() == list(names)


@pytest.mark.parametrize(
    ("gain", "noise", "verdict", "behind"),
    [(-0.1, 0.001, "best", ""), (0.01, 0.2, "within noise", ""), (0.1, 0.001, "behind", "margin")],
)
def test_the_default_is_held_against_the_best(gain: float, noise: float, verdict: str, behind: str) -> None:
    shifts = np.random.default_rng(3).normal(0, noise, 6)
    shifts += gain - shifts.mean()
    rows = frame(
        curve("boundary_pairs", range(6), LABELS, base),
        curve("margin", range(6), LABELS, lambda seed, labels: base(seed, labels) + float(shifts[seed])),
    )
    found = only(default_against_best(arms_of(rows), "boundary_pairs"), metric="kappa", measure="last")
    assert (found["verdict"], found["behind"]) == (verdict, behind)
    assert found["difference"] == pytest.approx(min(0.0, -gain))


def test_one_seed_gives_no_verdict_and_a_default_that_was_not_run_none_at_all() -> None:
    rows = frame(curve("boundary_pairs", [0], LABELS, base), curve("random", [0], LABELS, base))
    assert set(default_against_best(arms_of(rows), "boundary_pairs")["verdict"]) == {"unknown"}
    assert default_against_best(arms_of(rows), "margin").is_empty()


def test_controls_are_held_against_their_base() -> None:
    rows = frame(
        curve("boundary_pairs", [0, 1, 2], LABELS, base),
        curve("random", [0, 1, 2], LABELS, base),
        curve(
            "boundary_pairs", [0, 1, 2], LABELS, lambda s, n: base(s, n) - 0.04 - 0.001 * s, variant="no mixing filter"
        ),
        curve("boundary_pairs", [0, 1, 2], LABELS, lambda s, n: base(s, n) + 0.02, embedding="other"),
    )
    found = controls(arms_of(rows)).filter((pl.col("metric") == "kappa") & (pl.col("measure") == "last"))
    assert found["variant"].to_list() == ["no mixing filter", "embedding other instead of minilm"]
    assert found["difference"].to_list() == pytest.approx([-0.041, 0.02])
    assert found["side"].to_list()[0] == "below"
    assert found["level"][0] - found["base_level"][0] == pytest.approx(-0.041)
