from statistics import NormalDist
from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.conclusion import verdict
from al_assets.agreement.stopping.looks import Bounds, Looks, Way
from al_assets.agreement.stopping.rules import (
    BudgetSpent,
    Evidence,
    GuidelineProblem,
    Parity,
    Plateau,
    PredictedChange,
    Stabilised,
    StoppingRules,
    f_change_bound,
)

EACH = Looks("each", 0.1, growing=False)
UNKNOWN = Interval(None, None, None, 0, "only one label occurs")


def _evidence(**known: object) -> Evidence:
    return Evidence(**{"iterations": 4, "labels": 400, **known})  # type: ignore[arg-type]


def _always(interval: Interval) -> Bounds:
    return lambda _: interval


def _both(interval: Interval) -> dict[str, Bounds]:
    return _same(_always(interval))


def _same(bounds: Bounds) -> dict[str, Bounds]:
    return {"boundary_parity": bounds, "population_parity": bounds}


def _between(low: float, estimate: float, high: float, items: int = 200) -> Interval:
    return Interval(estimate, low, high, items)


def _parity(way: Way = "each") -> Parity:
    return Parity(0.05, Looks(way))


@pytest.mark.parametrize(
    ("low", "high", "fires", "says"),
    [
        (-0.04, 0.03, True, "lower bound -0.04"),
        (-0.05, 0.03, False, "undecided: about 1 more audit items would decide, if"),
        (-0.20, 0.05, False, "would decide, as below the experts, if"),
        (-0.20, 0.10, False, "no number of audit items would decide"),
        (-0.20, -0.10, False, "below the experts"),
    ],
)
def test_parity_fires_when_the_lower_bounds_are_above_the_margin(
    low: float, high: float, fires: bool, says: str
) -> None:
    decision = _parity().decide(_evidence(**_both(_between(low, (low + high) / 2, high))))
    assert decision.fired is fires
    assert says in decision.reason


def test_parity_takes_boundary_and_pool() -> None:
    high, wide, low = _between(0.0, 0.1, 0.2), _between(-0.4, 0.1, 0.6), _between(-0.4, -0.3, -0.2)
    for boundary, population, fires, remark in (
        (high, high, True, ""),
        (high, wide, False, "parity at the boundary, pool undecided: about 2023 more audit items would decide, if"),
        (high, low, False, "parity at the boundary, pool below the experts"),
        (high, UNKNOWN, False, "parity at the boundary, pool not measured: only one label occurs"),
        (wide, high, False, "parity in the pool, boundary undecided: about 2023 more boundary items would decide"),
        (wide, wide, False, ""),
    ):
        known = {"boundary_parity": _always(boundary), "population_parity": _always(population)}
        decision = _parity().decide(_evidence(**known))
        assert decision.fired is fires
        assert decision.remark.startswith(remark)
        assert bool(decision.remark) is bool(remark)


def test_what_half_of_parity_says_reaches_whoever_reads_the_verdict() -> None:
    high, wide = _always(_between(0.0, 0.1, 0.2)), _always(_between(-0.4, 0.1, 0.6))
    half = _parity().decide(_evidence(boundary_parity=high, population_parity=wide))
    spent = BudgetSpent(1, 1).decide(_evidence())
    for decisions, name, reason in (
        ([half], "continue", "no stopping rule fired"),
        ([half, spent], "budget spent", spent.reason),
    ):
        assert verdict(decisions) == (name, f"{reason}; {half.remark}")


def test_the_pool_decides_alone_where_nothing_was_chosen_by_rule() -> None:
    high, wide = _always(_between(0.0, 0.1, 0.2)), _always(_between(-0.4, 0.1, 0.6))
    for population, fires in ((high, True), (wide, False)):
        decision = _parity().decide(_evidence(boundary_parity=None, population_parity=population))
        assert decision.fired is fires
        assert decision.reason.startswith("nothing was chosen by rule, so the pool alone decides; pool: ")
        assert not decision.remark
    # Boundary items without a figure are not the same as none.
    assert not _parity().decide(_evidence(boundary_parity=_always(UNKNOWN), population_parity=high)).fired


