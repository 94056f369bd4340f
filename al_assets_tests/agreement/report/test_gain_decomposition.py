from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import pooled_model_kappa
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.report.gain_decomposition import combinations
from al_assets_tests.support.reports import report_frame, threshold_of
from al_assets_tests.support.simulated_loop import World

Factory = Callable[..., World]


def parts(world: World, scope: str) -> dict[str, dict[str, object]]:
    report = report_frame(
            iteration="0002", votes=world.votes, split=world.split, scores=world.scores, expected_prevalence=0.2,
            labels=300, resamples=300,
        )  # fmt: skip
    wanted = pl.col("figure").is_in(["student_gain", "gain_from_ranking", "gain_from_threshold"])
    return {row["figure"]: row for row in report.filter(wanted & (pl.col("scope") == scope)).iter_rows(named=True)}


def with_scores(world: World, **columns: pl.Expr) -> World:
    return replace(world, scores=world.scores.with_columns(**columns))


@pytest.mark.parametrize("scope", ["evaluation", "audit"])
def test_the_parts_add_up_to_the_gain(world: Factory, scope: str) -> None:
    for items in (400, 600):
        frames = world(items=items)
        share = frames.scores.filter(pl.col("role") == "stop_set")["incumbent_label"].to_numpy().mean()
        found = parts(frames, scope)
        both = found["gain_from_ranking"]["estimate"] + found["gain_from_threshold"]["estimate"]  # type: ignore[operator]
        assert both == pytest.approx(found["student_gain"]["estimate"], abs=1e-11)
        for name in ("gain_from_ranking", "gain_from_threshold"):
            row = found[name]
            assert row["low"] < row["estimate"] < row["high"]  # type: ignore[operator]
            assert str(row["detail"]).endswith(f"of the pool positive, the incumbent {100 * share:.1f} %")


def test_the_same_ranking_with_another_share_gains_by_threshold_alone(world: Factory) -> None:
    cautious = pl.col("p_incumbent") >= pl.col("p_incumbent").quantile(0.98)
    same = with_scores(world(items=800), p_student=pl.col("p_incumbent"), incumbent_label=cautious)
    for scope in ("evaluation", "audit"):
        found = parts(same, scope)
        assert found["gain_from_ranking"]["estimate"] == pytest.approx(0, abs=0.02)
        assert found["gain_from_threshold"]["estimate"] == pytest.approx(found["student_gain"]["estimate"], abs=0.02)
        assert found["gain_from_threshold"]["low"] > 0.05  # type: ignore[operator]


def test_a_better_ranking_at_the_same_share_gains_by_ranking_alone(world: Factory) -> None:
    frames = world(items=800, skill=8.0)
    threshold = threshold_of(frames, 0.2).threshold
    stop_set = frames.scores.filter(pl.col("role") == "stop_set")
    cut = stop_set["p_incumbent"].quantile(1 - float((stop_set["p_student"] >= threshold).mean()))  # type: ignore[arg-type]
    found = parts(with_scores(frames, incumbent_label=pl.col("p_incumbent") >= cut), "evaluation")
    assert found["gain_from_threshold"]["estimate"] == pytest.approx(0, abs=0.005)
    assert found["gain_from_ranking"]["low"] > 0.1  # type: ignore[operator]


def test_the_parts_are_the_shapley_values_of_four_kappas(world: Factory) -> None:
    frames = world()
    items = labelled_items(frames.votes, frames.split, frames.scores)
    threshold = threshold_of(frames, 0.2).threshold
    models = combinations(items, frames.scores, threshold)
    stop_set = frames.scores.filter(pl.col("role") == "stop_set")
    assert models.incumbent_share == pytest.approx(stop_set["incumbent_label"].mean())
    k = {name: pooled_model_kappa(labels, items.votes) for name, labels in models.labels.items()}
    by_ranking = (k["model_at_incumbent_share"] - k["incumbent"] + k["model"] - k["incumbent_at_model_share"]) / 2
    found = parts(frames, "evaluation")
    assert found["gain_from_ranking"]["estimate"] == pytest.approx(by_ranking, abs=1e-9)
    kept = models.where(items.reason == "audit")
    assert np.array_equal(kept.labels["model"], models.labels["model"][items.reason == "audit"])


def test_without_labels_the_parts_are_undefined(world: Factory) -> None:
    frames = world()
    for scope in ("evaluation", "audit"):
        found = parts(replace(frames, votes=frames.votes.clear()), scope)
        assert found["gain_from_ranking"]["estimate"] is None
        assert found["gain_from_threshold"]["detail"] == "no labelled item in this scope"
    nobody = with_scores(frames, incumbent_label=pl.lit(False))
    one = replace(nobody, votes=frames.votes.with_columns(label=pl.lit("negative")))
    row = parts(one, "evaluation")["gain_from_ranking"]
    assert (row["estimate"], row["low"]) == (None, None)
    assert row["detail"] == "kappa is undefined for one of the four combinations of ranking and positive share"
