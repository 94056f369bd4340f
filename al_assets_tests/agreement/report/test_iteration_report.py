import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, cohen_kappa_score

from al_assets.agreement.core.figures import estimate_of
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.student_threshold import FOLDS, folds_of, student_labels
from al_assets.agreement.population.thresholds import labels_at
from al_assets.agreement.report import ReportSettings, agreement_report
from al_assets.agreement.report.alt_test import alt_test
from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.agreement.stopping.rules import Decision, Evidence, StoppingRules
from al_assets.tables import KAPPA_REPORT
from al_assets_tests.support.reports import report_frame, threshold_of
from al_assets_tests.support.simulated_loop import World

Factory = Callable[..., World]
RULES = StoppingRules(min_expert_kappa=-1, min_gain=0.03, window=2, looks="each")


def _report(world: World, iteration: str = "0002", **known: object) -> pl.DataFrame:
    settings = {"expected_prevalence": 0.1, "labels": 300, "resamples": 500, "rules": RULES, **known}
    return report_frame(
        iteration=iteration,
        votes=world.votes,
        split=world.split,
        scores=world.scores,
        **settings,  # type: ignore[arg-type]
    )


def _row(report: pl.DataFrame, figure: str, scope: str = "loop") -> dict[str, object]:
    return report.row(by_predicate=(pl.col("figure") == figure) & (pl.col("scope") == scope), named=True)


def _with_student(world: World, scores: pl.Expr) -> World:
    return replace(world, scores=world.scores.with_columns(scores.alias("p_student")))


def _only(world: World, label: str) -> World:
    return replace(world, votes=world.votes.with_columns(label=pl.lit(label)))


def test_a_report_holds_every_figure_in_every_scope_as_the_table_declares(world: Factory) -> None:
    report = KAPPA_REPORT.check(_report(world()))
    agreement = {
        "expert_expert_kappa", "model_expert_kappa", "incumbent_expert_kappa", "parity_difference", "student_gain",
        "krippendorff_alpha", "gwet_ac1", "positive_agreement", "negative_agreement", "observed_agreement",
    }  # fmt: skip
    for scope in ("boundary", "control", "evaluation", "panel", "audit"):
        found = set(report.filter(pl.col("scope") == scope)["figure"])
        assert agreement | {"undecided_share"} <= found
        assert "average_precision" in found or scope == "audit"
    assert {"prevalence", "precision", "recall"} <= set(report.filter(pl.col("scope") == "audit")["figure"])
    assert {"threshold", "stop_set_agreement"} <= set(report.filter(pl.col("scope") == "pool")["figure"])
    assert {"labels", "verdict", "promotion"} <= set(report.filter(pl.col("scope") == "loop")["figure"])
    assert _row(report, "labels")["estimate"] == 300
    bounded = report.filter(pl.col("low").is_not_null())
    assert bounded.filter((pl.col("low") > pl.col("estimate")) | (pl.col("high") < pl.col("estimate"))).is_empty()


def test_headline_figures_equal_scikit_learns_on_the_same_items(world: Factory) -> None:
    frames = world()
    report = _report(frames)
    threshold = _row(report, "threshold", "pool")["estimate"]
    wide = (
        frames.votes.filter(pl.col("reason") == "control")
        .with_columns(vote=(pl.col("label") == "positive").cast(pl.Float64))
        .filter(pl.col("label") != "undecided")
        .pivot("rater", index="item_id", values="vote")
        .join(frames.scores.filter(pl.col("role") == "evaluation"), on="item_id")
        .with_columns(model=(pl.col("p_student") >= pl.lit(threshold)).cast(pl.Float64))
    )

    def kappa(first: str, second: str) -> float:
        both = wide.drop_nulls([first, second])
        return float(cohen_kappa_score(both[first], both[second]))

    raters = ["r0", "r1", "r2"]
    experts = np.mean([kappa("r0", "r1"), kappa("r0", "r2"), kappa("r1", "r2")])
    model = np.mean([kappa("model", rater) for rater in raters])
    assert _row(report, "expert_expert_mean_kappa", "control")["estimate"] == pytest.approx(experts)
    assert _row(report, "model_expert_mean_kappa", "control")["estimate"] == pytest.approx(model)
    assert _row(report, "expert_expert_kappa", "control")["estimate"] == pytest.approx(experts, abs=0.01)
    assert _row(report, "model_expert_kappa", "control")["estimate"] == pytest.approx(model, abs=0.01)
    votes = wide.unpivot(raters, index=["item_id", "p_student"]).drop_nulls("value")
    counts = votes.group_by("item_id").len("n")
    weights = votes.join(counts, on="item_id").with_columns(w=1 / pl.col("n"))
    expected = average_precision_score(weights["value"], weights["p_student"], sample_weight=weights["w"])
    assert _row(report, "average_precision", "control")["estimate"] == pytest.approx(expected)


