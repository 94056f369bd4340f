from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from al_assets.review.desk.adjudication.cases import Case, cases, neutral_name, neutral_order, next_open
from al_assets.storage.ledger import Adjudication, Ledger
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, open_ledger, queue_frame, vote

KEY = b"k" * 32
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def found(ledger: Ledger) -> list[Case]:
    tables = (ledger.answers(), ledger.adjudications(), ledger.withdrawals())
    return cases(*tables, votes_per_item=2, secret=KEY, policy="spam")


def decide(ledger: Ledger, item: str, label: str = "positive", iteration: str = "0000") -> None:
    ledger.adjudicate(
        Adjudication(iteration, item, label, "addy", "why", "1", START, f"{item} {label} {ledger.watermark()}")
    )


def test_only_complete_items_with_both_answers_are_disputed(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 5)
    ledger.publish("0001", queue_frame(["gold-1"], reason="gold"), SELECTED_BY)
    ledger.record(
        [
            vote("item000", "anna", "positive"), vote("item000", "ben", "negative"),
            vote("item001", "anna", "positive"), vote("item001", "ben", "positive"),
            vote("item002", "anna", "positive"),
            vote("item003", "anna", "positive"), vote("item003", "ben", "undecided"),
            vote("item004", "anna", "undecided"), vote("item004", "ben", "negative"), vote("item004", "cleo"),
            vote("gold-1", "anna", "positive", iteration="0001"), vote("gold-1", "ben", "negative", iteration="0001"),
        ]
    )  # fmt: skip
    assert {case.item_id for case in found(ledger)} == {"item000", "item004"}
    assert all(case.is_open for case in found(ledger))


def test_a_decision_closes_a_case_and_a_later_answer_calls_for_another_look(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite", 1)
    ledger.record([vote("item000", "anna", "positive", comment=" x "), vote("item000", "ben", "negative")])
    (before,) = found(ledger)
    assert sorted((each.label, each.comment) for each in before.opinions) == [("negative", ""), ("positive", "x")]
    decide(ledger, "item000")
    (decided,) = found(ledger)
    assert decided.decision is not None
    assert (decided.decision.label, decided.decision.outdated, decided.is_open) == ("positive", False, False)
    ledger.record([vote("item000", "ben", "positive", 5)])
    (later,) = found(ledger)
    assert later.decision is not None
    assert (later.decision.outdated, later.disputed) == (True, False)
    assert len({before.mark, decided.mark, later.mark}) == 3
    assert before.code == decided.code == later.code


def test_an_answer_taken_back_calls_for_another_look_too(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    for item in ("item000", "item001"):
        ledger.record([vote(item, "anna"), vote(item, "ben", "negative"), vote(item, "cleo", "negative")])
    ledger.record([vote("item000", "cleo", "withdrawn")])
    decide(ledger, "item000")
    decide(ledger, "item001")
    ledger.record([vote("item001", "cleo", "withdrawn", 5)])
    outdated = {case.item_id: case.decision.outdated for case in found(ledger) if case.decision}
    assert outdated == {"item000": False, "item001": True}
    before = ledger.watermark() - 1
    assert ledger.withdrawals(watermark=before).rows() == [("0000", "item000", 7)]
    decide(ledger, "item001")
    assert not any(case.decision.outdated for case in found(ledger) if case.decision)


def test_names_say_nothing_and_stay() -> None:
    orders = [tuple(neutral_order(KEY, f"item{number}", RATERS)) for number in range(300)]
    assert orders == [tuple(neutral_order(KEY, f"item{number}", RATERS[::-1])) for number in range(300)]
    first = Counter(order[0] for order in orders)
    assert len(set(orders)) == 6
    assert all(70 < first[rater] < 130 for rater in RATERS)
    assert [neutral_name(place) for place in (0, 25, 26, 701, 702)] == [
        "Rater A", "Rater Z", "Rater AA", "Rater ZZ", "Rater AAA",
    ]  # fmt: skip


def test_the_next_follows_and_comes_round(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite", 4)
    for number in range(4):
        item = f"item{number:03d}"
        ledger.record([vote(item, "anna", "positive"), vote(item, "ben", "negative")])
    docket = found(ledger)
    assert [case.code for case in docket] == sorted(case.code for case in docket)
    assert next_open(docket) == docket[0]
    assert next_open(docket, docket[0].code) == docket[1]
    assert next_open(docket, docket[3].code) == docket[0]
    assert next_open(docket, "unknown") == docket[0]
    decide(ledger, docket[1].item_id)
    assert next_open(found(ledger), docket[0].code) == docket[2]
    for case in docket:
        decide(ledger, case.item_id, "guideline gap")
    assert next_open(found(ledger)) is None
