"""What an adjudicator decided: beside the votes, in one order with them."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from al_assets.storage.ledger import AdjudicationError, Ledger, LedgerError, OvertakenError
from al_assets.tables import ADJUDICATIONS
from al_assets_tests.support.ledger import (
    RATERS,
    SELECTED_BY,
    START,
    decision,
    open_ledger,
    queue_frame,
    reported,
    start_writer,
    vote,
)


def disputed(url: str) -> Ledger:
    ledger = open_ledger(url)
    ledger.record([vote("item001", "anna"), vote("item001", "ben", "negative"), vote("item002", "anna")])
    return ledger


def test_a_decision_comes_back_with_everything_it_was_given(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    assert ledger.adjudications().is_empty()
    assert ledger.adjudications().schema == ADJUDICATIONS.schema
    decided_at = datetime.fromisoformat("2026-05-01T14:00:00.123456+02:00")
    assert ledger.adjudicate(decision("item001", "guideline gap", comment="näja 🤷", decided_at=decided_at)) == 4
    row = ledger.adjudications().row(0, named=True)
    assert row.pop("recorded_at") > START
    assert row == {
        "seq": 4, "iteration": "0000", "item_id": "item001", "label": "guideline gap", "adjudicator": "judge",
        "comment": "näja 🤷", "policy_version": "1", "decided_at": decided_at,
    }  # fmt: skip
    assert Ledger(ledger_url, "scam").adjudications().is_empty()


def test_votes_and_decisions_share_one_order(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    before = ledger.votes()
    assert ledger.adjudicate(decision("item001")) == 4
    assert ledger.watermark() == 4
    result = ledger.record([vote("item002", "ben")])
    assert result.watermark == 5
    assert ledger.adjudicate(decision("item002", "negative")) == ledger.watermark() == 6
    assert ledger.progress("0000", 2).watermark == 6
    assert ledger.history()["seq"].to_list() == [1, 2, 3, 5]
    assert ledger.votes(watermark=4).equals(before)
    with pytest.raises(LedgerError, match="watermark: 7 lies ahead"):
        ledger.adjudications(watermark=7)


def test_a_decision_on_what_has_changed_since_it_was_seen_is_refused(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    seen = ledger.watermark()
    ledger.record([vote("item002", "ben")])
    first = decision("item001", key="first")
    assert ledger.adjudicate(first, seen=seen) == 5
    with pytest.raises(OvertakenError, match="item_id: 'item001' of iteration 0000 changed after seq 3, up to which"):
        ledger.adjudicate(decision("item001", "negative"), seen=seen)
    assert ledger.adjudicate(first, seen=seen) == 5
    ledger.record([vote("item001", "ben", "withdrawn")])
    with pytest.raises(OvertakenError, match="changed after seq 5"):
        ledger.adjudicate(decision("item001", "negative"), seen=5)
    assert ledger.adjudicate(decision("item001", "negative"), seen=6) == 7
    assert ledger.adjudications()["label"].to_list() == ["negative"]


def test_the_later_decision_supersedes_and_a_read_as_of_before_stays(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    ledger.adjudicate(decision("item001"))
    ledger.adjudicate(decision("item002", "negative"))
    then = ledger.adjudications(watermark=5)
    assert ledger.adjudicate(decision("item001", "negative", 90)) == 6
    assert ledger.adjudications().select("seq", "label").rows() == [(5, "negative"), (6, "negative")]
    assert ledger.adjudications(watermark=5).equals(then)
    assert then.select("item_id", "label").rows() == [("item001", "positive"), ("item002", "negative")]
    assert ledger.adjudications(["0001"]).is_empty()


def test_a_key_sent_again_counts_once(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    first = decision("item001", key="click")
    assert [ledger.adjudicate(first), ledger.adjudicate(first)] == [4, 4]
    ledger.adjudicate(decision("item001", "negative"))
    assert ledger.adjudicate(first) == 4
    assert ledger.adjudications()["label"].to_list() == ["negative"]
    with pytest.raises(AdjudicationError, match="key: 'click' is on record for another decision"):
        ledger.adjudicate(decision("item001", "negative", key="click"))
    assert ledger.watermark() == 5


def test_what_cannot_be_adjudicated_is_refused(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    hidden = [queue_frame(["item000"], reason="repeat"), queue_frame(["golden"], reason="gold"), queue_frame(["new"])]
    ledger.publish("0001", pl.concat(hidden), SELECTED_BY)
    refused = {
        "item_id: 'other' is not in the queue of iteration 0000; it is in none": decision("other"),
        "item_id: 'new' is not in the queue of iteration 0000; it is in that of 0001": decision("new"),
        "item_id: 'golden' is a hidden item of iteration 0001": decision("golden", iteration="0001"),
        "item_id: 'item000' is a hidden item of iteration 0001": decision("item000", iteration="0001"),
    }
    for reason, wrong in refused.items():
        with pytest.raises(AdjudicationError, match=reason):
            ledger.adjudicate(wrong)
    assert ledger.watermark() == 3
    assert ledger.adjudicate(decision("item000")) == 4


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"label": "undecided"}, "label: 'undecided' is unknown; expected one of positive, negative, guideline gap"),
        ({"iteration": "3"}, "iteration: '3' is not an iteration key"),
        ({"decided_at": datetime(2026, 5, 1)}, "decided_at: 2026-05-01T00:00:00 has no time zone"),
        ({"comment": "x" * 10_001}, "comment: 10001 characters"),
        ({"comment": "a\0b"}, "comment: 'a.x00b' holds a character no database stores"),
        ({"key": ""}, "key: empty"),
        ({"adjudicator": " "}, "adjudicator: empty"),
    ],
)
def test_a_malformed_decision_cannot_be_made(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(AdjudicationError, match=reason):
        decision("item001", **fields)


def test_labels_carry_the_decision_and_change_no_vote(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    before = ledger.expert_labels()
    assert before["adjudicated"].null_count() == 3
    assert before["as_of"].unique().to_list() == [3]
    ledger.adjudicate(decision("item001", "negative"))
    after = ledger.expert_labels()
    assert after.drop("adjudicated", "as_of").equals(before.drop("adjudicated", "as_of"))
    assert after["adjudicated"].to_list() == ["negative", "negative", None]
    assert after["as_of"].unique().to_list() == [4]
    assert ledger.expert_labels(watermark=3).equals(before)
    assert ledger.expert_labels(watermark=4).equals(after)


def test_labels_are_as_of_the_last_change_of_their_own(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    ledger.publish("0001", pl.concat([queue_frame(["golden"], reason="gold"), queue_frame(["new"])]), SELECTED_BY)
    before = ledger.expert_labels(["0000"])
    ledger.record([vote("new", iteration="0001"), vote("golden", iteration="0001")])
    # Neither another iteration nor an answer to a hidden item makes the table another one.
    assert ledger.expert_labels(["0000"]).equals(before)
    assert ledger.expert_labels()["as_of"].unique().to_list() == [4]
    ledger.record([vote("item001", "anna", "withdrawn", 1)])
    withdrawn = ledger.expert_labels()
    assert withdrawn["as_of"].unique().to_list() == [6]
    assert ledger.expert_labels(watermark=6).equals(withdrawn)


def test_changes_of_labels_are_counted(ledger_url: str) -> None:
    ledger = disputed(ledger_url)
    ledger.publish("0001", queue_frame(["golden"], reason="gold"), SELECTED_BY)
    ledger.record([vote("golden", iteration="0001")])
    assert ledger.changed_labels(3) == 0
    assert ledger.changed_labels(99) == 0
    ledger.record([vote("item002", "anna", "negative", 1), vote("item003", "ben")])
    assert ledger.changed_labels(4) == 2
    ledger.record([vote("item001", "ben", "withdrawn", 1), vote("item003", "ben", "withdrawn", 1)])
    # Ben's answer to item003 came and went since.
    assert ledger.changed_labels(4) == 2
    assert ledger.changed_labels(6) == 2
    ledger.adjudicate(decision("item001"))
    ledger.adjudicate(decision("item001", "negative"))
    assert ledger.changed_labels(8) == 1
    assert ledger.changed_labels(0) == 3


@pytest.mark.slow
def test_voting_and_adjudicating_processes_leave_no_gap(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 40)
    writers = [start_writer(ledger_url, rater, 40) for rater in RATERS[:2]]
    seqs: list[int] = []
    while any(writer.poll() is None for writer in writers) or len(seqs) < 5:
        seqs.append(ledger.adjudicate(decision("item001", minute=len(seqs))))
        if len(seqs) == 2_000:
            break
    for writer in writers:
        assert len(reported(writer)) == 40
    everything = sorted([*ledger.history()["seq"].to_list(), *seqs])
    assert everything == list(range(1, 80 + len(seqs) + 1))
    assert ledger.adjudications()["seq"].to_list() == [seqs[-1]]
    assert ledger.watermark() == everything[-1]
