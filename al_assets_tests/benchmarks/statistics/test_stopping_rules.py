import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import cohen_kappa, pooled_kappa, pooled_model_kappa
from al_assets.agreement.stopping.rules import StoppingRules
from al_assets_tests.support.reports import report_frame
from benchmarks.statistics.simulated_loop import (
    AUDIT,
    BOUNDARY,
    CONTROL,
    LoopSize,
    Scenario,
    SimulatedLoop,
    between_kinds,
    loop_evidence,
    simulate_loop,
)
from benchmarks.statistics.stopping_rules import (
    SCENARIOS,
    bench_stopping,
    endings_table,
    guideline_due,
    outcome,
    plateau_due,
    stopping_table,
)


def _scenario(name: str) -> Scenario:
    return next(each for each in SCENARIOS if each.name == name)


def test_a_round_divides_as_the_policys_defaults_do() -> None:
    size = LoopSize()
    assert size.per_round == (72, 18, 30)
    # .3 of 36 pairs and of 18 control items, and every audit item.
    assert size.evaluation_per_round == (22, 35)
    loop = simulate_loop(SCENARIOS[0], size, 3, np.random.default_rng(0))
    assert loop.votes.shape == (360, 2)
    assert loop.students.shape == (3, 360)
    assert loop.stop_set.shape == (3, 2_000)
    assert int(loop.evaluation.sum()) == 3 * 57
    assert bool(loop.evaluation[loop.kind == AUDIT].all())
    pairs = loop.group[(loop.kind == BOUNDARY)]
    assert set(np.unique(pairs, return_counts=True)[1]) == {2}
    for group in np.unique(loop.group):
        assert len(set(loop.evaluation[loop.group == group])) == 1


def test_simulated_kappas_are_the_scenarios() -> None:
    size = LoopSize(budget=60_000, stop_set=10, experts=3)
    scenario = replace(_scenario("rising, then flat"), pool_shift=-0.1)
    loop = simulate_loop(scenario, size, 3, np.random.default_rng(0))
    for kinds, shift in (((BOUNDARY,), 0.0), ((CONTROL, AUDIT), scenario.pool_shift)):
        first = loop.evaluation & (loop.iteration == 0) & np.isin(loop.kind, kinds)
        votes = loop.votes[first]
        assert pooled_kappa(votes) == pytest.approx(scenario.expert_kappa, abs=0.03)
        for place in range(3):
            kappa = scenario.model_kappa[place] + shift
            assert pooled_model_kappa(loop.students[place, first], votes) == pytest.approx(kappa, abs=0.03)


def test_what_lies_between_the_kinds_is_agreed_on_by_everybody() -> None:
    size = LoopSize(budget=60_000, stop_set=10)
    loop = simulate_loop(_scenario("flat"), size, 1, np.random.default_rng(0))
    between = between_kinds(size)
    assert pooled_kappa(loop.votes[loop.evaluation]) == pytest.approx(between + (1 - between) * 0.8, abs=0.015)


def test_the_smaller_the_churn_the_more_alike_successive_students() -> None:
    def alike(churn: float) -> float:
        scenario = replace(_scenario("flat"), churn=churn)
        loop = simulate_loop(scenario, LoopSize(), 3, np.random.default_rng(0))
        return cohen_kappa(loop.stop_set[2], loop.stop_set[1])

    assert alike(0.0) == pytest.approx(1.0)
    assert alike(0.0) > alike(0.05) > alike(0.3) > alike(0.9)


def test_due_iterations_follow_the_truth() -> None:
    assert [guideline_due(_scenario(name), 0.6) for name in ("bad guideline", "noisy experts", "flat")] == [
        0,
        None,
        None,
    ]
    assert plateau_due(_scenario("rising"), 3) is None
    assert plateau_due(_scenario("flat"), 3) == 2
    assert plateau_due(_scenario("rising, then flat"), 3) == 3
    assert plateau_due(_scenario("rising, then flat"), 5) == 4


