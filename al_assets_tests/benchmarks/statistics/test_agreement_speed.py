import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.raters.slices import MODEL, agreement_figures
from benchmarks.statistics.agreement_speed import bench_agreement, simulated_votes


def test_the_bench_times_both_ways_and_they_agree() -> None:
    found = bench_agreement(items=200, raters=3, resamples=200, seed=1, runs=1, loop_timed=5)
    assert (found.items, found.raters, found.resamples, found.runs, found.loop_timed) == (200, 3, 200, 1, 5)
    # 3 pairs, 3 raters with the model, 3 with the majority of the others.
    assert found.loop_kappas == 9
    assert found.largest_difference < 1e-12
    assert found.figures > 200
    assert found.seconds > 0
    assert found.loop_seconds > found.seconds
    assert found.ratio == pytest.approx(found.loop_seconds / found.seconds)


def test_the_simulated_votes_are_what_they_are_said_to_be() -> None:
    votes, model = simulated_votes(2_000, 4, 3)
    assert votes.height == 8_000
    assert votes["reason"].n_unique() == 5
    assert votes["iteration"].n_unique() == 4
    assert votes["policy_version"].n_unique() == 2
    assert (votes["label"] == "undecided").mean() == pytest.approx(0.02, abs=0.006)
    again, _ = simulated_votes(2_000, 4, 3)
    assert again.equals(votes)
    wide = (
        votes.pivot("rater", index="item_id", values="label")
        .join(model, on="item_id")
        .filter(~pl.any_horizontal(pl.col("r0", "r1") == "undecided"))
    )
    first, second = ((wide[rater] == "positive").to_numpy() for rater in ("r0", "r1"))
    # Two raters who each err on 10 % agree on .9^2 + .1^2 = 82 %; rater and model on .9 x .85 + .1 x .15 = 78 %.
    assert np.mean(first == second) == pytest.approx(0.82, abs=0.03)
    assert np.mean(first == wide["label"].to_numpy()) == pytest.approx(0.78, abs=0.03)
    figures = agreement_figures(votes, model=model, resamples=20)
    row = figures.filter((pl.col("scope") == "rater") & (pl.col("slice") == "r0") & (pl.col("figure") == "cohen_kappa"))
    with_second = row.filter(pl.col("against") == "r1")["estimate"][0]
    assert with_second == pytest.approx(cohen_kappa_score(first, second))
    assert row.filter(pl.col("against") == MODEL)["estimate"][0] < with_second


@pytest.mark.slow
def test_the_full_panel_of_a_thousand_items_leaves_a_loop_far_behind() -> None:
    assert bench_agreement(loop_timed=10).ratio > 20
