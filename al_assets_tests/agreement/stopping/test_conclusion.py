import polars as pl
import pytest

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.conclusion import (
    LLM_0,
    Conclusion,
    better,
    conclude,
    conclusion_of,
    promotion,
    verdict,
)
from al_assets.agreement.stopping.rules import PARITY, PRECEDENCE, Decision
from al_assets.tables import KAPPA_REPORT
from al_assets_tests.support.reports import stored_report

UNKNOWN = Interval(None, None, None, 0, "no item has two decisive votes")


def _between(low: float, estimate: float, high: float, items: int = 200) -> Interval:
    return Interval(estimate, low, high, items)


def test_the_first_in_precedence_is_the_verdict_whatever_the_order() -> None:
    fired = [Decision(name, True, f"because {name}") for name in PRECEDENCE]
    for place, name in enumerate(PRECEDENCE):
        found, reason = verdict(fired[place:][::-1])
        others = ", ".join(PRECEDENCE[place + 1 :])
        assert (found, reason) == (name, f"because {name}" + (f"; also fired: {others}" if others else ""))
    assert PRECEDENCE == ("guideline problem", "parity", "budget spent", "plateau", "stable")


@pytest.mark.parametrize(
    ("gain", "promoted", "says"),
    [
        (_between(0.02, 0.10, 0.20), True, "surely more"),
        (_between(-0.10, 0.05, 0.20), True, "not told apart"),
        (_between(-0.20, 0.0, 0.20), True, "not told apart"),
        (_between(-0.20, -0.05, 0.10), False, "not told apart"),
        (_between(-0.20, -0.10, -0.01), False, "surely less"),
        (Interval(0.1, None, None, 12, "few groups"), True, "few groups"),
        (Interval(-0.1, None, None, 12, "few groups"), False, "few groups"),
        (UNKNOWN, False, "cannot be compared"),
    ],
)
def test_a_student_is_promoted_unless_it_agrees_less(gain: Interval, promoted: bool, says: str) -> None:
    decided, reason = promotion(gain, _between(0.2, 0.3, 0.4, 99) if gain.estimate is not None else UNKNOWN)
    assert decided is promoted
    assert says in reason
    # Without a random item that tells, the evaluation items do.
    instead, why = promotion(UNKNOWN, gain)
    assert instead is promoted
    assert says in why
    if gain.estimate is not None:
        assert f"kappa in the pool {gain.estimate:+.2f}, on {gain.items} random items" in reason
        assert (
            f"kappa {gain.estimate:+.2f}, on {gain.items} evaluation items counted alike, no sample of the pool" in why
        )


def test_a_report_concludes_with_the_verdict_and_the_promotion() -> None:
    decisions = [Decision(PARITY, True, "close enough: by .01")]
    gain, over, alike = _between(0.02, 0.1, 0.2), _between(-0.1, 0.05, 0.2), _between(-0.3, -0.2, -0.1)
    assert conclude(decisions, gain, alike, over, iteration="0003", recommended="0001") == Conclusion(
        "parity", "close enough: by .01", True,
        "student minus incumbent, kappa in the pool +0.10, on 200 random items, 95 % interval +0.02 to +0.20: surely "
        "more",
        "undecided",
        "student minus the student of 0001, kappa in the pool +0.05, 95 % interval -0.10 to +0.20, 200 random items: "
        "not told apart; about 1600 more random items would tell",
        "0001",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "who", "take", "says"),
    [
        (_between(0.01, 0.1, 0.2), "student", "0003", "the student is better"),
        (_between(-0.2, -0.1, -0.01), "recommended", "LLM-0", "the student is worse"),
        (
            _between(-0.1, 0.0, 0.1),
            "undecided",
            "LLM-0",
            "-0.10 to +0.10, 200 random items: not told apart",
        ),
        (
            Interval(0.1, None, None, 12, "few groups"),
            "undecided",
            "LLM-0",
            "cannot be compared in the pool: few groups",
        ),
        (UNKNOWN, "undecided", "LLM-0", "cannot be compared"),
        (_between(0.01, 0.1, 0.2, 60), "student", "0003", "60 random items: the student is better"),
        (_between(0.01, 0.1, 0.2, 59), "undecided", "LLM-0", "59 random items: too few to tell, it takes at least 60"),
        (_between(-0.2, -0.1, -0.01, 59), "undecided", "LLM-0", "too few to tell"),
    ],
)
def test_the_model_to_take_is_the_one_that_is_surely_better_in_the_pool(
    gain: Interval, who: str, take: str, says: str
) -> None:
    decided, reason, recommended = better(gain, "0003", LLM_0)
    assert (decided, recommended) == (who, take)
    assert says in reason


def test_a_stored_report_gives_its_conclusion_back() -> None:
    row = {"figure": "labels", "scope": "loop", "estimate": 3.0}
    said = Conclusion("parity", "close enough: by .01", True, "better: by .2", "student", "surely", "0002", 17)
    assert conclusion_of(stored_report([row, {**row, "figure": "prevalence"}], **vars(said))) == said
    with pytest.raises(ValueError, match="report: no row; expected a frame of the table kappa_report"):
        conclusion_of(KAPPA_REPORT.empty())
    with pytest.raises(ValueError, match="no column verdict, verdict_reason"):
        conclusion_of(pl.DataFrame([row]))