def _normal(estimate: float, error: float) -> Bounds:
    """Return the bounds of a normal figure with this standard error."""

    def bounds(confidence: float) -> Interval:
        half = NormalDist().inv_cdf((1 + confidence) / 2) * error
        return Interval(estimate, estimate - half, estimate + half, 200)

    return bounds


@pytest.mark.parametrize("way", get_args(Way))
def test_the_reason_says_which_look_it_is_and_what_it_promises(way: Way) -> None:
    sure = _normal(0.0, 0.001)
    rule = Parity(0.05, Looks(way), BudgetSpent(1_000, 8))
    reason = rule.decide(_evidence(iterations=4, **_same(sure))).reason
    assert {
        "alpha_spending": "look 4 of 8, bounds at 99.4 %: a false signal at any of the 8 planned looks has a chance of",
        "anytime": "look 4 of 8, bounds at 99.8 %: a false signal at any look, however many there are, has a chance of",
        "each": "look 4 of 8, bounds at 95.0 %: a false signal by now has a chance of up to 20 %, so confirm it",
    }[way] in reason
    assert ("so confirm it" in reason) is (way == "each")


def test_one_test_alone_has_to_be_surer_than_each_of_two() -> None:
    sure = _normal(0.0, 0.001)
    for boundary, level in ((sure, "96.2 %"), (None, "98.6 %")):
        last = _evidence(iterations=8, labels=960, population_parity=sure, boundary_parity=boundary)
        assert f"look 8 of 8, bounds at {level}" in StoppingRules().parity.decide(last).reason


def test_a_look_that_is_too_early_never_fires_and_says_so() -> None:
    sure = _normal(0.5, 1e-9)
    rules = StoppingRules()
    for iterations in (1, 2, 3):
        early = _evidence(iterations=iterations, labels=120 * iterations, **_same(sure))
        decision = rules.parity.decide(early)
        assert not decision.fired
        assert decision.reason.endswith(f"look {iterations} of 8: too early to tell")
        assert not decision.remark
    assert rules.parity.decide(_evidence(iterations=4, **_same(sure))).fired
    flat = _evidence(iterations=4, panel_gain=_normal(-0.5, 1e-9))
    assert rules.plateau.decide(flat).reason == "panel kappa -0.50 over 3 iterations; look 1 of 5: too early to tell"


def test_a_loop_whose_labels_run_out_sooner_has_fewer_looks() -> None:
    sure = _normal(0.0, 0.001)

    def reason(iterations: int, labels: int) -> str:
        evidence = _evidence(iterations=iterations, labels=labels, **_same(sure))
        return StoppingRules(max_labels=1_000, max_iterations=8).parity.decide(evidence).reason

    assert "look 2 of 2" in reason(2, 1_000)
    assert "look 2 of 4" in reason(2, 501)
    assert "look 1 of 8" in reason(1, 0)
    assert "look 9, after the 8 planned" in reason(9, 900)
    assert "look 3, after the 2 planned" in reason(3, 1_500)


def test_a_model_better_than_the_experts_is_at_parity() -> None:
    assert _parity().decide(_evidence(**_both(_between(0.1, 0.2, 0.3)))).fired


@pytest.mark.parametrize(
    ("gain", "fires", "says"),
    [
        (_between(-0.05, -0.01, 0.02), True, "upper bound +0.02"),
        (_between(-0.20, -0.10, -0.05), True, "panel kappa -0.10"),
        (_between(-0.05, 0.01, 0.03), False, "undecided, would take about"),
        (_between(-0.02, 0.05, 0.12), False, "probably rising"),
        (_between(0.04, 0.08, 0.12), False, "still rising"),
        (UNKNOWN, False, "not measured: only one label occurs"),
    ],
)
def test_plateau_fires_when_the_gain_is_surely_small(gain: Interval, fires: bool, says: str) -> None:
    decision = Plateau(0.03, window=2, looks=EACH).decide(_evidence(panel_gain=_always(gain)))
    assert decision.fired is fires
    assert says in decision.reason


