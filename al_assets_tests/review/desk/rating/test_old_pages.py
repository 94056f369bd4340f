"""Old pages: what they say when their question was answered, undone or answered anew since."""

import pytest

from al_assets.review.desk.desk import Desk
from al_assets_tests.review.desk.conftest import SignIn
from al_assets_tests.review.desk.rating.conftest import Rater
from al_assets_tests.storage.ledger.cases import labels

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
    assert anna.undo(after).said == "That answer was taken back or replaced before."
    assert labels(desk.ledger) == {(page.text.removeprefix("text of "), "anna"): "negative"}
    assert desk.ledger.history().height == 3