def test_the_audit_speaks_for_the_pool_and_the_boundary_does_not(world: Factory) -> None:
    frames = world(items=1_200, seed=4)
    report = _report(frames)
    prevalence = _row(report, "prevalence", "audit")
    assert prevalence["low"] < frames.prevalence < prevalence["high"]  # type: ignore[operator]
    on_control = _row(report, "expert_expert_kappa", "control")["estimate"]
    assert _row(report, "expert_expert_kappa", "audit")["estimate"] == pytest.approx(on_control, abs=0.12)
    assert _row(report, "expert_expert_kappa", "boundary")["high"] < on_control  # type: ignore[operator]


def test_row_order_changes_nothing_and_the_same_input_gives_the_same_report(world: Factory) -> None:
    frames = world()
    shuffled = World(
        frames.votes.sample(fraction=1, shuffle=True, seed=1),
        frames.split.sample(fraction=1, shuffle=True, seed=2),
        frames.scores.sample(fraction=1, shuffle=True, seed=3),
        frames.prevalence,
    )
    assert _report(frames).equals(_report(frames))
    assert _report(frames).equals(_report(shuffled))
    assert not _report(frames).equals(_report(frames, seed=1))


def test_the_thresholds_match_the_stop_set_to_the_pools_prevalence(world: Factory) -> None:
    frames = world(prevalence=0.3)
    found = threshold_of(frames, 0.05)
    assert found.random_items == 200
    assert found.observed is not None
    assert found.observed > found.prevalence > 0.05
    stop_set = frames.scores.filter(pl.col("role") == "stop_set")
    assert (stop_set["p_student"] >= found.threshold).mean() == pytest.approx(found.prevalence, abs=1e-3)
    report = _report(frames, expected_prevalence=0.05)
    assert (stop_set["p_incumbent"] >= found.cuts["incumbent"][0]).mean() == pytest.approx(found.prevalence, abs=1e-3)
    assert _row(report, "threshold", "pool")["estimate"] == found.threshold
    assert _row(report, "incumbent_threshold", "pool")["estimate"] == found.cuts["incumbent"][0]
    labels = student_labels(stop_set, found.threshold)
    assert labels.columns == ["item_id", "role", "label"]
    assert labels["label"].mean() == _row(report, "positive_share", "pool")["estimate"]


def test_evaluation_labels_touch_the_threshold_through_the_prevalence_alone(world: Factory) -> None:
    frames = world()

    def threshold(votes: pl.DataFrame) -> float:
        return threshold_of(replace(frames, votes=votes), 0.1).threshold

    flipped = (
        pl.when(pl.col("label") == "positive").then(pl.lit("negative"))
        .when(pl.col("label") == "negative").then(pl.lit("positive"))
        .otherwise("label")
    )  # fmt: skip
    random = pl.col("reason") != "boundary"
    others = frames.votes.with_columns(label=pl.when(random).then("label").otherwise(flipped))
    drawn = frames.votes.with_columns(label=pl.when(random).then(flipped).otherwise("label"))
    assert threshold(others) == threshold(frames.votes)
    assert threshold(drawn) < threshold(frames.votes)


