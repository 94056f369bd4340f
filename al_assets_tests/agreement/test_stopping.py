import pytest

from al_assets.agreement.bootstrap import Interval
from al_assets.agreement.stopping import (
    PRECEDENCE,
    Budget,
    Decision,
    Evidence,
    GuidelineProblem,
    Parity,
    Plateau,
    Stabilised,
    StoppingRules,
    promotion,
    verdict,
)

UNKNOWN = Interval(None, None, None, 0, "only one label occurs")


def _evidence(**known: object) -> Evidence:
    return Evidence(**{"iterations": 4, "labels": 400, **known})  # type: ignore[arg-type]


def _between(low: float, estimate: float, high: float, items: int = 200) -> Interval:
    return Interval(estimate, low, high, items)


@pytest.mark.parametrize(
    ("low", "high", "fires", "says"),
    [
        (-0.04, 0.03, True, "lower bound -0.04"),
        (-0.05, 0.03, False, "undecided"),
        (-0.20, 0.03, False, "undecided"),
        (-0.20, -0.10, False, "below the experts"),
    ],
)
def test_parity_fires_when_the_lower_bound_is_above_the_margin(low: float, high: float, fires: bool, says: str) -> None:
    decision = Parity(0.05).decide(_evidence(parity=_between(low, (low + high) / 2, high)))
    assert decision.fired is fires
    assert says in decision.reason


def test_a_model_better_than_the_experts_is_at_parity() -> None:
    assert Parity(0.05).decide(_evidence(parity=_between(0.1, 0.2, 0.3))).fired


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
    decision = Plateau(0.03).decide(_evidence(panel_gain=gain))
    assert decision.fired is fires
    assert says in decision.reason


def test_plateau_names_the_items_it_would_take() -> None:
    # The bound is twice as far from the estimate as it may be: four times the items.
    decision = Plateau(0.03).decide(_evidence(panel_gain=_between(-0.06, 0.0, 0.06, items=250)))
    assert "about 1000 panel items" in decision.reason


def test_plateau_and_stable_never_fire_before_the_least_iterations() -> None:
    early = _evidence(iterations=2, panel_gain=_between(-0.3, -0.2, -0.1), stop_set_agreements=(1.0, 1.0, 1.0))
    late = _evidence(iterations=3, panel_gain=early.panel_gain, stop_set_agreements=early.stop_set_agreements)
    for rule in (Plateau(min_iterations=3), Stabilised(min_iterations=3)):
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
    ("labels", "iterations", "fires"), [(999, 7, False), (1_000, 1, True), (1_001, 1, True), (10, 8, True)]
)
def test_budget_fires_at_either_limit(labels: int, iterations: int, fires: bool) -> None:
    assert Budget(1_000, 8).decide(_evidence(labels=labels, iterations=iterations)).fired is fires


@pytest.mark.parametrize(
    ("kappa", "population", "fires"),
    [
        (_between(0.40, 0.50, 0.58), UNKNOWN, True),
        (_between(0.40, 0.50, 0.58), _between(0.2, 0.45, 0.7), True),
        (_between(0.40, 0.50, 0.58), _between(0.5, 0.75, 0.9), False),
        (_between(0.55, 0.65, 0.75), UNKNOWN, False),
        (_between(0.62, 0.70, 0.80), UNKNOWN, False),
        (_between(0.10, 0.50, 0.80, items=29), UNKNOWN, False),
        (_between(0.10, 0.50, 0.80, items=30), UNKNOWN, True),
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
        parity_margin=0.5, min_gain=0.5, min_iterations=1, max_labels=7, min_expert_kappa=0.9, stable_agreement=0.1
    )
    evidence = Evidence(
        iterations=1,
        labels=7,
        parity=_between(-0.4, -0.3, -0.2),
        panel_gain=_between(0.2, 0.3, 0.4),
        expert_kappa=_between(0.7, 0.8, 0.85),
        stop_set_agreements=(0.2, 0.2, 0.2),
    )
    assert [decision.fired for decision in rules.decide(evidence)] == [True] * 5
    assert [decision.fired for decision in StoppingRules().decide(evidence)] == [False] * 5


def test_the_first_in_precedence_is_the_verdict_whatever_the_order() -> None:
    fired = [Decision(name, True, f"because {name}") for name in PRECEDENCE]
    for place, name in enumerate(PRECEDENCE):
        assert verdict(fired[place:][::-1]) == (name, f"because {name}")
    assert PRECEDENCE == ("guideline problem", "parity", "budget spent", "plateau", "stable")


@pytest.mark.parametrize(
    ("gain", "promoted", "says"),
    [
        (_between(0.02, 0.10, 0.20), True, "better"),
        (_between(-0.10, 0.05, 0.20), True, "not significantly different"),
        (_between(-0.20, 0.0, 0.20), True, "not significantly different"),
        (_between(-0.20, -0.05, 0.10), False, "not significantly different"),
        (_between(-0.20, -0.10, -0.01), False, "worse"),
        (Interval(0.1, None, None, 12, "few groups"), True, "few groups"),
        (Interval(-0.1, None, None, 12, "few groups"), False, "few groups"),
        (UNKNOWN, False, "cannot be compared"),
    ],
)
def test_a_student_is_promoted_unless_it_agrees_less(gain: Interval, promoted: bool, says: str) -> None:
    decided, reason = promotion(gain)
    assert decided is promoted
    assert says in reason
