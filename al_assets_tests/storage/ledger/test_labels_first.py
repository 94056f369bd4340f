"""Which answer agreement rests on: the one that stood when the loop first read one, under the same text."""

import pytest

from al_assets.storage.ledger import WITHDRAWN, Ledger
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, open_ledger, queue_frame, vote


def both(ledger: Ledger, watermark: int | None = None) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (item, rater) -> the label learnt from and the label that agreement rests on."""
    frame = ledger.expert_labels(watermark=watermark).select("item_id", "rater", "label", "first_label")
    return {row[:2]: row[2:] for row in frame.iter_rows()}


def test_a_slip_corrected_before_the_loop_read_is_no_first_answer(ledger: Ledger) -> None:
    ledger.record([vote("item000"), vote("item001", label="undecided")])
    ledger.record([vote("item000", label=WITHDRAWN, minute=1), vote("item001", label="positive", minute=1)])
    ledger.record([vote("item000", label="negative", minute=2)])
    assert both(ledger) == {("item000", "anna"): ("negative",) * 2, ("item001", "anna"): ("positive",) * 2}
    ledger.note_reading()
    assert both(ledger) == {("item000", "anna"): ("negative",) * 2, ("item001", "anna"): ("positive",) * 2}


@pytest.mark.parametrize("withdrawn_before", [False, True])
def test_an_answer_changed_after_the_loop_read_it_is_learnt_from_and_not_measured(
    ledger: Ledger, withdrawn_before: bool
) -> None:
    ledger.record([vote("item000"), vote("item000", "ben", "undecided"), vote("item001")])
    assert ledger.note_reading() == 3
    if withdrawn_before:
        ledger.record([vote("item000", label=WITHDRAWN, minute=1)])
        ledger.note_reading()
    ledger.record([vote("item000", label="negative", minute=2), vote("item000", "ben", "negative", 2)])
    expected = {
        ("item000", "anna"): ("negative", "positive"),
        ("item000", "ben"): ("negative", "undecided"),
        ("item001", "anna"): ("positive", "positive"),
    }
    assert both(ledger) == expected
    ledger.note_reading()
    assert both(ledger) == expected
    assert both(ledger, watermark=3)["item000", "anna"] == ("positive", "positive")


def test_a_first_answer_that_comes_late_is_first_all_the_same(ledger: Ledger) -> None:
    ledger.record([vote("item000")])
    ledger.note_reading()
    ledger.record([vote("item000", "ben"), vote("item000", "ben", "negative", 1)])
    assert both(ledger)["item000", "ben"] == ("negative", "negative")
    ledger.note_reading()
    ledger.record([vote("item000", "ben", "positive", 2)])
    assert both(ledger)["item000", "ben"] == ("positive", "negative")


def test_an_answer_withdrawn_for_good_counts_nowhere(ledger: Ledger) -> None:
    ledger.record([vote("item000"), vote("item000", "ben")])
    ledger.note_reading()
    ledger.record([vote("item000", label=WITHDRAWN, minute=1)])
    assert list(both(ledger)) == [("item000", "ben")]


def test_an_answer_to_a_hidden_repeat_is_neither(ledger: Ledger) -> None:
    ledger.record([vote("item000"), vote("item001")])
    ledger.publish("0001", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    ledger.note_reading()
    ledger.record([vote("item000", label="negative", minute=5, iteration="0001")])
    assert both(ledger)["item000", "anna"] == ("positive", "positive")


def test_under_another_text_of_the_policy_the_first_answer_is_the_first_under_that_text(ledger: Ledger) -> None:
    ledger.record([vote("item000"), vote("item000", "ben")])
    ledger.note_reading()
    ledger.record([vote("item000", label="negative", minute=1, policy_version="2")])
    ledger.note_reading()
    assert both(ledger)["item000", "anna"] == ("negative", "negative")
    ledger.record([vote("item000", label="positive", minute=2, policy_version="2")])
    assert both(ledger) == {("item000", "anna"): ("positive", "negative"), ("item000", "ben"): ("positive", "positive")}


def test_an_item_asked_in_two_iterations_keeps_the_answer_that_was_read_first(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.publish("0001", queue_frame(items(2), reason="control"), SELECTED_BY)
    ledger.record([vote(item) for item in items(2)])
    ledger.record([vote("item000", label="negative", minute=1, iteration="0001")])
    ledger.note_reading()
    ledger.record([vote("item001", label="negative", minute=1, iteration="0001")])
    assert both(ledger) == {
        ("item000", "anna"): ("negative", "negative"), ("item001", "anna"): ("negative", "positive"),
    }  # fmt: skip


def test_a_reading_is_on_record_once_and_of_one_policy(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    assert ledger.note_reading() == 0
    ledger.record([vote("item000")])
    assert [ledger.note_reading(), ledger.note_reading()] == [1, 1]
    other = Ledger(ledger_url, "scam", RATERS)
    other.publish("0000", queue_frame(items(1)), SELECTED_BY)
    other.record([vote("item000")])
    other.record([vote("item000", label="negative", minute=1)])
    assert both(other) == {("item000", "anna"): ("negative", "negative")}