def test_plateau_counts_its_looks_from_the_first_gain_it_could_see() -> None:
    flat = _always(_between(-0.05, -0.01, 0.02))
    for iterations, look in ((4, "look 1 of 5"), (6, "look 3 of 5"), (9, "look 6, after the 5 planned")):
        rule = StoppingRules(min_gain=0.03, window=3).plateau
        assert look in rule.decide(_evidence(iterations=iterations, panel_gain=flat)).reason


def test_plateau_names_the_items_it_would_take() -> None:
    # The bound is twice as far from the estimate as it may be: four times the items.
    decision = Plateau(0.03, looks=EACH).decide(_evidence(panel_gain=_always(_between(-0.06, 0.0, 0.06, items=250))))
    assert "about 1000 panel items" in decision.reason


def test_plateau_and_stable_never_fire_before_the_least_iterations() -> None:
    early = _evidence(iterations=2, panel_gain=_always(_between(-0.3, -0.2, -0.1)), stop_set_agreements=(1.0, 1.0, 1.0))
    late = _evidence(iterations=3, panel_gain=early.panel_gain, stop_set_agreements=early.stop_set_agreements)
    for rule in (Plateau(window=2, min_iterations=3, looks=EACH), Stabilised(min_iterations=3)):
        assert not rule.decide(early).fired
        assert rule.decide(late).fired


@pytest.mark.parametrize(
    ("agreements", "fires"),
    [
        ((0.5, 0.99, 0.995, 0.99), True),
        ((0.99, 0.99, 0.99), True),
        ((0.99, 0.99, 0.98), False),
        ((0.2, 0.3, 0.4), False),
        ((0.99, 0.99), False),
        ((0.99, 0.99, None), False),
        ((None, 0.99, 0.99, 0.99), True),
        ((), False),
    ],
)
def test_stable_fires_when_agreement_is_high_not_when_it_falls(
    agreements: tuple[float | None, ...], fires: bool
) -> None:
    assert Stabilised(0.99).decide(_evidence(stop_set_agreements=agreements)).fired is fires


@pytest.mark.parametrize(
    ("changes", "fires"),
    [
        ((0.9, 0.04, 0.04, 0.04), True),
        ((0.05, 0.05, 0.05), False),
        ((0.20, 0.20, 0.20), False),
        ((0.04, 0.04), False),
        ((0.04, 0.04, None), False),
        ((), False),
    ],
)
def test_predicted_change_fires_when_it_is_low_and_never_ends_the_loop(
    changes: tuple[float | None, ...], fires: bool
) -> None:
    decision = PredictedChange(0.05).decide(_evidence(stop_set_changes=changes))
    assert decision.fired is fires
    assert decision.advisory
    found, reason = verdict([decision])
    assert found == "continue"
    assert ("also fired: predicted change (advice only)" in reason) is fires
    ends = PredictedChange(0.05, advisory=False).decide(_evidence(stop_set_changes=changes))
    assert verdict([ends])[0] == ("stable" if fires else "continue")


def test_bounds_on_the_change_of_f_are_the_published_ones() -> None:
    # Bloodgood and Grothendieck 2013: 4 (1 - T) / T.
    assert f_change_bound(0.99) == pytest.approx(0.0404, abs=5e-5)
    assert f_change_bound(0.95) == pytest.approx(0.2105, abs=5e-5)
    assert f_change_bound(0.97) == pytest.approx(0.1237, abs=5e-5)
    assert f_change_bound(1.0) == 0
    assert (f_change_bound(0.0), f_change_bound(-0.2), f_change_bound(float("nan"))) == (None, None, None)
    reason = Stabilised(0.9).decide(_evidence(stop_set_agreements=(0.99, 0.99, 0.99))).reason
    assert reason.endswith("F changed by at most 0.040 an iteration")
    assert "F changed" not in Stabilised().decide(_evidence(stop_set_agreements=(0.5, 0.6, 0.7))).reason


