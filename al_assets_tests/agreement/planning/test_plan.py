import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.figures import Figure, frame_of
from al_assets.agreement.planning.expected_gain import expected_gain
from al_assets.agreement.planning.plan import PlanSettings, plan
from al_assets.agreement.planning.plan_text import plan_lines
from al_assets.agreement.planning.sample_size import audit_items, kappa_items, parity_items
from al_assets_tests.support.reports import report_frame
from al_assets_tests.support.simulated_loop import World


def _report(labels: int, kappa: float, error: float | None = 0.05, *more: Figure, scope: str = "panel") -> pl.DataFrame:
    low, high = (None, None) if error is None else (kappa - 1.959964 * error, kappa + 1.959964 * error)
    rows = [
        Figure("labels", "loop", float(labels)),
        Figure("model_expert_kappa", scope, kappa, low, high, 57),
        *more,
    ]
    return frame_of(rows)


def _line(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_without_a_report_everything_rests_on_stated_assumptions() -> None:
    found = plan()
    settings = PlanSettings()
    assert {each.source for each in found.assumptions} == {"assumed"}
    assert {each.name for each in found.assumptions} == set(asdict(settings))
    assert found.evaluation.items == kappa_items(0.08, prevalence=0.25, expert_kappa=0.75)
    assert found.audit.simple_random == audit_items(0.1, 0.02)
    assert (found.audit.stratified, found.gain.gain, found.panel.items) == (None, None, None)
    lines = plan_lines(found)
    assert _line(lines, "Expected gain") == "Expected gain of the next round: not known yet: 0 iterations; it takes 2."
    assert "  price_per_hour = 60 (assumed)" in lines
    assert json.loads(json.dumps(asdict(found)))["next_round"]["votes"] == 240


def test_cost_and_hours_are_votes_times_their_price() -> None:
    found = plan(PlanSettings(budget=90, votes_per_item=3, raters=4, seconds_per_vote=40, price_per_hour=75)).next_round
    assert (found.items, found.votes) == (90, 270)
    assert found.hours == pytest.approx(3.0)
    assert found.hours_per_rater == pytest.approx(0.75)
    assert found.cost == pytest.approx(225.0)
    assert plan(PlanSettings(budget=120, hidden_share=0.1)).next_round.votes == 264
    checked = plan(PlanSettings(budget=120, hidden_share=0.1, check_items=90))
    assert (checked.next_round.items, checked.next_round.votes) == (210, 264 + 180)
    assert "210 items (90 of them check items), 444 votes" in _line(plan_lines(checked), "Next round")
    line = _line(
        plan_lines(plan(PlanSettings(budget=90, votes_per_item=3, raters=4, seconds_per_vote=40))), "Next round"
    )
    assert line == "Next round: 90 items, 270 votes, 3.0 hours of experts' time (0.8 each), cost 180."


def test_one_iteration_tells_nothing_of_the_gain() -> None:
    found = plan(reports={"0000": _report(120, 0.4)})
    assert found.gain.text == "not known yet: 1 iteration; it takes 2"
    assert (found.gain.gain, found.gain.low, found.gain.per_100_labels) == (None, None, None)
    blind = expected_gain([("0000", _report(120, 0.4)), ("0001", _report(240, 0.5, None))], 120)
    assert blind.text == "not known yet: 2 iterations, 1 of them with an interval; it takes 2"
    same = expected_gain([("0000", _report(120, 0.4)), ("0001", _report(120, 0.5))], 120)
    assert same.text == "not known: every iteration has the same number of labels"


def test_the_gain_follows_the_logarithm_of_the_labels_as_least_squares_fits_it() -> None:
    labels = np.array([120, 240, 360, 480])
    kappas = 0.1 + 0.08 * np.log(labels)
    history = [
        (f"{place:04d}", _report(int(n), float(k))) for place, (n, k) in enumerate(zip(labels, kappas, strict=True))
    ]
    found = expected_gain(history, 120)
    assert found.gain == pytest.approx(0.08 * np.log(600 / 480))
    assert found.per_100_labels == pytest.approx(100 * 0.08 / 480)
    # Known errors of .05 and no scatter: the slope's error is .05 / sqrt(sum (x - mean)^2).
    places = np.log(labels)
    error = 0.05 / np.sqrt(((places - places.mean()) ** 2).sum())
    assert found.low == pytest.approx((0.08 - 1.959964 * error) * np.log(600 / 480), abs=1e-6)
    assert found.high == pytest.approx((0.08 + 1.959964 * error) * np.log(600 / 480), abs=1e-6)
    assert "panel items" in found.text


def test_scatter_beyond_the_reports_errors_widens_the_interval_and_errors_weigh() -> None:
    def gain(*kappas: float, errors: tuple[float, ...] = (0.01, 0.01, 0.01, 0.01)) -> tuple[float, float]:
        reports = [_report(120 * (place + 1), k, e) for place, (k, e) in enumerate(zip(kappas, errors, strict=True))]
        found = expected_gain([(str(place), report) for place, report in enumerate(reports)], 120)
        assert found.gain is not None
        assert found.low is not None
        return found.gain, found.gain - found.low

    smooth, narrow = gain(0.40, 0.45, 0.48, 0.50)
    rough, wide = gain(0.40, 0.60, 0.35, 0.55)
    assert wide > 4 * narrow
    doubted, _ = gain(0.40, 0.45, 0.48, 0.90, errors=(0.01, 0.01, 0.01, 10.0))
    believed, _ = gain(0.40, 0.45, 0.48, 0.90)
    assert doubted == pytest.approx(smooth, abs=0.01)
    assert believed > 2 * doubted


def test_the_evaluation_items_serve_where_the_panel_has_no_interval() -> None:
    history = [(str(place), _report(120 * (place + 1), 0.4 + 0.1 * place, scope="evaluation")) for place in range(2)]
    assert "evaluation items" in expected_gain(history, 120).text


def test_what_was_measured_replaces_what_was_assumed_and_says_where() -> None:
    rows = [
        Figure("expert_expert_kappa", "evaluation", 0.82, 0.70, 0.90, 150),
        Figure("model_expert_kappa", "evaluation", 0.60, 0.50, 0.70, 150),
        Figure("prevalence_index", "evaluation", 0.4, 0.2, 0.6, 150),
        Figure("prevalence", "audit", 0.05, 0.02, 0.09, 80),
        Figure("positive_share", "audit", 0.06, 0.03, 0.1, 80),
        Figure("precision", "audit", 0.5, 0.3, 0.7, 80),
        Figure("recall", "audit", 0.6, 0.4, 0.8, 80),
        Figure("ceiling_further_labels", "boundary", 0.0, items=90, detail="on a par"),
        Figure("ceiling_further_labels", "audit", 310.0, items=60, detail="undecided: about 310 more"),
        Figure("panel_gain", "panel", 0.02, -0.10, 0.14, 60),
    ]
    found = plan(PlanSettings(min_gain=0.05), {"0002": _report(360, 0.6, 0.05, *rows)})
    sources = {each.name: (each.value, each.source) for each in found.assumptions}
    assert sources["expert_kappa"] == (0.82, "measured in 0002: expert_expert_kappa, scope evaluation")
    assert sources["evaluation_prevalence"][0] == pytest.approx(0.3)
    assert sources["pool_prevalence"] == (0.05, "measured in 0002: prevalence, scope audit")
    assert found.evaluation.items == kappa_items(0.08, prevalence=0.3, expert_kappa=0.82)
    assert found.evaluation.further == found.evaluation.items - 150
    assert found.evaluation.half_width_now == pytest.approx(0.10)
    assert found.parity.further == {"boundary": 0, "audit": 310}
    assert (
        _line(plan_lines(found), "Parity") == "Parity: at the boundary on a par; in the pool undecided: about 310 more."
    )
    # Half-width .12 at 97.5 % is .112 at 96.6 %, the last of five looks; a gain of 0 lies .05 below.
    assert found.panel.items == pytest.approx(60 * (0.1117 / 0.05) ** 2, abs=4)
    assert found.audit.strata is not None
    assert [stratum.positive_share for stratum in found.audit.strata] == pytest.approx([0.5, 0.05 * 0.4 / 0.94])
    assert sum(stratum.share * stratum.positive_share for stratum in found.audit.strata) == pytest.approx(0.05)
    assert found.audit.stratified is not None
    assert sum(found.audit.stratified) < found.audit.simple_random
    assert "stratified by the model's label" in _line(plan_lines(found), "Audit")


def test_a_model_at_the_ceiling_is_planned_from_its_interval_alone() -> None:
    rows = [
        Figure("expert_expert_kappa", "evaluation", 0.36, 0.2, 0.5, 90),
        Figure("model_expert_kappa", "evaluation", 0.61, 0.5, 0.7, 90),
        Figure("ceiling_further_labels", "audit", 0.0, items=90, detail="on a par with the experts"),
    ]
    found = plan(reports={"0000": _report(120, 0.6, 0.05, *rows)})
    assert found.parity.further == {"audit": 0}
    assert found.parity.text == "in the pool on a par with the experts"
    unmeasured = plan(PlanSettings(expert_kappa=0.36, model_kappa=0.61))
    assert unmeasured.parity.further == {}
    assert unmeasured.parity.text.startswith("not known: model_kappa: 0.61")


def test_parity_takes_more_items_in_the_pool_and_the_more_the_more_often_it_is_judged() -> None:
    often, once = plan().parity.further, plan(PlanSettings(max_iterations=1)).parity.further
    for scope, prevalence in (("boundary", 0.25), ("audit", 0.1)):
        assert once[scope] == parity_items(prevalence=prevalence, expert_kappa=0.75, model_kappa=0.5, margin=0.05)
        assert often[scope] > once[scope]  # type: ignore[operator]
    assert once["audit"] > once["boundary"]  # type: ignore[operator]


def test_a_plan_reads_real_reports(world: Callable[..., World]) -> None:
    frames = world(items=300)
    reports = {
        f"{place:04d}": report_frame(
            iteration=f"{place:04d}",
            votes=frames.votes,
            split=frames.split,
            scores=frames.scores,
            expected_prevalence=0.1,
            labels=100 * (place + 1),
            resamples=200,
        )
        for place in range(2)
    }
    found = plan(PlanSettings(votes_per_item=3, raters=3), reports)
    assert {each.name for each in found.assumptions if each.source.startswith("measured in 0001")} >= {
        "expert_kappa",
        "model_kappa",
        "pool_prevalence",
        "evaluation_prevalence",
    }
    assert found.gain.gain == pytest.approx(0, abs=1e-9)
    assert "Price of a gain: not known, as the next round may gain nothing." in plan_lines(found)
    assert found.audit.strata is not None


def test_a_sure_gain_has_a_price() -> None:
    reports = {f"{place}": _report(120 * 2**place, 0.3 + 0.1 * place, 0.01) for place in range(3)}
    found = plan(reports=reports)
    assert found.gain.gain is not None
    price = found.next_round.cost * 0.01 / found.gain.gain
    assert f"Price of +0.01 kappa at that rate: about {price:.0f}." in plan_lines(found)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("budget", 0, "budget: 0; expected at least 1"),
        ("votes_per_item", 1, "votes_per_item: 1"),
        ("raters", 1, "raters: 1; expected at least votes_per_item"),
        ("seconds_per_vote", -1.0, "seconds_per_vote: -1"),
        ("half_width", 0.0, "half_width: 0"),
        ("expert_kappa", 1.0, "expert_kappa: 1"),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, value: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        plan(replace(PlanSettings(), **{name: value}))  # type: ignore[arg-type]