def test_no_random_item_is_judged_by_a_threshold_that_its_own_votes_set(world: Factory) -> None:
    frames = world()
    items = labelled_items(frames.votes, frames.split, frames.scores)
    found, random = threshold_of(frames, 0.1), items.reason != "boundary"
    fold = np.where(random, folds_of(items.group), -1)
    for number in range(FOLDS):
        own = set(items.item_id[fold == number])
        positive = pl.when(pl.col("item_id").is_in(list(own))).then(pl.lit("positive")).otherwise("label")
        changed = threshold_of(replace(frames, votes=frames.votes.with_columns(label=positive)), 0.1)
        assert changed.threshold < found.threshold
        assert np.array_equal(changed.labels(items)[fold == number], found.labels(items)[fold == number])
    assert np.array_equal(found.labels(items)[~random], labels_at(items.p_student[~random], found.threshold))


def test_without_a_random_item_the_threshold_follows_the_policys_prevalence(world: Factory) -> None:
    frames = world()
    votes = frames.votes.filter(pl.col("reason") == "boundary")
    found = threshold_of(replace(frames, votes=votes), 0.07)
    assert (found.prevalence, found.observed, found.random_items) == (0.07, None, 0)
    report = _report(replace(frames, votes=votes))
    row = _row(report, "prevalence", "audit")
    assert (row["estimate"], row["detail"]) == (None, "no labelled item in this scope")


def test_a_good_student_reaches_parity_and_a_poor_one_does_not(world: Factory) -> None:
    rules = replace(RULES, looks="alpha_spending")
    good, poor = (
        _report(world(skill=skill, items=1_200, prevalence=0.25), "0006", expected_prevalence=0.25, rules=rules)
        for skill in (40.0, 0.3)
    )
    assert conclusion_of(good).verdict == "parity"
    assert _row(good, "stop_parity")["estimate"] == 1
    assert "look 7 of 8" in conclusion_of(good).verdict_reason
    assert (conclusion_of(poor).verdict, conclusion_of(poor).verdict_reason) == ("continue", "no stopping rule fired")


def test_a_much_worse_student_is_not_promoted(world: Factory) -> None:
    frames = world(skill=3.0)
    worse = _with_student(frames, 1 - pl.col("p_student"))
    assert conclusion_of(_report(frames)).promoted
    assert not conclusion_of(_report(worse)).promoted
    assert "surely less" in str(_row(_report(worse), "promotion")["detail"])


def test_a_student_equal_to_the_incumbent_is_promoted(world: Factory) -> None:
    frames = world()
    report = _report(_with_student(frames, pl.col("p_incumbent")))
    assert _row(report, "student_gain", "evaluation")["estimate"] == 0
    assert conclusion_of(report).promoted


def test_low_expert_agreement_everywhere_is_a_guideline_problem(world: Factory) -> None:
    rules = StoppingRules()
    assert conclusion_of(_report(world(noise=3.0), rules=rules)).verdict == "guideline problem"
    clear = _report(world(noise=0.1), rules=rules)
    assert _row(clear, "stop_guideline_problem")["estimate"] == 0


def test_a_spent_budget_ends_the_loop(world: Factory) -> None:
    frames = world(skill=0.3)
    assert conclusion_of(_report(frames, labels=1_000)).verdict == "budget spent"
    assert conclusion_of(_report(frames, iteration="0007")).verdict == "budget spent"


