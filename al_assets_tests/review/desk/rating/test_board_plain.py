"""The board that counts along chooses exactly as the one that looks at everything each time."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.review.desk.rating.round import QuestionId
from al_assets_tests.review.desk.rating.test_board import ACTS, CROWD, act
from al_assets_tests.support.desk.boards import Play, round_of
from al_assets_tests.support.desk.plain_board import PlainBoard
from al_assets_tests.support.ledger import items, paired_queue, queue_frame


def compare(play: Play, rater: str) -> None:
    plain = PlainBoard(play).survey(rater)
    found = play.board.view(rater, play.now, claim=False)
    assert (found.question, found.answered, found.waiting) == plain[:3]
    assert found.share == pytest.approx(plain[3])


@given(
    st.lists(ACTS, max_size=60), st.integers(0, 4), st.integers(1, 4), st.integers(0, 3), st.integers(2, 3),
    st.integers(3, 5), st.booleans(),
)  # fmt: skip
@settings(max_examples=40)
def test_the_same_choices_as_by_the_plain_rules(
    acts: list[tuple[str, str]], pairs: int, singles: int, repeated: int, votes: int, crowd: int, two_rounds: bool
) -> None:
    again = {item: frozenset(CROWD[number : number + votes]) for number, item in enumerate(items(repeated, "again"))}
    newest = pl.concat([paired_queue(pairs, singles), queue_frame(items(repeated, "again"))])
    rounds = [round_of(newest, "0001", again), *([round_of(paired_queue(1, 2))] if two_rounds else [])]
    play = Play(*rounds, raters=CROWD[:crowd], votes=votes)
    present, shown = set(CROWD[:crowd]), dict[str, QuestionId]()
    for rater, what in acts:
        compare(play, rater)
        act(play, rater, what, present, shown, votes)
    for rater in CROWD:
        compare(play, rater)
