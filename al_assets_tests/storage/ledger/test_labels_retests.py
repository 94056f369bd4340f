"""Answers to hidden gold and repeats: on record like all others, never a label."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from sqlalchemy.exc import DBAPIError

from al_assets.config import PolicyText
from al_assets.storage.ledger import WITHDRAWN, Ledger, Vote
from al_assets.tables import RETESTS
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, START, labels, open_ledger, queue_frame, run_sql, vote

WEEK = 8 * 24 * 60


def with_repeat(url: str, text: PolicyText | None = None) -> Ledger:
    """Item000 and item001 answered by anna and ben, then item000 queued again, with a gold and a new item."""
    ledger = Ledger(url, "spam", RATERS, text)
    open_ledger(url, 2).close()
    read = text.fingerprint() if text else None
    first = [(item, rater) for item in ("item000", "item001") for rater in ("anna", "ben")]
    ledger.record([vote(item, rater, policy_fingerprint=read) for item, rater in first])
    queue = [
        queue_frame(["item000"], reason="repeat", stratum=None, inclusion_probability=0.5),
        queue_frame(["golden"], reason="gold", stratum=None, inclusion_probability=None),
        queue_frame(["new"], reason="boundary"),
    ]
    ledger.publish("0001", pl.concat(queue), SELECTED_BY)
    return ledger


def again(rater: str, label: str, minute: int = WEEK, item: str = "item000", **fields: Any) -> Vote:
    return vote(item, rater, label, minute, iteration="0001", **fields)


def test_an_answer_to_a_repeat_neither_counts_nor_takes_the_place_of_the_first(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    before, labelled = ledger.votes(), ledger.expert_labels()
    result = ledger.record([again("anna", "negative"), again("ben", "positive")])
    assert (result.new, result.superseding, result.watermark) == (2, 0, 6)
    assert ledger.votes().equals(before)
    assert ledger.expert_labels().equals(labelled)
    assert ledger.expert_labels(["0001"]).is_empty()
    assert ledger.history().height == 6
    answers = ledger.answers().select("item_id", "iteration", "rater", "label", "reason").rows()
    assert ("item000", "0000", "anna", "positive", "audit") in answers
    assert ("item000", "0001", "anna", "negative", "repeat") in answers


def test_an_answer_to_gold_does_not_count(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    ledger.record([again("anna", "negative", item="golden"), again("anna", "positive", item="new")])
    assert labels(ledger, iterations=["0001"]) == {("new", "anna"): "positive"}
    assert ledger.expert_labels(["0001"])["item_id"].to_list() == ["new"]
    answers = ledger.answers(["0001"])
    assert dict(answers.select("item_id", "reason").iter_rows()) == {"golden": "gold", "new": "boundary"}
    assert answers.filter(reason="gold")["text"].to_list() == ["text of golden"]


def test_a_retest_is_joined_to_the_first_answer(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    assert ledger.retests().is_empty()
    assert ledger.retests().schema == RETESTS.schema
    first = [again("anna", "undecided"), again("ben", "positive")]
    ledger.record([*first, again("anna", "negative", WEEK + 1)])
    found = ledger.retests().select("item_id", "rater", "first_label", "label", "first_seq", "seq", "same_policy")
    assert found.rows() == [
        ("item000", "ben", "positive", "positive", 2, 6, True),
        ("item000", "anna", "positive", "negative", 1, 7, True),
    ]
    assert ledger.retests()["days"].to_list() == pytest.approx([8, 8 + 1 / 1440])
    assert ledger.retests(["0000"]).is_empty()
    assert ledger.retests(watermark=5)["label"].to_list() == ["undecided"]


def test_the_first_answer_is_the_one_that_counted_when_the_repeat_was_published(ledger_url: str) -> None:
    open_ledger(ledger_url, 2).record(
        [vote("item000", "anna", "negative", -9), vote("item000", "anna", "undecided", -5)]
    )
    ledger = with_repeat(ledger_url)
    ledger.record([again("anna", "negative")])
    # Whoever corrects his answer once the repeat is out may have been led to it by the repeat.
    ledger.record([vote("item000", "anna", "negative", WEEK + 5), vote("item000", "cleo", "positive", WEEK)])
    ledger.record([again("cleo", "positive", WEEK + 9)])
    assert ledger.retests().select("rater", "first_label").rows() == [("anna", "positive")]
    assert labels(ledger)["item000", "anna"] == "negative"
    assert ledger.repeat_raters("0001") == {"item000": frozenset({"anna", "ben"})}


def test_a_rater_who_never_answered_the_item_has_no_retest(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    ledger.record([again("cleo", "negative")])
    assert ledger.retests().is_empty()
    assert ledger.answers(["0001"])["rater"].to_list() == ["cleo"]
    assert ("item000", "cleo") not in labels(ledger)


def test_the_same_answer_to_a_repeat_counts_once_and_another_supersedes_within_it(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    one = again("anna", "positive")
    assert ledger.record([one, one]).repeated == 1
    assert ledger.record([one]).repeated == 1
    result = ledger.record([again("anna", "negative", WEEK + 1)])
    assert (result.new, result.superseding) == (0, 1)
    assert ledger.history()["supersedes"].to_list()[-1] == 5
    assert ledger.answers(["0001"])["label"].to_list() == ["negative"]


def test_repeats_are_complete_when_those_who_answered_before_have(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    assert ledger.repeat_raters("0001") == {"item000": frozenset({"anna", "ben"})}
    assert ledger.repeat_raters("0000") == {}
    others = [again(rater, "positive", item=item) for item in ("golden", "new") for rater in ("anna", "cleo")]
    ledger.record([*others, again("anna", "positive"), again("cleo", "positive")])
    progress = ledger.progress("0001", 2)
    assert (progress.queued, progress.complete, progress.decisive, progress.votes) == (3, 2, 2, 6)
    assert progress.open_items == {"anna": (), "ben": ("item000",), "cleo": ()}
    ledger.record([again("ben", "undecided")])
    done = ledger.progress("0001", 2)
    assert done.is_complete
    assert done.decisive == 2
    assert ledger.progress("0000", 2).is_complete


def test_a_repeat_does_not_wait_for_a_rater_who_left(ledger_url: str) -> None:
    with_repeat(ledger_url)
    ledger = Ledger(ledger_url, "spam", ["anna", "cleo"])
    ledger.record([again("anna", "positive")])
    assert ledger.progress("0001", 2).open_items["cleo"] == ("golden", "new")
    assert ledger.progress("0001", 2).complete == 1
    assert Ledger(ledger_url, "spam", ["cleo"]).progress("0001", 2).complete == 1


def test_a_first_answer_withdrawn_before_the_repeat_is_none(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.record([vote("item000", rater) for rater in ("anna", "ben", "cleo")])
    ledger.record([vote("item000", "ben", WITHDRAWN, 1), vote("item000", "cleo", WITHDRAWN, 1)])
    ledger.record([vote("item000", "cleo", "negative", 2)])
    ledger.publish("0001", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    assert ledger.repeat_raters("0001") == {"item000": frozenset({"anna", "cleo"})}
    ledger.record([again(rater, "positive") for rater in ("anna", "ben", "cleo")])
    found = ledger.retests().sort("rater").select("rater", "first_label", "label").rows()
    assert found == [("anna", "positive", "positive"), ("cleo", "negative", "positive")]
    # Like a correction, a withdrawal that comes after the repeat does not change what was said before it.
    ledger.record([vote("item000", "anna", WITHDRAWN, WEEK + 1)])
    assert ledger.retests().sort("rater").select("rater", "first_label", "label").rows() == found
    assert labels(ledger) == {("item000", "cleo"): "negative"}


def test_a_withdrawn_answer_to_a_repeat_is_no_retest_and_takes_nothing_from_the_first(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    before = ledger.votes()
    ledger.record([again("anna", "negative"), again("ben", "positive")])
    ledger.record([again("anna", WITHDRAWN, WEEK + 1)])
    assert ledger.retests()["rater"].to_list() == ["ben"]
    assert ledger.retests(watermark=6)["rater"].to_list() == ["anna", "ben"]
    assert ledger.votes().equals(before)
    assert ledger.answers(["0001"])["rater"].to_list() == ["ben"]
    assert ledger.progress("0001", 2).open_items["anna"] == ("item000", "golden", "new")


def test_where_the_later_of_two_first_answers_was_withdrawn_the_earlier_counts(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 1)
    ledger.publish("0001", queue_frame(["item000"], reason="control"), SELECTED_BY)
    ledger.record([vote("item000"), vote("item000", label="negative", minute=1, iteration="0001")])
    ledger.record([vote("item000", label=WITHDRAWN, minute=2, iteration="0001")])
    assert labels(ledger) == {("item000", "anna"): "positive"}
    assert labels(ledger, watermark=2) == {("item000", "anna"): "negative"}
    ledger.publish("0002", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    ledger.record([vote("item000", label="positive", minute=WEEK, iteration="0002")])
    assert ledger.retests().select("first_label", "first_iteration").rows() == [("positive", "0000")]


def text(version: str = "1", guideline: str = "Spam sells.", **fields: Any) -> PolicyText:
    values = {"name": "spam", "question": "Spam?", "version": version, "guideline": guideline, **fields}
    return PolicyText.model_validate(values)


def test_what_raters_read_goes_on_record_with_the_first_queue_or_vote(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url, text())
    assert ledger.policy_texts().height == 1
    edited = Ledger(ledger_url, "spam", RATERS, text("2", "Spam sells or begs."))
    assert edited.policy_texts().height == 1
    for _ in range(2):
        edited.record([again("anna", "positive")])
    Ledger(ledger_url, "spam", RATERS, text("2", "Spam sells or begs.", expected_prevalence=0.3)).record([])
    texts = edited.policy_texts()
    assert texts["version"].to_list() == ["1", "2", "2"]
    assert texts["fingerprint"].n_unique() == 3
    assert texts["text_fingerprint"].n_unique() == 2
    assert json.loads(texts["text"][1])["guideline"] == "Spam sells or begs."
    assert Ledger(ledger_url, "scam").policy_texts().is_empty()
    for change in ("UPDATE policy_texts SET version = 'x'", "DELETE FROM policy_texts"):
        with pytest.raises(DBAPIError, match="append-only"):
            run_sql(ledger_url, change)


def test_a_retest_over_an_edit_of_the_policy_is_marked(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url, text())
    # Under another prevalence raters read the same text.
    same = text(expected_prevalence=0.4)
    Ledger(ledger_url, "spam", RATERS, same).record(
        [
            again("anna", "negative", policy_fingerprint=same.fingerprint()),
            again("ben", "negative", policy_version="2"),
        ]
    )
    assert dict(ledger.retests().select("rater", "same_policy").iter_rows()) == {"anna": True, "ben": False}
    edited = text(guideline="Spam begs.")
    Ledger(ledger_url, "spam", RATERS, edited).record(
        [again("anna", "positive", WEEK + 1, policy_fingerprint=edited.fingerprint())]
    )
    assert dict(ledger.retests().select("rater", "same_policy").iter_rows()) == {"anna": False, "ben": False}


def test_votes_cast_days_apart_by_their_own_clock(ledger_url: str) -> None:
    ledger = with_repeat(ledger_url)
    ledger.record([again("anna", "positive", voted_at=START + timedelta(days=30, hours=12))])
    assert ledger.retests()["days"].to_list() == [30.5]
    assert ledger.retests()["voted_at"].to_list() == [datetime(2026, 6, 1, tzinfo=UTC)]