def test_the_panel_gain_is_measured_against_the_student_window_iterations_ago(world: Factory) -> None:
    frames = world(items=1_200)
    threshold = threshold_of(frames, 0.1).threshold
    same = student_labels(frames.scores, threshold)
    worse = student_labels(frames.scores.with_columns(p_student=1 - pl.col("p_student")), 0.5)
    flat = _report(frames, earlier_labels={"0000": same, "0001": worse})
    row = _row(flat, "panel_gain", "panel")
    assert row["estimate"] == 0
    assert str(row["detail"]).startswith("kappa gained since the student of 0000, paired; percentile, 500 resamples of")
    assert _row(flat, "stop_plateau")["estimate"] == 1
    rising = _report(frames, earlier_labels={"0000": worse, "0001": same})
    assert _row(rising, "panel_gain", "panel")["low"] > 0.03  # type: ignore[operator]
    assert _row(rising, "stop_plateau")["estimate"] == 0
    early = _report(frames, iteration="0001", earlier_labels={"0000": same})
    assert _row(early, "panel_gain", "panel")["detail"] == "no student that many iterations ago"
    lost = _report(frames, earlier_labels={"0001": same})
    assert _row(lost, "panel_gain", "panel")["detail"] == "no labels of 0000"


def test_stable_takes_three_alike_students_in_a_row(world: Factory) -> None:
    frames = world()
    threshold = threshold_of(frames, 0.1).threshold
    same = {"0002": student_labels(frames.scores, threshold)}

    def past(*agreements: float | None) -> dict[str, pl.DataFrame]:
        empty = pl.DataFrame(schema=KAPPA_REPORT.schema)
        row = {"figure": "stop_set_agreement", "scope": "pool", "items": 2_000, "detail": None}
        return {
            f"{number:04d}": pl.concat(
                [empty, pl.DataFrame([{**row, "estimate": value}], schema_overrides=KAPPA_REPORT.schema)],
                how="diagonal",
            )
            for number, value in enumerate(agreements)
        }

    def fires(history: dict[str, pl.DataFrame], labels: dict[str, pl.DataFrame]) -> object:
        return _row(_report(frames, iteration="0003", history=history, earlier_labels=labels), "stop_stable")

    assert _row(_report(frames, iteration="0003", earlier_labels=same), "stop_set_agreement", "pool")["estimate"] == 1
    assert fires(past(None, 0.99, 0.99), same)["estimate"] == 1  # type: ignore[index]
    assert fires(past(None, 0.60, 0.99), same)["estimate"] == 0  # type: ignore[index]
    assert fires(past(None, None, 0.99), same)["estimate"] == 0  # type: ignore[index]
    assert fires(past(None, 0.99, 0.99), {})["estimate"] == 0  # type: ignore[index]


def test_votes_of_one_label_only_leave_kappa_undefined_with_the_reason(world: Factory) -> None:
    report = _report(_only(world(), "negative"))
    row = _row(report, "expert_expert_kappa", "evaluation")
    assert (row["estimate"], row["low"], row["high"]) == (None, None, None)
    assert row["detail"] == "every vote is negative; kappa is undefined while only one label occurs"
    assert _row(report, "observed_agreement", "evaluation")["estimate"] == 1
    prevalence = _row(report, "prevalence", "audit")
    assert (prevalence["estimate"], prevalence["low"]) == (0, 0)
    assert 0 < prevalence["high"] < 0.1  # type: ignore[operator]
    assert conclusion_of(report).verdict == "continue"


def test_undecided_answers_are_counted_and_never_rated(world: Factory) -> None:
    frames = world()
    one = frames.votes.with_columns(label=pl.when(pl.col("rater") == "r2").then(pl.lit("undecided")).otherwise("label"))
    with_undecided = _report(replace(frames, votes=one))
    without = _report(replace(frames, votes=one.filter(pl.col("label") != "undecided")))
    kappa = ("expert_expert_kappa", "evaluation")
    assert _row(with_undecided, *kappa)["estimate"] == _row(without, *kappa)["estimate"]
    assert _row(with_undecided, "undecided_share", "evaluation")["estimate"] == pytest.approx(0.347, abs=0.01)
    assert _row(without, "undecided_share", "evaluation")["estimate"] == 0
    nobody = _report(_only(frames, "undecided"))
    assert _row(nobody, *kappa)["detail"] == "no labelled item in this scope"
    assert _row(nobody, "undecided_share", "evaluation")["estimate"] == 1


