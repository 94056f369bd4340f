"""Old pages: what they say when their question was answered, undone or answered anew since."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from al_assets.review.desk.rating import pages
from al_assets.review.desk.rating.room import Room
from al_assets.review.desk.rating.round import QuestionId
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger.votes import WITHDRAWN
from al_assets_tests.support.desk.clients import SignIn, client_of, open_desk
from al_assets_tests.support.desk.rater_pages import Rater
from al_assets_tests.support.ledger import items, labels, queue_frame, vote

NOT_CHANGED = "Nothing was changed: that page was older than what you did last with its question, and that stands."


@pytest.fixture
def anna(sign_in: SignIn) -> Rater:
    return Rater(sign_in("anna"))


@pytest.mark.parametrize("label", ["positive", "negative"])
def test_an_answer_from_before_an_undo_is_never_called_saved(desk: Desk, anna: Rater, label: str) -> None:
    page = anna.look()
    anna.undo(anna.send(page, "positive"))
    assert anna.send(page, label).said == NOT_CHANGED
    assert labels(desk.ledger) == {}


def test_an_answer_from_an_old_tab_does_not_pass_for_the_one_that_counts(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    again = anna.undo(anna.send(page, "positive"))
    assert anna.send(again, "negative").said == "Saved."
    assert anna.send(page, "positive").said == NOT_CHANGED
    assert labels(desk.ledger) == {(page.text.removeprefix("text of "), "anna"): "negative"}


def test_an_undo_from_an_old_tab_takes_back_nothing_that_came_later(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    after = anna.send(page, "positive")
    again = anna.undo(after)
    anna.send(again, "negative")
    assert anna.undo(after).said.startswith("Nothing was changed: that answer was taken back or replaced before")
    assert labels(desk.ledger) == {(page.text.removeprefix("text of "), "anna"): "negative"}
    assert desk.ledger.history().height == 3


def test_an_undo_that_is_sent_again_says_again_that_it_is_done(desk: Desk, anna: Rater) -> None:
    after = anna.answer("positive")
    # The connection may have broken before the page came.
    assert [anna.undo(after).said for _ in range(2)] == 2 * ["Your answer is taken back. Answer again."]
    assert desk.ledger.history().height == 2


def test_an_undo_takes_back_nothing_that_came_in_otherwise(desk: Desk, anna: Rater) -> None:
    page = anna.look()
    after = anna.send(page, "positive")
    item = page.text.removeprefix("text of ")
    desk.ledger.record([vote(item, "anna", "negative", source="file:x.csv")])
    assert anna.undo(after).said.startswith("Nothing was changed")
    assert labels(desk.ledger) == {(item, "anna"): "negative"}


def test_an_undo_of_somebody_who_left_changes_nothing(desk: Desk, anna: Rater, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.review.desk.rating.room._LOOK_SECONDS", 0.0)
    after = anna.answer("positive")
    desk.ledger.change_rater("anna", "left", "olga")
    assert "can be taken back no more" in anna.undo(after).said
    assert list(labels(desk.ledger).values()) == ["positive"]


def test_an_answer_whose_round_is_over_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [timedelta()]
    monkeypatch.setattr(pages, "Room", lambda desk: Room(desk, lambda: datetime.now(UTC) + passed[0]))
    monkeypatch.setattr("al_assets.review.desk.rating.room._LOOK_SECONDS", 0.0)
    review = {"raters": ["anna", "ben"], "deadline_hours": 5}
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite", review=review) as desk:
        anna = Rater(client_of(make_app(desk), desk, "anna"))
        after = anna.answer("positive")
        desk.ledger.publish("0001", queue_frame(["new"]), {})
        passed[0] = timedelta(hours=6)
        # It could not be given again.
        assert "can be taken back no more" in anna.undo(after).said
        assert list(labels(desk.ledger).values()) == ["positive"]


def test_what_is_about_to_be_taken_back_is_offered_to_nobody_else(desk: Desk) -> None:
    room = Room(desk)
    desk.ledger.record([vote(item, rater) for item in items(6) for rater in ("anna", "ben")])
    room.catch_up()
    question = QuestionId("0000", "item003")
    with room.board() as board:
        assert not board.take_back("anna", question, 2, room.now())
        assert board.take_back("anna", question, 1, room.now())
    desk.ledger.record([vote("item003", "anna", WITHDRAWN)])
    room.catch_up()
    assert room.view("cleo").question is None
    view = room.view("anna")
    assert (view.question, view.text, view.turn) == (question, "text of item003", 2)
