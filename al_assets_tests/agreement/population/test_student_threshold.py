from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from al_assets.agreement.core.kappa import cohen_kappa
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.calibration import Method, fit_calibration, logit
from al_assets.agreement.population.student_threshold import CalibrationRules, Rule, student_labels
from al_assets.agreement.population.thresholds import agreement_threshold, prevalence_threshold, probability_threshold
from al_assets.tables import KAPPA_REPORT
from al_assets_tests.support.reports import report_frame, threshold_of
from al_assets_tests.support.simulated_loop import World

Factory = Callable[..., World]


@pytest.fixture
def folded(world: Factory) -> World:
    """A loop whose control items were learnt from, each scored by a student that had not seen it."""
    frames = world(items=800)
    learnt = pl.col("reason") == "control"
    split = frames.split.with_columns(split=pl.when(learnt).then(pl.lit("fine-tuning")).otherwise("split"))
    taught = split.filter(pl.col("split") == "fine-tuning").select("item_id")
    seen = frames.scores.filter(pl.col("role") == "evaluation").join(taught, on="item_id")
    others = frames.scores.filter(pl.col("role") != "evaluation")
    unseen = frames.scores.filter(pl.col("role") == "evaluation").join(taught, on="item_id", how="anti")
    nothing = {"p_incumbent": pl.lit(None, pl.Float64), "incumbent_label": pl.lit(None, pl.Boolean)}
    held_out = seen.with_columns(role=pl.lit("out_of_fold"), **nothing)
    return replace(frames, split=split, scores=pl.concat([unseen, others, held_out]))


def choose(world: World, rule: Rule) -> object:
    return threshold_of(world, 0.2, CalibrationRules(threshold=rule))


def test_each_rule_cuts_where_it_says(folded: World) -> None:
    pool = folded.scores.filter(pl.col("role") == "stop_set")["p_student"].to_numpy()
    found = {
        rule: threshold_of(folded, 0.2, CalibrationRules(threshold=rule))
        for rule in ("prevalence", "kappa", "half")
    }  # fmt: skip
    curve = found["kappa"].calibration
    assert (curve.method, curve.items) == ("logistic", 200)
    assert curve.probability(pool).mean() == pytest.approx(found["kappa"].prevalence)
    assert found["prevalence"].threshold == prevalence_threshold(pool, found["prevalence"].prevalence)
    assert found["kappa"].threshold == agreement_threshold(pool, curve.probability(pool))
    called = curve.probability(pool[pool >= found["half"].threshold])
    assert called.min() >= 0.5 > curve.probability(pool[pool < found["half"].threshold]).max()
    assert len({each.threshold for each in found.values()}) == 3
    assert "largest kappa" in found["kappa"].rule


def test_neither_curve_nor_threshold_sees_an_evaluation_label_but_the_prevalence(folded: World) -> None:
    flipped = (
        pl.when(pl.col("label") == "positive").then(pl.lit("negative"))
        .when(pl.col("label") == "negative").then(pl.lit("positive")).otherwise("label")
    )  # fmt: skip
    judged = folded.votes.with_columns(label=pl.when(pl.col("reason") == "boundary").then(flipped).otherwise("label"))
    taught = folded.votes.with_columns(label=pl.when(pl.col("reason") == "control").then(flipped).otherwise("label"))
    assert choose(replace(folded, votes=judged), "kappa") == choose(folded, "kappa")
    assert choose(replace(folded, votes=taught), "kappa") != choose(folded, "kappa")


def test_out_of_fold_rows_change_nothing_but_the_calibration(folded: World) -> None:
    without = replace(folded, scores=folded.scores.filter(pl.col("role") != "out_of_fold"))

    def report(frames: World) -> pl.DataFrame:
        return report_frame(
                iteration="0002", votes=frames.votes, split=frames.split, scores=frames.scores,
                expected_prevalence=0.2, labels=300, resamples=200,
            )  # fmt: skip

    with_folds, plain = KAPPA_REPORT.check(report(folded)), report(without)
    calibrated = ["calibration_slope", "calibration_intercept", "calibration_error", "brier_score"]
    rest = ~pl.col("figure").is_in(calibrated)
    assert with_folds.filter(rest).equals(plain.filter(rest))
    assert not with_folds.filter(~rest).equals(plain.filter(~rest))
    labels = student_labels(folded.scores, 0.5)
    assert set(labels["role"]) == {"evaluation", "stop_set"}
    assert labels.equals(student_labels(without.scores, 0.5))


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_the_report_holds_the_curve_where_two_numbers_say_it(folded: World, method: Method) -> None:
    rules = CalibrationRules(method)
    found = threshold_of(folded, 0.2, rules)  # fmt: skip
    slope, intercept = (
        next(each.estimate for each in found.figures() if each.figure == f"calibration_{name}")
        for name in ("slope", "intercept")
    )
    if method == "isotonic":
        assert (slope, intercept) == (None, None)
        return
    assert slope is not None
    assert intercept is not None
    scores = np.array([0.1, 0.5, 0.8])
    assert expit(slope * logit(scores) + intercept) == pytest.approx(found.calibration.probability(scores))