def test_one_vote_an_item_gives_no_kappa_but_a_prevalence(world: Factory) -> None:
    frames = world()
    report = _report(replace(frames, votes=frames.votes.filter(pl.col("rater") == "r0")))
    row = _row(report, "model_expert_kappa", "evaluation")
    assert (row["estimate"], row["items"], row["detail"]) == (None, 0, "no item has two decisive votes")
    assert _row(report, "prevalence", "audit")["estimate"] is not None
    assert not conclusion_of(report).promoted


def test_fine_tuning_items_enter_only_what_experts_say_among_themselves(world: Factory) -> None:
    frames = world()
    tuned = frames.split.with_columns(
        split=pl.when(pl.col("reason") == "boundary").then(pl.lit("fine-tuning")).otherwise("split")
    )
    unscored = frames.scores.join(tuned.filter(pl.col("split") == "fine-tuning"), on="item_id", how="anti")
    report = _report(replace(frames, split=tuned, scores=unscored))
    assert _row(report, "expert_expert_kappa", "boundary")["detail"] == "no labelled item in this scope"
    assert _row(report, "expert_expert_kappa", "evaluation")["items"] == 200
    assert _row(report, "expert_expert_kappa", "loop")["items"] == 400


def test_no_votes_at_all_is_a_report_that_says_go_on(world: Factory) -> None:
    frames = world()
    report = KAPPA_REPORT.check(_report(replace(frames, votes=frames.votes.clear())))
    assert conclusion_of(report).verdict == "continue"
    assert not conclusion_of(report).promoted


def test_what_cannot_be_reported_is_refused(world: Factory) -> None:
    frames = world()
    with pytest.raises(ValueError, match="no row of role 'stop_set'"):
        _report(replace(frames, scores=frames.scores.filter(pl.col("role") == "evaluation")))
    with pytest.raises(ValueError, match="iteration: 'two'"):
        _report(frames, iteration="two")
    with pytest.raises(ValueError, match="inclusion_probability: 200 of 200"):
        _report(replace(frames, votes=frames.votes.with_columns(inclusion_probability=pl.lit(None, pl.Float64))))
    with pytest.raises(ValueError, match="report: no row"):
        conclusion_of(pl.DataFrame(schema=KAPPA_REPORT.schema))


def test_four_hundred_items_take_seconds_at_most(world: Factory) -> None:
    frames = world()
    start = time.process_time()
    _report(frames, resamples=2_000)
    assert time.process_time() - start < 15


def test_the_rules_see_one_sided_bounds_of_the_confidence_they_state(world: Factory) -> None:
    seen: list[Evidence] = []

    class Recorder(StoppingRules):
        def decide(self, evidence: Evidence) -> list[Decision]:
            seen.append(evidence)
            return super().decide(evidence)

    frames = world(items=800)
    earlier = student_labels(frames.scores.with_columns(p_student=pl.col("p_incumbent")), 0.6)
    report = _report(frames, rules=Recorder(window=2), earlier_labels={"0000": earlier}, resamples=4_000)
    boundary = seen[0].boundary_parity
    assert boundary is not None
    for figure, scope, interval, normal_quantile in (
        ("parity_difference", "boundary", boundary(0.9), 1.645),
        ("parity_difference", "audit", seen[0].population_parity(0.9), 1.645),
        ("panel_gain", "panel", seen[0].panel_gain(0.8), 1.282),
        ("expert_expert_kappa", "loop", seen[0].expert_kappa, 1.645),
        ("expert_expert_kappa", "audit", seen[0].population_kappa, 1.645),
    ):
        row = _row(report, figure, scope)
        assert interval.estimate == pytest.approx(row["estimate"])
        width = interval.high - interval.low  # type: ignore[operator]
        assert width / (row["high"] - row["low"]) == pytest.approx(normal_quantile / 1.96, abs=0.04)  # type: ignore[operator]
    assert (seen[0].iterations, seen[0].labels) == (3, 300)


