import csv
import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from al_assets.config import LabelNames, Policy
from al_assets.review.files.exchange import SHEET_COLUMNS, export_queue, export_votes, import_votes
from al_assets.review.files.vote_files import label_names
from al_assets.storage.ledger import WITHDRAWN, Ledger
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


def test_good_rows_are_recorded_and_bad_ones_listed_with_the_way_out(
    ledger: Ledger, policy: Policy, tmp_path: Path
) -> None:
    future = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    content = (
        "item_id,rater,label,iteration,comment,voted_at\n"
        "item000,anna,YES,0,fine,2026-05-01T12:00:00+02:00\n"
        "item001,anna,maybe,,,\n"
        "item002,mallory,no,,,\n"
        "other,anna,no,,,\n"
        "item003,anna,,,,\n"
        "item003,ben,cannot decide,,,\n"
        "item004,ben,negative,9,,\n"
        "item004,ben,no,,,yesterday\n"
        f"item004,ben,no,,,{future}\n"
        "item004,ben,no,x,,\n"
        ",ben,no,,,\n"
        "item004,ben,no,,,0001-01-01T00:00:00+14:00\n"
    )
    report = import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    assert (report.accepted, report.repeated, report.superseding, report.blank) == (2, 0, 0, 1)
    reasons = {each.row: each.reason for each in report.rejected}
    assert list(reasons) == [3, 4, 5, 8, 9, 10, 11, 12, 13]
    expected = {
        3: "label: 'maybe' is unknown; expected 'yes', 'no', 'cannot decide' (or positive, negative, undecided)",
        4: "rater: 'mallory' may not vote; known are anna, ben, cleo",
        5: "item_id: 'other' is in no queue; check the id",
        8: "item_id: 'item004' is not in the queue of iteration 0009; it is in that of 0000",
        9: "voted_at: 'yesterday' is not an ISO 8601 time, such as",
        10: "lies in the future; without an offset a time is taken as UTC",
        11: "iteration: 'x' is not an iteration key",
        12: "item_id: '' is in no queue",
        13: "voted_at: 0001-01-01T00:00:00+14:00 is not of the years 1970 to 9998; correct it",
    }
    for row, reason in expected.items():
        assert reason in reasons[row]
    assert report.rejected[0].values["item_id"] == "item001"
    assert labels(ledger) == {("item000", "anna"): "positive", ("item003", "ben"): "undecided"}
    first = ledger.votes().row(0, named=True)
    assert (first["comment"], first["source"], first["policy_version"]) == ("fine", "file:v.csv", "1")
    assert first["voted_at"] == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert first["policy_fingerprint"] == policy.policy.fingerprint()


def test_the_same_file_again_changes_nothing_even_after_a_correction(
    ledger: Ledger, policy: Policy, tmp_path: Path
) -> None:
    file = write(tmp_path, "v.csv", "item_id,rater,label\nitem000,anna,yes\nitem001,anna,no\n")
    assert import_votes(file, ledger, policy).accepted == 2
    ledger.record([vote("item000", label="negative", voted_at=datetime.now(UTC))])
    again = import_votes(file, ledger, policy)
    assert (again.accepted, again.repeated, again.superseding, again.rejected) == (0, 2, 0, ())
    assert labels(ledger)["item000", "anna"] == "negative"
    renamed = file.rename(tmp_path / "other.csv")
    assert import_votes(renamed, ledger, policy).repeated == 2


