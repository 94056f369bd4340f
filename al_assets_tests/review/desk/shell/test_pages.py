from datetime import timedelta

import pytest

from al_assets.review.desk.shell.pages import about, due
from al_assets_tests.support.desk.boards import NOON


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