def test_without_folds_the_prevalence_decides_and_the_reason_is_given(world: Factory) -> None:
    frames = world()
    matched = threshold_of(frames, 0.2)
    wanted = threshold_of(frames, 0.2, CalibrationRules(threshold="kappa"))  # fmt: skip
    assert wanted.threshold == matched.threshold
    assert "'kappa' needs a curve: no out-of-fold scores" in wanted.rule
    assert matched.rule == "stop-set quantile that matches threshold_prevalence"
    assert matched.calibration.method == "raw"


def test_scores_no_better_than_chance_fall_back_with_the_reason(folded: World) -> None:
    upside_down = pl.when(pl.col("role") == "out_of_fold").then(1 - pl.col("p_student")).otherwise("p_student")
    frames = replace(folded, scores=folded.scores.with_columns(p_student=upside_down))
    found = threshold_of(frames, 0.2, CalibrationRules(threshold="half"))  # fmt: skip
    assert "no better than chance" in found.rule
    assert found.calibration.method == "raw"


def test_equal_scores_leave_no_best_cut(folded: World) -> None:
    equal = pl.when(pl.col("role") == "stop_set").then(0.5).otherwise("p_student")
    frames = replace(folded, scores=folded.scores.with_columns(p_student=equal))
    found = threshold_of(frames, 0.2, CalibrationRules(threshold="kappa"))  # fmt: skip
    assert "all equal" in found.rule
    assert np.isfinite(found.threshold)


def test_labelled_items_know_no_out_of_fold_score(folded: World) -> None:
    items = labelled_items(folded.votes, folded.split, folded.scores)
    assert np.isnan(items.p_student[items.split == "fine-tuning"]).all()


def test_both_rules_come_close_to_the_best_threshold_of_a_simulated_pool() -> None:
    from sklearn.linear_model import LogisticRegression

    lost: dict[str, list[float]] = {"prevalence": [], "kappa": [], "half": []}
    for seed in range(8):
        generator = np.random.default_rng(seed)
        features, direction = generator.normal(size=(6_000, 12)), generator.normal(size=12)
        latent = 3 * features @ direction / np.linalg.norm(direction)
        labels = (generator.random(6_000) < expit(latent - 4)).astype(np.float64)
        # Learnt from items near the boundary, as the loop's are; half of them positive instead of one in ten.
        near = np.argsort(np.abs(latent[:3_000] - 4 + generator.normal(size=3_000)))[:300]
        fold_of = np.arange(300) % 5

        def scores(taught: NDArray[np.int64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
            model = LogisticRegression(class_weight="balanced").fit(features[taught], labels[taught])  # noqa: B023
            return np.asarray(model.predict_proba(asked)[:, 1], dtype=np.float64)

        held_out = np.empty(300)
        for fold in range(5):
            held_out[fold_of == fold] = scores(near[fold_of != fold], features[near[fold_of == fold]])
        pool, unseen = scores(near, features[3_000:4_000]), scores(near, features[4_000:])
        curve = fit_calibration(held_out, labels[near]).moved_to(pool, float(labels.mean()))
        thresholds = {
            "prevalence": prevalence_threshold(pool, float(labels.mean())),
            "kappa": agreement_threshold(pool, curve.probability(pool)),
            "half": probability_threshold(pool, curve.probability(pool)),
        }
        best = max(
            cohen_kappa((unseen >= each).astype(np.float64), labels[4_000:]) for each in np.sort(unseen)[1_200::10]
        )
        for rule, threshold in thresholds.items():
            lost[rule].append(best - cohen_kappa((unseen >= threshold).astype(np.float64), labels[4_000:]))
    means = {rule: float(np.mean(each)) for rule, each in lost.items()}
    assert means["prevalence"] < 0.04
    assert means["kappa"] < 0.04
    assert abs(means["prevalence"] - means["kappa"]) < 0.02
    assert means["half"] > 2 * max(means["prevalence"], means["kappa"])