def test_firing_is_right_within_one_iteration_of_its_due() -> None:
    fired = np.array([-1, 1, 2, 3, 4, 5])
    found = outcome("s", "r", 2, fired)
    assert [found.right, found.early, found.late, found.never] == pytest.approx([2 / 6, 1 / 6, 2 / 6, 1 / 6])
    assert (found.due, found.median_fired) == (3, 4.0)
    silent = outcome("s", "r", None, fired)
    assert [silent.right, silent.early, silent.late, silent.never] == pytest.approx([1 / 6, 5 / 6, 0, 0])
    assert outcome("s", "r", None, np.array([-1, -1])).median_fired is None


def _frames(loop: SimulatedLoop, now: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    ids = [f"i{place:05d}" for place in range(len(loop.votes))]
    reason = np.array(["boundary", "control", "audit"])[loop.kind]
    known = loop.iteration <= now
    items = pl.DataFrame(
        {
            "item_id": ids,
            "iteration": [f"{each:04d}" for each in loop.iteration],
            "reason": reason,
            "group_id": [f"g{each:05d}" for each in loop.group],
            "stratum": ["all" if each == "audit" else None for each in reason],
            "stratum_size": pl.Series([10_000 if each == "audit" else None for each in reason], dtype=pl.Int64),
            "inclusion_probability": [0.003 if each == "audit" else None for each in reason],
            "split": np.where(loop.evaluation, np.where(loop.iteration == 0, "panel", "evaluation"), "fine-tuning"),
        }
    ).filter(known)
    votes = pl.concat(
        items.drop("split").with_columns(
            rater=pl.lit(f"r{rater}"),
            label=pl.Series(np.where(loop.votes[known, rater] > 0, "positive", "negative")),
        )
        for rater in range(loop.votes.shape[1])
    )
    evaluation = items.with_columns(p=pl.Series(loop.students[now, known])).filter(pl.col("split") != "fine-tuning")
    # Threshold-matched scores of the stop set: as many ones as the audit's labels make the report call positive.
    scores = pl.DataFrame(
        {
            "item_id": [*evaluation["item_id"], *(f"s{place:05d}" for place in range(loop.stop_set.shape[1]))],
            "role": ["evaluation"] * len(evaluation) + ["stop_set"] * loop.stop_set.shape[1],
            "p_student": [*evaluation["p"], *loop.stop_set[now]],
        }
    ).with_columns(p_incumbent=pl.col("p_student"), incumbent_label=pl.col("p_student") > 0.5)
    return votes, items.select("item_id", "split", "reason", "iteration"), scores


def test_intervals_and_verdicts_are_those_of_the_kappa_report() -> None:
    size, resamples, now = LoopSize(), 4_000, 3
    loop = simulate_loop(_scenario("rising, then flat"), size, now + 1, np.random.default_rng(5))
    evidence = loop_evidence(loop, size, windows=(2, 3), resamples=resamples, seed=7)[3][now]
    votes, split, scores = _frames(loop, now)
    ids = split.filter(pl.col("split") == "panel")["item_id"].to_list()
    panel = loop.evaluation & (loop.iteration == 0)
    stop_ids = scores.filter(pl.col("role") == "stop_set")["item_id"].to_list()
    earlier = {
        f"{place:04d}": pl.DataFrame(
            {
                "item_id": [*ids, *stop_ids],
                "role": ["evaluation"] * len(ids) + ["stop_set"] * len(stop_ids),
                "label": [*(loop.students[place, panel] > 0.5), *(loop.stop_set[place] > 0.5)],
            }
        )
        for place in (0, now - 1)
    }
    report = report_frame(
        iteration=f"{now:04d}",
        votes=votes,
        split=split,
        scores=scores,
        expected_prevalence=0.1,
        labels=votes["item_id"].n_unique(),
        rules=StoppingRules(window=3),
        earlier_labels=earlier,
        resamples=resamples,
        seed=7,
    )

    def estimate(figure: str, scope: str) -> float:
        found = report.filter((pl.col("figure") == figure) & (pl.col("scope") == scope))
        return float(found["estimate"][0])

    assert evidence.boundary_parity is not None
    for figure, scope, bounds in (
        ("parity_difference", "boundary", evidence.boundary_parity),
        ("panel_gain", "panel", evidence.panel_gain),
    ):
        row = report.row(by_predicate=(pl.col("figure") == figure) & (pl.col("scope") == scope), named=True)
        found = bounds(0.95)
        assert found.estimate == pytest.approx(row["estimate"])
        # Other draws of the same bootstrap.
        assert (found.low, found.high) == pytest.approx((row["low"], row["high"]), abs=0.03)
    assert evidence.expert_kappa.estimate == pytest.approx(estimate("expert_expert_kappa", "loop"))
    assert evidence.stop_set_agreements[-1] == pytest.approx(estimate("stop_set_agreement", "pool"))
    assert evidence.stop_set_changes[-1] == pytest.approx(estimate("predicted_f_change", "pool"))


def test_a_quick_bench_counts_every_rule_and_is_repeatable() -> None:
    scenarios = [_scenario("rising, then flat"), _scenario("parity reached")]
    settings = {"replicates": 3, "resamples": 500, "scenarios": scenarios, "seed": 1}
    bench = bench_stopping(**settings)  # type: ignore[arg-type]
    again = bench_stopping(**settings)  # type: ignore[arg-type]
    assert replace(bench, seconds=0) == replace(again, seconds=0)
    assert {each.scenario for each in bench.outcomes} == {"rising, then flat", "parity reached"}
    for each in bench.outcomes:
        assert each.right + each.early + each.late + each.never == pytest.approx(1)
    for ending in bench.endings:
        assert sum(ending.verdicts.values()) == pytest.approx(1)
        assert 1 <= ending.mean_iterations <= bench.iterations
    assert bench.panel_items == 57
    assert bench.settings["window"] == 3
    assert json.loads(json.dumps(asdict(bench)))["replicates"] == 3
    table = stopping_table(bench)
    assert "| rule | rising, then flat | parity reached |" in table
    assert "| parity, margin 0.05 |" in table
    assert endings_table(bench).count("\n") == 3


def test_the_rules_err_on_the_sides_they_are_meant_to() -> None:
    # A bad guideline is found at once; experts that agree well enough are left alone, and a model far below them
    # never reaches parity.
    bench = bench_stopping(
        replicates=12,
        resamples=200,
        scenarios=[_scenario("bad guideline"), _scenario("flat")],
        iterations=5,
    )
    found = {(each.scenario, each.rule): each for each in bench.outcomes}
    assert found["bad guideline", "guideline problem, kappa 0.6"].right >= 0.6
    assert found["flat", "guideline problem, kappa 0.6"].right == 1
    assert found["flat", "parity, margin 0.05"].right == 1
    ending = {each.scenario: each for each in bench.endings}["bad guideline"]
    assert max(ending.verdicts, key=lambda name: ending.verdicts[name]) == "guideline problem"


@pytest.mark.parametrize(
    ("known", "says"), [({"replicates": 0}, "replicates: 0"), ({"iterations": 12}, "model_kappa must go on beyond 12")]
)
def test_impossible_benches_are_refused(known: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        bench_stopping(**known)  # type: ignore[arg-type]


def test_a_kappa_no_rater_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="0.99 is out of reach"):
        simulate_loop(Scenario("x", (0.99,) * 12, expert_kappa=0.5), LoopSize(), 2, np.random.default_rng(0))


@pytest.mark.slow
def test_what_the_documentation_concludes_from_the_table_holds_on_other_loops() -> None:
    names = ("rising slowly", "rising, steady", "noisy experts", "settled")
    bench = bench_stopping(
        replicates=50,
        resamples=500,
        scenarios=[each for each in SCENARIOS if each.name in names],
        seed=99,
    )
    found = {(each.scenario, each.rule): each for each in bench.outcomes}
    default = "plateau, gain 0.05, window 3"
    assert found["rising slowly", default].early < 0.15 < found["rising slowly", "plateau, each look alone"].early
    assert found["rising, steady", "stable, kappa 0.97"].early == 0
    assert found["settled", "stable, kappa 0.97"].never == 0
    assert found["settled", "stable, kappa 0.99"].never > 0.4
    assert found["rising, steady", "predicted change, 0.05"].early > 0.4
    upper, estimate = "guideline problem, kappa 0.6", "guideline problem by the estimate, kappa 0.6"
    assert found["noisy experts", upper].early <= 0.04
    assert found["noisy experts", estimate].early > 0.15