def test_no_pair_of_models_changes_f_by_more_than_the_bound() -> None:
    generator = np.random.default_rng(0)
    checked = 0
    for _ in range(60):
        truth = generator.random(400) < generator.uniform(0.05, 0.6)
        before = np.where(generator.random(400) < generator.uniform(0, 0.5), ~truth, truth)
        now = np.where(generator.random(400) < generator.uniform(0, 0.1), ~before, before)
        kappa = cohen_kappa_score(before, now)
        moved = abs(f1_score(truth, now) - f1_score(truth, before))
        bound = f_change_bound(kappa)
        if bound is not None:
            checked += 1
            assert moved <= bound + 1e-12
    assert checked > 50


@pytest.mark.parametrize(
    ("labels", "iterations", "fires"), [(999, 7, False), (1_000, 1, True), (1_001, 1, True), (10, 8, True)]
)
def test_budget_fires_at_either_limit(labels: int, iterations: int, fires: bool) -> None:
    assert BudgetSpent(1_000, 8).decide(_evidence(labels=labels, iterations=iterations)).fired is fires


@pytest.mark.parametrize(
    ("kappa", "population", "fires"),
    [
        (_between(0.40, 0.50, 0.58), UNKNOWN, True),
        (_between(0.40, 0.50, 0.58), _between(0.2, 0.45, 0.7), True),
        (_between(0.40, 0.50, 0.58), _between(0.5, 0.75, 0.9), False),
        (_between(0.40, 0.50, 0.60), UNKNOWN, False),
        (_between(0.40, 0.55, 0.70), UNKNOWN, False),
        (_between(0.55, 0.65, 0.75), UNKNOWN, False),
        (_between(0.62, 0.70, 0.80), UNKNOWN, False),
        (_between(0.10, 0.30, 0.50, items=29), UNKNOWN, False),
        (_between(0.10, 0.30, 0.50, items=30), UNKNOWN, True),
        (UNKNOWN, UNKNOWN, False),
        (Interval(0.2, None, None, 40, "8 groups"), UNKNOWN, False),
    ],
)
def test_guideline_problem_fires_when_experts_surely_agree_too_little(
    kappa: Interval, population: Interval, fires: bool
) -> None:
    decision = GuidelineProblem(0.6).decide(_evidence(expert_kappa=kappa, population_kappa=population))
    assert decision.fired is fires


def test_nothing_measured_means_go_on() -> None:
    decisions = StoppingRules().decide(Evidence(iterations=1, labels=0))
    assert verdict(decisions) == ("continue", "no stopping rule fired")
    assert all(decision.reason for decision in decisions)


def test_the_settings_reach_their_rules() -> None:
    rules = StoppingRules(
        looks="each",
        window=0,
        parity_margin=0.5,
        min_gain=0.5,
        min_iterations=1,
        max_labels=7,
        min_expert_kappa=0.9,
        stable_agreement=0.1,
        predicted_change=0.5,
    )
    evidence = Evidence(
        iterations=1,
        labels=7,
        boundary_parity=_always(_between(-0.4, -0.3, -0.2)),
        population_parity=_always(_between(-0.4, -0.3, -0.2)),
        panel_gain=_always(_between(0.2, 0.3, 0.4)),
        expert_kappa=_between(0.7, 0.8, 0.85),
        stop_set_agreements=(0.2, 0.2, 0.2),
        stop_set_changes=(0.4, 0.4, 0.4),
    )
    assert [decision.fired for decision in rules.decide(evidence)] == [True] * 6
    assert [decision.fired for decision in StoppingRules().decide(evidence)] == [False] * 6
    names = [decision.name for decision in rules.decide(evidence)]
    assert names == ["guideline problem", "parity", "budget spent", "plateau", "stable", "predicted change"]
