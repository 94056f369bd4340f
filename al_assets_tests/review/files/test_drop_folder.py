import json
import os
import threading
import time
from pathlib import Path

import pytest
from upath import UPath

from al_assets.config import Policy
from al_assets.review.files import drop_folder
from al_assets.review.files.drop_folder import collect
from al_assets.review.files.exchange import import_votes
from al_assets.review.intake import ImportReport
from al_assets.storage.ledger import Ledger, LedgerError
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, labels, open_ledger, queue_frame
from al_assets_tests.support.policies import make_policy, write

GOOD = "item_id,rater,label\nitem000,anna,yes\nitem001,anna,no\n"


@pytest.fixture
def inbox(tmp_path: Path) -> UPath:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return UPath(folder)


def names(folder: UPath) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_files_are_imported_and_moved(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    write(inbox, "b.csv", GOOD)
    write(inbox, "a.jsonl", '{"item_id": "item002", "rater": "ben", "label": "yes"}\n{"item_id": \n')
    reports = collect(inbox, ledger, policy, min_age_seconds=0)
    assert [(each.name, each.accepted, len(each.rejected)) for each in reports] == [("a.jsonl", 1, 1), ("b.csv", 2, 0)]
    assert names(inbox) == ["imported/a.jsonl", "imported/a.jsonl.rejected.jsonl", "imported/b.csv"]
    listed = json.loads((inbox / "imported/a.jsonl.rejected.jsonl").read_text())
    assert listed["row"] == 2
    assert listed["reason"].startswith("line 2: is not JSON")
    assert listed["values"] == {"line": '{"item_id": '}
    assert collect(inbox, ledger, policy, min_age_seconds=0) == []
    assert ledger.votes().height == 3


def test_unreadable_files_move_aside_with_the_reason(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    write(inbox, "a.csv", "item_id,label\n")
    write(inbox, "b.csv", GOOD)
    write(inbox, "c.xlsx", b"PK")
    reports = collect(inbox, ledger, policy, min_age_seconds=0)
    assert [each.unreadable is None for each in reports] == [False, True, False]
    assert names(inbox) == [
        "imported/b.csv", "rejected/a.csv", "rejected/a.csv.reason.txt", "rejected/c.xlsx",
        "rejected/c.xlsx.reason.txt",
    ]  # fmt: skip
    assert "column rater is missing" in (inbox / "rejected/a.csv.reason.txt").read_text()


def test_what_is_no_finished_file_of_votes_is_left_alone(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    left = [".hidden.csv", "v.csv.part", "v.csv.tmp", "~$v.csv", "notes.txt"]
    for name in left:
        write(inbox, name, GOOD)
    (inbox / "folder.csv").mkdir()
    assert collect(inbox, ledger, policy, min_age_seconds=0) == []
    assert names(inbox) == sorted(left)
    assert collect(inbox / "missing", ledger, policy) == []


def test_a_file_that_may_still_be_growing_waits(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    file = write(inbox, "v.csv", GOOD)
    assert collect(inbox, ledger, policy, min_age_seconds=60) == []
    os.utime(file, (time.time() - 61,) * 2)
    assert len(collect(inbox, ledger, policy, min_age_seconds=60)) == 1
    ahead = write(inbox, "clock.csv", GOOD)
    os.utime(ahead, (time.time() + 3_600,) * 2)
    assert len(collect(inbox, ledger, policy)) == 1


def test_a_file_that_grew_meanwhile_stays_for_the_next_call(
    ledger: Ledger, policy: Policy, inbox: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(inbox, "v.csv", GOOD)
    original = import_votes

    def import_while_growing(*arguments: object) -> ImportReport:
        report = original(*arguments)  # type: ignore[arg-type]
        with file.open("a") as stream:
            stream.write("item002,anna,no\n")
        return report

    with monkeypatch.context() as patch:
        patch.setattr(drop_folder, "import_votes", import_while_growing)
        assert collect(inbox, ledger, policy, min_age_seconds=0)[0].accepted == 2
    assert names(inbox) == ["v.csv"]
    report = collect(inbox, ledger, policy, min_age_seconds=0)[0]
    assert (report.accepted, report.repeated) == (1, 2)
    assert names(inbox) == ["imported/v.csv"]


def test_a_crash_between_import_and_move_is_harmless(
    ledger: Ledger, policy: Policy, inbox: UPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(inbox, "v.csv", GOOD)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(drop_folder, "_file_away", crash)
        with pytest.raises(KeyboardInterrupt):
            collect(inbox, ledger, policy, min_age_seconds=0)
    assert ledger.votes().height == 2
    assert names(inbox) == ["v.csv"]
    report = collect(inbox, ledger, policy, min_age_seconds=0)[0]
    assert (report.accepted, report.repeated) == (0, 2)
    assert ledger.history().height == 2
    assert names(inbox) == ["imported/v.csv"]


def test_a_ledger_that_cannot_be_written_leaves_the_file(inbox: UPath, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger, policy = open_ledger(url), make_policy(url)
    write(inbox, "v.csv", GOOD)
    ledger.close()
    for file in tmp_path.glob("ledger.sqlite*"):
        file.unlink()
    (tmp_path / "ledger.sqlite").write_text("overwritten by mistake " * 50)
    with pytest.raises(LedgerError, match="the file is damaged"):
        collect(inbox, ledger, policy, min_age_seconds=0)
    assert names(inbox) == ["v.csv"]


def test_a_name_used_before_does_not_replace_the_older_file(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    write(inbox, "v.csv", GOOD)
    collect(inbox, ledger, policy, min_age_seconds=0)
    write(inbox, "v.csv", GOOD.replace("anna", "ben"))
    collect(inbox, ledger, policy, min_age_seconds=0)
    write(inbox, "v.csv", GOOD)
    report = collect(inbox, ledger, policy, min_age_seconds=0)[0]
    assert (report.accepted, report.repeated) == (0, 2)
    assert names(inbox) == ["imported/v-2.csv", "imported/v.csv"]
    assert (inbox / "imported/v.csv").read_text() == GOOD
    assert ledger.votes().height == 4


def test_a_list_of_rejected_rows_goes_once_they_are_votes(ledger_url: str, inbox: UPath) -> None:
    policy = make_policy(ledger_url)
    nearly = open_ledger(ledger_url, 1)
    write(inbox, "v.csv", GOOD)
    assert len(collect(inbox, nearly, policy, min_age_seconds=0)[0].rejected) == 1
    assert "imported/v.csv.rejected.jsonl" in names(inbox)
    nearly.publish("0001", queue_frame(["item001"]), SELECTED_BY)
    write(inbox, "v.csv", GOOD)
    assert collect(inbox, nearly, policy, min_age_seconds=0)[0].rejected == ()
    assert names(inbox) == ["imported/v.csv"]


def test_a_file_name_that_is_no_text(ledger: Ledger, policy: Policy, inbox: UPath) -> None:
    path = os.fsencode(str(inbox)) + b"/b\xe4.csv"
    with open(path, "wb") as stream:
        stream.write(GOOD.encode() + b"item009,anna,no\n")
    report = collect(inbox, ledger, policy, min_age_seconds=0)[0]
    assert (report.accepted, len(report.rejected)) == (2, 1)
    assert set(ledger.votes()["source"]) == {"file:b\\udce4.csv"}
    assert len(list((inbox / "imported").iterdir())) == 2


def test_two_collectors_at_once(ledger_url: str, inbox: UPath) -> None:
    ledger, policy = open_ledger(ledger_url, 20), make_policy(ledger_url)
    for rater in RATERS:
        for number, name in enumerate(items(20)):
            write(inbox, f"{rater}{number}.csv", f"item_id,rater,label\n{name},{rater},yes\n")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            collect(inbox, ledger, policy, min_age_seconds=0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(names(inbox)) == 60
    assert all(name.startswith("imported/") for name in names(inbox))
    assert len(labels(ledger)) == ledger.history().height == 60


def test_a_remote_inbox(ledger: Ledger, policy: Policy) -> None:
    remote = UPath("memory:///inbox_of_the_test")
    remote.mkdir(parents=True, exist_ok=True)
    (remote / "v.csv").write_text(GOOD + "x,anna,no\n")
    report = collect(remote, ledger, policy)[0]
    assert (report.accepted, len(report.rejected)) == (2, 1)
    assert sorted(file.name for file in (remote / "imported").iterdir()) == ["v.csv", "v.csv.rejected.jsonl"]
    assert not (remote / "v.csv").exists()
    remote.fs.rm(remote.path, recursive=True)
