from datetime import datetime, timedelta, timezone

import pytest

from al_assets.formatting import (
    capital,
    count,
    decimal,
    estimate,
    fine_percent,
    interval,
    joined,
    moment,
    percent,
    whole,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (0.474, {}, "0.47"),
        (-0.001, {}, "0.00"),
        (-0.001, {"sign": True}, "+0.00"),
        (0.5, {"sign": True}, "+0.50"),
        (-0.03, {"bare": True}, "-.03"),
        (0.47, {"bare": True, "sign": True}, "+.47"),
        (1.0, {"bare": True}, "1.00"),
        (-1.0, {"bare": True}, "-1.00"),
        (10.5, {"bare": True}, "10.50"),
        (0.999, {"bare": True}, "1.00"),
        (0.0123, {"digits": 3}, "0.012"),
        (None, {}, "–"),
        (NAN, {"missing": ""}, ""),
    ],
)
def test_a_decimal_reads_as_people_write_it(value: float | None, options: dict[str, object], text: str) -> None:
    assert decimal(value, **options) == text  # type: ignore[arg-type]


def test_an_interval_needs_both_ends() -> None:
    assert interval(0.42, 0.66) == "0.42 to 0.66"
    assert interval(-0.42, 0.66, bare=True, sign=True) == "-.42 to +.66"
    assert interval(None, 0.66) == interval(0.42, None) == interval(NAN, 1) == ""


def test_an_estimate_shows_its_interval_only_if_it_has_one() -> None:
    assert estimate(0.55, 0.42, 0.66) == "0.55 (0.42 to 0.66)"
    assert estimate(0.55, None, None) == "0.55"
    assert estimate(None, 0.1, 0.2) == "–"


def test_shares_counts_and_lists() -> None:
    assert (percent(0.414), percent(None), fine_percent(0.0416), fine_percent(0.0996)) == ("41 %", "–", "4.2 %", "10 %")
    assert (whole(1900.2), count(1, "vote"), count(2000, "vote"), count(2, "box", "boxes")) == (
        "1,900",
        "1 vote",
        "2,000 votes",
        "2 boxes",
    )
    assert (capital("all of it"), joined(["a"]), joined(["a", "b", "c"])) == ("All of it", "a", "a, b and c")


def test_a_moment_is_said_in_utc() -> None:
    assert moment(datetime(2026, 11, 30, 15, 5, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-30 14:05 UTC"
