"""What raters see of a queue with hidden gold and repeats: nothing that tells them."""

import csv
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.review.files.exchange import SHEET_COLUMNS, export_queue, export_votes, import_votes
from al_assets.review.questions import MIN_GAP, blind_order, coded_items, looks_coded, question_code, questions
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import (
    RATERS,
    SELECTED_BY,
    START,
    items,
    labels,
    open_ledger,
    paired_queue,
    queue_frame,
    vote,
)
from al_assets_tests.support.policies import make_policy, write


def with_hidden(url: str) -> Ledger:
    """Iteration 0000 answered by anna and ben; in 0001 two of its items again, two gold items and six new ones."""
    ledger = open_ledger(url, 4)
    ledger.record([vote(item, rater) for item in items(4) for rater in ("anna", "ben")])
    ledger.record([vote("item003", "cleo")])
    queue = [
        queue_frame(["item000", "item003"], reason="repeat"),
        queue_frame(["gold-1", "gold-2"], reason="gold"),
        queue_frame(items(6, "new"), reason="boundary"),
    ]
    ledger.publish("0001", pl.concat(queue), SELECTED_BY)
    return ledger


def rows_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_sheet_tells_nothing_of_gold_and_repeats(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    assert export_queue(ledger, policy, "0001", tmp_path / "anna.csv", "anna") == 10
    rows = rows_of(tmp_path / "anna.csv")
    assert tuple(rows[0]) == SHEET_COLUMNS
    assert all(looks_coded(row["item_id"]) for row in rows)
    assert {row["text"] for row in rows} >= {"text of gold-1", "text of item000", "text of new000"}
    # Apart from the text every cell is of the same form, whatever the item.
    assert {tuple(row[column] for column in SHEET_COLUMNS if column not in ("item_id", "text")) for row in rows} == {
        ("0001", "1", "anna", "", "", "")
    }
    content = (tmp_path / "anna.csv").read_text()
    assert not [sign for sign in ("repeat", "boundary", "audit", ",gold", ",item") if sign in content]
    shown = questions(ledger, policy, "0001", "anna")
    hidden = [at for at, each in enumerate(shown["item_id"]) if not each.startswith("new")]
    assert hidden not in ([0, 1, 2, 3], [6, 7, 8, 9])


def test_a_code_is_another_in_each_iteration_and_policy() -> None:
    codes = {question_code(policy, iteration, "item000") for policy in ("spam", "scam") for iteration in ("0", "1")}
    assert len(codes) == 4


def test_a_queue_without_hidden_items_shows_its_ids(ledger_url: str) -> None:
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    shown = questions(ledger, policy, "0000")
    assert shown["shown_id"].sort().to_list() == shown["item_id"].sort().to_list() == items(4)
    with pytest.raises(ValueError, match="iteration: '0009' has no published queue; published are 0000, 0001"):
        questions(ledger, policy, "0009")


def test_repeats_are_asked_of_those_who_answered_before(ledger_url: str) -> None:
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    asked = {rater: set(questions(ledger, policy, "0001", rater)["item_id"]) for rater in RATERS}
    assert asked["anna"] == asked["ben"] == {"item000", "item003", "gold-1", "gold-2", *items(6, "new")}
    assert asked["cleo"] == asked["anna"] - {"item000"}
    assert asked["anna"] == set(ledger.progress("0001", 2).open_items["anna"])
    assert asked["cleo"] == set(ledger.progress("0001", 2).open_items["cleo"])
    ledger.record([vote(item, "anna", iteration="0001") for item in ("item000", "gold-2", "new001")])
    assert set(questions(ledger, policy, "0001", "anna")["item_id"]) == asked["anna"] - {"item000", "gold-2", "new001"}


def filled(ledger_url: str, tmp_path: Path) -> tuple[Ledger, Path]:
    """Anna's sheet of iteration 0001, everything answered no."""
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    export_queue(ledger, policy, "0001", tmp_path / "anna.csv", "anna")
    rows = [{**row, "label": "no"} for row in rows_of(tmp_path / "anna.csv")]
    sheet = tmp_path / "filled.csv"
    pl.DataFrame(rows).write_csv(sheet)
    return ledger, sheet


def test_a_coded_sheet_comes_back_and_keeps_both_answers(ledger_url: str, tmp_path: Path) -> None:
    ledger, sheet = filled(ledger_url, tmp_path)
    policy = make_policy(ledger_url)
    report = import_votes(sheet, ledger, policy)
    assert (report.accepted, report.superseding, report.rejected) == (10, 0, ())
    again = import_votes(sheet, ledger, policy)
    assert (again.accepted, again.repeated, again.superseding, again.rejected) == (0, 10, 0, ())
    assert labels(ledger)["item000", "anna"] == "positive"
    retests = ledger.retests().select("item_id", "first_label", "label").rows()
    assert sorted(retests) == [("item000", "positive", "negative"), ("item003", "positive", "negative")]
    assert sorted(ledger.answers(["0001"]).filter(reason="gold")["item_id"]) == ["gold-1", "gold-2"]
    assert questions(ledger, policy, "0001", "anna").height == 0


def test_a_code_needs_no_iteration_and_contradicts_another(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    code = question_code("spam", "0001", "item000")
    assert coded_items(ledger)[code] == ("0001", "item000")
    content = (
        f"item_id,rater,label,iteration\n{code},anna,no,\n{code},ben,no,1\n{code},ben,no,0\nq{'0' * 12},ben,no,1\n"
    )
    report = import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    assert report.accepted == 2
    assert f"iteration: '0', but question '{code}' is one of iteration 0001" in report.rejected[0].reason
    assert "item_id: 'q000000000000' is not in the queue of iteration 0001" in report.rejected[1].reason
    assert ledger.retests()["rater"].to_list() == ["anna", "ben"]


def test_all_answers_can_be_taken_to_another_ledger(ledger_url: str, tmp_path: Path) -> None:
    ledger, sheet = filled(ledger_url, tmp_path)
    policy = make_policy(ledger_url)
    import_votes(sheet, ledger, policy)
    assert export_votes(ledger, tmp_path / "all.jsonl") == 9 + 10
    with with_hidden(f"sqlite:///{tmp_path}/other.sqlite") as other:
        report = import_votes(tmp_path / "all.jsonl", other, policy)
        assert (report.accepted, report.repeated, report.rejected) == (10, 9, ())
        assert other.retests().drop("seq", "first_seq").equals(ledger.retests().drop("seq", "first_seq"))
        assert other.votes()["item_id"].to_list() == ledger.votes()["item_id"].to_list()


def test_votes_that_arrive_late_do_not_replace_newer_answers_to_a_repeat(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = with_hidden(ledger_url), make_policy(ledger_url)
    ledger.record([vote("item000", "anna", "negative", iteration="0001", voted_at=START + timedelta(days=9))])
    early, late = (START + timedelta(days=8)).isoformat(), (START + timedelta(days=10)).isoformat()
    content = f"item_id,rater,label,iteration,voted_at\nitem000,anna,yes,1,{early}\nitem000,ben,yes,1,{late}\n"
    report = import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    assert (report.accepted, len(report.rejected)) == (1, 1)
    assert dict(ledger.retests().select("rater", "label").iter_rows()) == {"anna": "negative", "ben": "positive"}


def smallest_gap(groups: list[str]) -> int:
    last: dict[str, int] = {}
    smallest = len(groups)
    for at, group in enumerate(groups):
        if group in last:
            smallest = min(smallest, at - last[group] - 1)
        last[group] = at
    return smallest


@given(st.integers(0, 40), st.integers(0, 40), st.text(max_size=3))
@settings(max_examples=150)
def test_every_item_once_and_pair_members_apart(pairs: int, singles: int, rater: str) -> None:
    if pairs + singles == 0:
        return
    queue = paired_queue(pairs, singles)
    ordered = blind_order(queue, "spam", "0000", rater)
    assert sorted(ordered["item_id"]) == sorted(queue["item_id"])
    if pairs:
        half = (2 * pairs + singles) // 2
        assert smallest_gap(ordered["group_id"].to_list()) >= min(MIN_GAP, half - 1)


def test_larger_groups_are_spread_too() -> None:
    queue = pl.concat([queue_frame(items(3, "a"), group_id="a"), queue_frame(items(60, "b"))])
    assert smallest_gap(blind_order(queue, "x")["group_id"].to_list()) >= MIN_GAP


def test_the_order_is_a_raters_own_and_stays() -> None:
    queue = paired_queue(10, 10)
    anna = blind_order(queue, "spam", "0000", "anna")
    assert anna.equals(blind_order(queue, "spam", "0000", "anna"))
    assert anna["item_id"].to_list() != blind_order(queue, "spam", "0000", "ben")["item_id"].to_list()


def test_which_side_of_a_pair_comes_first_is_chance() -> None:
    queue = paired_queue(40, 0)
    firsts = []
    for rater in range(25):
        order = blind_order(queue, str(rater))["item_id"].to_list()
        firsts += [order.index(f"p{number}") < order.index(f"n{number}") for number in range(40)]
    # 1,000 coin flips: five standard deviations are .08.
    assert np.mean(firsts) == pytest.approx(0.5, abs=0.08)


def test_a_reselect_does_not_move_what_was_there() -> None:
    before = paired_queue(5, 5).with_columns(revision=pl.lit(0, dtype=pl.Int64))
    added = queue_frame(items(4, "new")).with_columns(revision=pl.lit(1, dtype=pl.Int64))
    ordered = blind_order(pl.concat([before, added]), "anna")
    assert ordered.head(15).equals(blind_order(before, "anna"))
    assert set(ordered.tail(4)["item_id"]) == set(added["item_id"])


def test_an_empty_queue_stays_empty() -> None:
    assert blind_order(queue_frame(["a"]).clear(), "anna").is_empty()
