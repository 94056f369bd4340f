import pytest

from al_assets.study.report.arms import arms_of
from al_assets.study.report.judgements import judgements
from al_assets_tests.support.studies import Row, frame, row

Rounds = list[tuple[float, float | None, float | None, float | None]]


def loop(seed: int, rounds: Rounds, **more: float) -> list[Row]:
    """Rounds of true kappa, gain, and the ends of its interval; everything is held against a kappa of .5."""
    against = {"incumbent_kappa": 0.5, "recommended_kappa": 0.5, "promoted": 1.0, **more}
    return [
        row(
            "boundary_pairs",
            seed,
            number,
            100,
            kappa,
            gain=gain,
            gain_low=low,
            gain_high=high,
            **{"better": float(low is not None and low > 0), **against},
        )  # fmt: skip
        for number, (kappa, gain, low, high) in enumerate(rounds)
    ]


def test_what_the_loop_said_is_held_against_the_population() -> None:
    right, too_sure = (0.6, 0.1, 0.05, 0.15), (0.45, 0.1, 0.02, 0.2)
    undecided, without_interval = (0.55, 0.1, -0.1, 0.3), (0.4, -0.1, None, None)
    (found,) = judgements(arms_of(frame(loop(0, [right, too_sure]), loop(1, [undecided, without_interval]))))
    assert (found["students"], found["truly_better"], found["called_better"], found["called_wrongly"]) == (4, 2, 2, 1)
    assert (found["promoted"], found["promoted_worse"]) == (4, 2)
    assert found["bias"] == pytest.approx((0 + 0.15 + 0.05 + 0) / 4)
    assert found["held"] == pytest.approx(2 / 3)


def test_the_loop_decides_what_is_called_better_not_the_interval() -> None:
    too_few = loop(0, [(0.6, 0.1, 0.05, 0.15)], better=0.0)
    assert judgements(arms_of(frame(too_few)))[0]["called_better"] == 0


def test_a_student_that_is_no_better_is_called_wrongly_and_one_that_is_no_worse_is_not() -> None:
    (found,) = judgements(arms_of(frame(loop(0, [(0.5, 0.1, 0.05, 0.2)]))))
    assert (found["called_wrongly"], found["promoted_worse"]) == (1, 0)


def test_without_two_votes_there_is_no_gain_but_a_promotion() -> None:
    (found,) = judgements(arms_of(frame(loop(0, [(0.6, None, None, None)], promoted=0.0))))
    assert (found["students"], found["called_better"], found["bias"], found["held"]) == (1, 0, None, None)
    assert found["promoted"] == 0


def test_loops_that_judged_nothing_and_baselines_have_no_row() -> None:
    judged = {"promoted": 1.0, "recommended_kappa": 0.4, "incumbent_kappa": 0.4}
    rows = [row("boundary_pairs", 0, 0, 100, 0.5), row("crowd", 0, 0, 100, 0.5, **judged)]
    assert judgements(arms_of(frame(rows))) == []
