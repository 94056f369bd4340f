from datetime import timedelta

import pytest

from al_assets.review.desk.rating.pace import about, due, pace
from al_assets_tests.support.desk.boards import NOON


def test_the_pace_is_the_median_without_pauses() -> None:
    seconds = [0, 10, 22, 30, 45, 2_000, 2_012, 2_026]
    moments = [NOON + timedelta(seconds=each) for each in seconds]
    assert pace(moments) == timedelta(seconds=12)
    assert pace(moments[:5]) is None
    assert pace([]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"), (60, "about 1 min"), (58 * 60, "about 58 min"), (64 * 60, "about 1 h"),
        (83 * 60, "about 1 h 20 min"), (7_200, "about 2 h"),
    ],
)  # fmt: skip
def test_times_in_words(seconds: float, words: str) -> None:
    assert about(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (50, "in 2 days"), (24, "in 1 day"), (5.5, "in 5 hours"), (0.5, "in 30 minutes"), (-3, "3 hours ago"),
        (0, "now"),
    ],
)  # fmt: skip
def test_deadlines_in_words(hours: float, words: str) -> None:
    assert due(NOON + timedelta(hours=hours), NOON) == words