def test_promising_items_belong_to_the_boundary(world: Factory) -> None:
    frames = world()
    renamed = pl.when(pl.col("reason") == "boundary").then(pl.lit("promising")).otherwise("reason").alias("reason")
    promising = replace(frames, votes=frames.votes.with_columns(renamed), split=frames.split.with_columns(renamed))
    assert _report(promising).equals(_report(frames))


def test_what_stands_beside_the_parity_rule_is_that_of_the_evaluation_items(world: Factory) -> None:
    frames = world(skill=40.0, items=600, prevalence=0.25)
    report = _report(frames)
    items = labelled_items(frames.votes, frames.split, frames.scores)
    student = labels_at(items.p_student, estimate_of(report, "threshold", "pool"))
    expected = alt_test(items.votes[items.evaluation], student[items.evaluation])
    assert _row(report, "alt_test_winning_rate", "evaluation")["estimate"] == expected.winning_rate == 1
    assert _row(report, "alt_test_advantage", "evaluation")["estimate"] == expected.average_advantage
    assert _row(report, "alt_test_advantage", "evaluation")["detail"] == expected.text
    for scope in ("boundary", "audit"):
        further = _row(report, "ceiling_further_labels", scope)
        assert further["estimate"] == 0
        assert str(further["detail"]).endswith(f"{scope} items: on a par with the experts")
        assert str(further["detail"]) in str(_row(report, "stop_parity")["detail"])
        nothing = _row(_report(_only(frames, "negative")), "ceiling_further_labels", scope)
        assert nothing["estimate"] is None
        assert str(nothing["detail"]).startswith("not measured: every vote is negative")
    drawn = frames.votes.filter(pl.col("reason") != "boundary")
    alone = _report(replace(frames, votes=drawn))
    assert alone.filter(pl.col("figure") == "ceiling_further_labels")["scope"].to_list() == ["audit"]
    assert str(_row(alone, "stop_parity")["detail"]).startswith("nothing was chosen by rule, so the pool alone decides")


def test_votes_and_scores_alone_are_enough(world: Factory) -> None:
    frames = world()
    control = frames.votes.filter(pl.col("reason") == "control")
    item = pl.col("item_id").is_in(control["item_id"].unique().to_list())
    scores = frames.scores.filter(pl.col("role") == "stop_set").select("item_id", "p_student")
    asked = frames.scores.filter(item, pl.col("role") == "evaluation").select("item_id", "p_student")
    scores = pl.concat([asked, scores]).unique("item_id", keep="first", maintain_order=True)
    found = agreement_report(
        control.select("item_id", "rater", "label"), scores, settings=ReportSettings(resamples=200)
    )  # fmt: skip
    report = found.frame()
    whole = _report(replace(frames, votes=control, scores=frames.scores), iteration="0000", resamples=200)
    for scope in ("control", "evaluation"):
        assert (
            found.figure("expert_expert_kappa", scope).estimate == _row(whole, "expert_expert_kappa", scope)["estimate"]
        )
    assert found.figure("model_expert_kappa").low is not None
    assert not report["figure"].str.contains("incumbent_").filter(report["estimate"].is_not_null()).any()
    assert (found.conclusion.verdict, found.conclusion.promoted) == ("continue", False)
    assert found.conclusion.promotion_reason == "student and incumbent cannot be compared: no incumbent was scored"
    assert found.figure("labels", "loop").estimate == 100
    assert report["watermark"].null_count() == report.height
    with pytest.raises(KeyError, match="'threshold' of scope 'loop' is not in the report; it is there for pool"):
        found.figure("threshold", "loop")
    with pytest.raises(ValueError, match="votes: columns rater are missing"):
        agreement_report(control.select("item_id", "label"), scores)