def test_rows_rejected_once_get_another_try(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    file = write(tmp_path, "v.csv", "item_id,rater,label\nitem000,anna,yes\nlate,anna,no\n")
    first = import_votes(file, ledger, policy)
    assert (first.accepted, len(first.rejected)) == (1, 1)
    ledger.record([vote("item000", label="negative", voted_at=datetime.now(UTC))])
    ledger.publish("0001", queue_frame(["late"]), SELECTED_BY)
    second = import_votes(file, ledger, policy)
    assert (second.accepted, second.repeated, second.rejected) == (1, 1, ())
    assert labels(ledger) == {("item000", "anna"): "negative", ("late", "anna"): "negative"}
    third = import_votes(file, ledger, policy)
    assert (third.accepted, third.repeated, third.superseding) == (0, 2, 0)


def test_a_file_that_arrives_late_does_not_replace_a_newer_vote(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    ledger.record([vote("item000", minute=60)])
    content = (
        "item_id,rater,label,voted_at\n"
        "item000,anna,no,2026-05-01T12:30:00\n"
        "item001,anna,no,2026-05-01T12:30:00\n"
        "item001,anna,yes,2026-05-01T12:10:00\n"
    )
    report = import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    assert (report.accepted, report.superseding) == (1, 1)
    assert [each.row for each in report.rejected] == [2]
    assert "is before the vote of 'anna' on record" in report.rejected[0].reason
    assert labels(ledger) == {("item000", "anna"): "positive", ("item001", "anna"): "negative"}
    again = import_votes(tmp_path / "v.csv", ledger, policy)
    assert (again.accepted, again.repeated, again.superseding, len(again.rejected)) == (0, 2, 0, 1)


def test_an_item_asked_twice_needs_its_iteration(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    ledger.publish("0001", queue_frame(["item000"]), SELECTED_BY)
    content = '{"item_id": "item000", "rater": "anna", "label": "yes"}\n' * 2
    content += '{"item_id": "item000", "rater": "anna", "label": "yes", "iteration": 1}\n'
    report = import_votes(write(tmp_path, "v.jsonl", content), ledger, policy)
    assert report.accepted == 1
    assert "item 'item000' is in the queues of 0000, 0001; say which" in report.rejected[0].reason
    assert ledger.votes()["iteration"].to_list() == ["0001"]


def test_an_old_policy_version_is_kept_and_its_text_unknown(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = open_ledger(ledger_url), make_policy(ledger_url, version="3")
    content = "item_id,rater,label,policy_version\nitem000,anna,yes,2\nitem001,anna,yes,3\n"
    import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    votes = ledger.votes()
    assert votes["policy_version"].to_list() == ["2", "3"]
    assert votes["policy_fingerprint"].to_list() == [None, policy.policy.fingerprint()]


def test_text_no_database_stores_is_a_rejected_row(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    rows = [
        {"item_id": "a\0", "rater": "anna", "label": "yes"},
        {"item_id": "\ud800", "rater": "anna", "label": "yes"},
        {"item_id": "item000", "rater": "anna", "label": "yes", "comment": "\0"},
        {"item_id": "item001", "rater": "anna", "label": "yes"},
    ]
    report = import_votes(write(tmp_path, "v.jsonl", "\n".join(map(json.dumps, rows))), ledger, policy)
    assert report.accepted == 1
    assert [each.row for each in report.rejected] == [1, 2, 3]


def test_a_sheet_is_blind_and_comes_back_filled_in(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = Ledger(ledger_url, "spam", RATERS), make_policy(ledger_url)
    queue = paired_queue(15, 10)
    texts = ['=HYPERLINK("http://evil")', "two\nlines", 'näja; "so", 🤷', "-1"]
    queue = queue.with_columns(text=pl.Series([*itertools.islice(itertools.cycle(texts), queue.height)]))
    ledger.publish("0000", queue, SELECTED_BY)
    sheet = tmp_path / "anna.csv"
    assert export_queue(ledger, policy, "0000", sheet, "anna") == 40
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == SHEET_COLUMNS
    assert {row["label"] for row in rows} == {""}
    assert not any(row["text"].startswith(("=", "-")) for row in rows)
    assert [row["item_id"] for row in rows] != queue["item_id"].to_list()
    order = {row["item_id"]: at for at, row in enumerate(rows)}
    assert min(abs(order[f"p{pair}"] - order[f"n{pair}"]) for pair in range(15)) > 8
    for row in rows[:30]:
        # What a spreadsheet does to the key on the way.
        row.update(label="no", iteration="0")
    with sheet.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, SHEET_COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    report = import_votes(sheet, ledger, policy)
    assert (report.accepted, report.blank, report.rejected) == (30, 10, ())
    rest = tmp_path / "rest.jsonl"
    assert export_queue(ledger, policy, "0000", rest, "anna") == 10
    assert {json.loads(line)["item_id"] for line in rest.read_text().splitlines()} == {
        row["item_id"] for row in rows[30:]
    }


def test_ids_that_look_like_formulas_survive_the_sheet(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = Ledger(ledger_url, "spam", RATERS), make_policy(ledger_url)
    ledger.publish("0000", queue_frame(["-5", "'-5", "@x", "'x"]), SELECTED_BY)
    sheet = tmp_path / "sheet.csv"
    export_queue(ledger, policy, "0000", sheet, "ben")
    sheet.write_text(sheet.read_text().replace(",,", ",yes,").replace(",\n", ",\n"))
    frame = pl.read_csv(sheet, infer_schema=False)
    frame.with_columns(label=pl.lit("yes"), comment=pl.lit("")).write_csv(sheet)
    assert import_votes(sheet, ledger, policy).accepted == 4


def test_a_sheet_for_nobody_in_particular_as_parquet(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    assert export_queue(ledger, policy, "0000", tmp_path / "sheet.parquet") == 5
    sheet = pl.read_parquet(tmp_path / "sheet.parquet")
    filled = sheet.with_columns(rater=pl.lit("cleo"), label=pl.lit("undecided"))
    filled.write_parquet(tmp_path / "filled.parquet")
    assert import_votes(tmp_path / "filled.parquet", ledger, policy).accepted == 5


def test_a_sheet_is_refused_where_it_would_do_harm(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    filled = write(tmp_path, "sheet.csv", "answers")
    with pytest.raises(ValueError, match="sheet.csv exists and may hold answers"):
        export_queue(ledger, policy, "0000", filled)
    assert filled.read_text() == "answers"
    with pytest.raises(ValueError, match="rater: 'mallory' may not vote; those who may are anna, ben, cleo"):
        export_queue(ledger, policy, "0000", tmp_path / "a.csv", "mallory")
    with pytest.raises(ValueError, match="iteration: '0004' has no published queue; published are 0000"):
        export_queue(ledger, policy, "0004", tmp_path / "a.csv")
    with pytest.raises(ValueError, match="path: 'a.xlsx' is of an unknown kind; end it in .csv, .jsonl, .parquet"):
        export_queue(ledger, policy, "0000", tmp_path / "a.xlsx")
    assert sorted(tmp_path.glob("a.*")) == []


def test_a_sheet_is_for_those_who_may_vote_now(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    ledger.change_rater("dora", "joined", "admin")
    ledger.change_rater("ben", "left", "admin")
    assert export_queue(ledger, policy, "0000", tmp_path / "dora.csv", "dora") == 5
    with pytest.raises(ValueError, match="rater: 'ben' may not vote; those who may are anna, cleo, dora"):
        export_queue(ledger, policy, "0000", tmp_path / "ben.csv", "ben")
    report = import_votes(write(tmp_path, "v.csv", "item_id,rater,label\nitem000,ben,yes\n"), ledger, policy)
    assert "'ben' may not vote; known are anna, cleo, dora" in report.rejected[0].reason


def test_a_withdrawn_answer_is_asked_again_and_not_exported(ledger_url: str, tmp_path: Path) -> None:
    ledger, policy = open_ledger(ledger_url, 2), make_policy(ledger_url)
    ledger.record([vote("item000"), vote("item001"), vote("item000", label=WITHDRAWN, minute=1)])
    assert export_queue(ledger, policy, "0000", tmp_path / "anna.csv", "anna") == 1
    assert export_votes(ledger, tmp_path / "votes.csv") == 1
    rows = "item_id,rater,label,voted_at\nitem000,anna,no,2026-05-01T12:00:30Z\nitem001,anna,withdrawn,\n"
    old, unknown = import_votes(write(tmp_path, "old.csv", rows), ledger, policy).rejected
    assert "is before the vote of 'anna' on record" in old.reason
    assert "label: 'withdrawn' is unknown; expected 'yes', 'no', 'cannot decide'" in unknown.reason
    assert list(labels(ledger)) == [("item001", "anna")]


def test_a_sheet_says_why_somebody_could_not_decide(ledger: Ledger, policy: Policy, tmp_path: Path) -> None:
    content = (
        "item_id,rater,label,undecided_reason\n"
        "item000,anna,cannot decide,Missing  context\n"
        "item001,anna,cannot decide,\n"
        "item002,anna,cannot decide,tired\n"
        "item003,anna,yes,other\n"
    )
    report = import_votes(write(tmp_path, "v.csv", content), ledger, policy)
    assert report.accepted == 2
    unknown, misplaced = (each.reason for each in report.rejected)
    assert "undecided_reason: 'tired' is unknown; expected one of ambiguous policy, missing context, other" in unknown
    assert "undecided_reason: 'other' with label 'positive'; only undecided has one: empty it" in misplaced
    assert ledger.answers()["undecided_reason"].to_list() == ["missing context", None]
    for suffix in ("csv", "jsonl", "parquet"):
        file = tmp_path / f"votes.{suffix}"
        export_votes(ledger, file)
        assert import_votes(file, ledger, policy).repeated == 2
    with open_ledger(f"sqlite:///{tmp_path}/other.sqlite") as other:
        assert import_votes(file, other, policy).accepted == 2
        assert other.answers()["undecided_reason"].to_list() == ["missing context", None]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_exported_votes_can_be_imported_elsewhere(ledger: Ledger, policy: Policy, tmp_path: Path, suffix: str) -> None:
    comments = ["=1+1", 'a "quoted", remark\nof two lines', None]
    ledger.record([vote(name, comment=comment) for name, comment in zip(items(3), comments, strict=True)])
    ledger.record([vote("item000", label="negative", minute=3, comment="'=x")])
    file = tmp_path / f"votes.{suffix}"
    assert export_votes(ledger, file) == 3
    assert import_votes(file, ledger, policy).repeated == 3
    with open_ledger(f"sqlite:///{tmp_path}/other.sqlite") as other:
        assert import_votes(file, other, policy).accepted == 3
        kept = ["item_id", "rater", "label", "comment", "voted_at", "policy_version"]
        assert other.votes().select(kept).sort("item_id").equals(ledger.votes().select(kept).sort("item_id"))
        assert other.votes()["voted_at"].min() == START + timedelta(0)


def test_a_label_name_with_two_meanings_is_refused() -> None:
    assert label_names(LabelNames())["cannot decide"] == "undecided"
    with pytest.raises(ValueError, match="policy.labels.negative: 'positive' already means positive"):
        label_names(LabelNames(positive="harmful", negative="Positive"))
