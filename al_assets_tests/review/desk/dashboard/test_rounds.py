from datetime import UTC, datetime, timedelta

import pytest

from al_assets.review.desk.dashboard.rounds import Hour, hour_chart, hourly, interval_bar, pace_of, tick_step

NOW = datetime(2026, 5, 2, 10, 30, tzinfo=UTC)


def ago(*minutes: float) -> list[datetime]:
    return [NOW - timedelta(minutes=each) for each in minutes]


def test_answers_are_counted_by_hours_of_the_clock() -> None:
    hours = hourly(ago(0, 29, 31, 90, 60 * 24, 60 * 30, -5), NOW)
    assert len(hours) == 24
    assert hours[0].start == datetime(2026, 5, 1, 11, tzinfo=UTC)
    assert [hour.votes for hour in hours[-3:]] == [0, 2, 3]
    assert sum(hour.votes for hour in hours) == 5


def test_the_pace_is_that_of_the_last_day() -> None:
    pace = pace_of(ago(*range(0, 60 * 48, 60)), NOW, 12)
    assert pace.window == timedelta(hours=24)
    assert pace.per_hour == 1
    assert pace.done_at == NOW + timedelta(hours=12)


def test_a_labelling_that_has_just_begun_is_measured_from_its_first_answer() -> None:
    pace = pace_of(ago(120, 90, 60, 30, 10, 0), NOW, 3)
    assert pace.window == timedelta(hours=2)
    assert pace.per_hour == 3
    assert pace.done_at == NOW + timedelta(hours=1)
    assert pace_of(ago(1, 1, 1, 1, 1), NOW, 3).per_hour == 20


def test_from_few_answers_nothing_is_foretold() -> None:
    assert pace_of(ago(1, 2, 3, 4), NOW, 9) == pace_of([], NOW, 9).__class__(None, timedelta(minutes=15), None)
    assert pace_of([], NOW, 9).per_hour is None
    assert pace_of(ago(*range(10)), NOW, 0).done_at is None


@pytest.mark.parametrize(("most", "step"), [(0, 1), (5, 1), (6, 2), (11, 5), (26, 10), (51, 20), (101, 50), (999, 200)])
def test_a_scale_has_round_steps(most: int, step: int) -> None:
    assert tick_step(most) == step


def test_bars_stand_on_the_floor_and_reach_their_line() -> None:
    chart = hour_chart([Hour(NOW - timedelta(hours=back), votes) for back, votes in ((2, 0), (1, 5), (0, 10))])
    assert [line["label"] for line in chart["lines"]] == ["0", "2", "4", "6", "8", "10"]
    assert [bar["height"] for bar in chart["bars"]] == [0, pytest.approx(58), pytest.approx(116)]
    assert all(bar["y"] + bar["height"] == chart["floor"] == chart["lines"][0]["y"] for bar in chart["bars"])
    assert chart["bars"][2]["y"] == chart["lines"][-1]["y"]
    assert [bar["label"] for bar in chart["bars"]] == ["", "", "now"]


def test_an_interval_stays_on_its_line() -> None:
    bar = interval_bar(0.5, -0.2, 1.0, 0.25)
    assert (bar["low"], bar["point"], bar["high"], bar["mark"]) == (4, 60, 116, 32)
    assert interval_bar(0.5, None, None)["low"] is None
