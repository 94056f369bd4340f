"""Nothing is lost: several writers, killed writers, a server that crashes, a full disk, and hands on the tables."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import DBAPIError

from al_assets.storage.ledger import Ledger, LedgerError
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, METADATA, VOTES, statements
from al_assets.storage.ledger.store import Store
from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.ledger import (
    RATERS,
    SELECTED_BY,
    decision,
    fill_up,
    items,
    labels,
    open_ledger,
    queue_frame,
    reported,
    run_sql,
    start_writer,
    vote,
)
from al_assets_tests.support.postgres import Cluster, running_cluster


@pytest.mark.slow
def test_writers_of_several_processes_take_turns(ledger_url: str) -> None:
    count = 60
    writers = [start_writer(ledger_url, rater, count) for rater in RATERS]
    # Two more send what anna sends, and cleo's answers change under her.
    writers += [
        start_writer(ledger_url, "anna", count, batch=7),
        start_writer(ledger_url, "cleo", count, "negative", 5),
    ]
    for writer in writers:
        assert len(reported(writer)) == count
    ledger = Ledger(ledger_url, "spam", RATERS)
    history = ledger.history()
    assert history["seq"].to_list() == list(range(1, history.height + 1))
    assert len(labels(ledger)) == 3 * count
    assert history.filter(rater="anna").height == count
    assert history.filter(pl.col("supersedes").is_null()).height == 3 * count
    assert ledger.queue()["item_id"].to_list() == items(count)
    assert ledger.queue()["text"].n_unique() == 1
    assert ledger.progress("0000", 3).is_complete


@pytest.mark.slow
def test_a_read_up_to_a_watermark_is_stable_while_others_write(ledger_url: str) -> None:
    count = 60
    writers = [start_writer(ledger_url, rater, count) for rater in RATERS]
    ledger = Ledger(ledger_url, "spam", RATERS)
    seen: dict[int, int] = {}
    while any(writer.poll() is None for writer in writers):
        watermark = ledger.watermark()
        seen[watermark] = ledger.votes(watermark=watermark).height
        time.sleep(0.02)
    for writer in writers:
        assert len(reported(writer)) == count
    assert len(seen) > 2
    for watermark, height in seen.items():
        assert ledger.votes(watermark=watermark).height == height == watermark


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 25])
def test_every_vote_that_a_killed_writer_reported_is_there(ledger_url: str, batch: int) -> None:
    for attempt in range(3):
        writer = start_writer(ledger_url, RATERS[attempt], 2_000, batch=batch)
        assert writer.stdout is not None
        first = writer.stdout.readline().split()
        time.sleep(0.1 + 0.13 * attempt)
        writer.send_signal(signal.SIGKILL)
        names = first + reported(writer)
        ledger = Ledger(ledger_url, "spam", RATERS)
        kept = ledger.history().filter(rater=RATERS[attempt])["item_id"].to_list()
        assert 0 < len(names) < 2_000
        assert set(names) <= set(kept)
        # At most the batch whose report was cut off is there besides, and it is there whole.
        assert len(kept) - len(names) in (0, batch)
    assert ledger.record([vote("item1999", "anna")]).new == 1


@pytest.mark.slow
@pytest.mark.postgres
def test_every_reported_vote_survives_a_crash_of_the_server() -> None:
    with running_cluster(durable=True) as cluster:
        url = cluster.new_database()
        # A server set up for speed loses its last moments; the ledger asks for more.
        cluster.execute("ALTER SYSTEM SET synchronous_commit = off")
        cluster.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        cluster.execute("SELECT pg_reload_conf()")
        ledger = open_ledger(url, 200)
        for name in items(40):
            ledger.record([vote(name)])
        cluster.crash()
        with pytest.raises(LedgerError, match="could not be written: .* - check that the server runs") as caught:
            ledger.record([vote("item100")])
        assert cluster.password not in str(caught.value)
        cluster.start()
        assert ledger.votes()["item_id"].to_list() == items(40)
        assert ledger.record([vote("item100")]).watermark == 41
        ledger.close()


@pytest.mark.slow
def test_many_processes_open_a_new_ledger_at_once(ledger_url: str) -> None:
    writers = [start_writer(ledger_url, rater, 1) for rater in RATERS * 2]
    for writer in writers:
        assert reported(writer) == ["item000"]
    assert Ledger(ledger_url, "spam").history().height == 3


def test_threads_share_a_ledger(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 40)
    results: list[int] = []

    def work(rater: str) -> None:
        results.extend(ledger.record([vote(name, rater)]).new for name in items(40))

    threads = [threading.Thread(target=work, args=(rater,)) for rater in RATERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == ledger.votes().height == 120


def test_a_forked_process_does_not_use_its_parents_connection(ledger_url: str) -> None:
    script = (
        "import os, sys\n"
        "from al_assets_tests.support.ledger import open_ledger, vote\n"
        "ledger = open_ledger(sys.argv[1], 40)\n"
        "child = os.fork()\n"
        "rater = 'ben' if child else 'anna'\n"
        "for at in range(40): ledger.record([vote(f'item{at:03d}', rater)])\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
        "else: os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, ledger_url], check=True, cwd=REPOSITORY, timeout=180)
    assert Ledger(ledger_url, "spam").votes().height == 80


CHANGES = [
    "UPDATE votes SET label = 'negative'",
    "DELETE FROM votes WHERE seq = 1",
    "UPDATE queue SET text = 'x'",
    "DELETE FROM queue",
    "DELETE FROM imports",
    "UPDATE votes SET undecided_reason = 'other'",
    "UPDATE adjudications SET label = 'negative'",
    "DELETE FROM adjudications",
    "UPDATE rater_changes SET change = 'left'",
    "DELETE FROM rater_changes",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_itself_refuses_changes(ledger_url: str, change: str) -> None:
    ledger = open_ledger(ledger_url)
    ledger.record([vote("item001"), vote("item002", label="undecided", undecided_reason="missing context")])
    ledger.adjudicate(decision("item001"))
    ledger.change_rater("dora", "joined", "admin")
    if "imports" in change:
        insert = (
            "INSERT INTO imports (id, policy, content_hash, name, accepted, repeated, superseding, rejected_rows, "
            "imported_at) VALUES (1, 'spam', 'x', 'x', 0, 0, 0, '[]', '2026-01-01 00:00:00')"
        )
        run_sql(ledger_url, insert)
    with pytest.raises(DBAPIError, match="append-only"):
        run_sql(ledger_url, change)
    assert labels(ledger) == {("item001", "anna"): "positive", ("item002", "anna"): "undecided"}
    assert ledger.votes()["undecided_reason"].to_list() == [None, "missing context"]
    assert ledger.adjudications()["label"].to_list() == ["positive"]
    assert ledger.raters == (*RATERS, "dora")


def test_replacing_and_emptying_is_refused_too(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    ledger.record([vote("item001", label="undecided", undecided_reason="other")])
    ledger.adjudicate(decision("item001"))
    ledger.change_rater("dora", "joined", "admin")
    later = ("adjudications", "rater_changes")
    if ledger_url.startswith("sqlite"):
        for table in ("votes", "queue", *later):
            with pytest.raises(DBAPIError, match="append-only"):
                run_sql(ledger_url, f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    else:
        for table in ("votes", "queue", "imports", *later):
            with pytest.raises(DBAPIError, match="append-only"):
                run_sql(ledger_url, f"TRUNCATE {table}")
    assert ledger.votes().height == 1


def test_the_database_itself_gives_each_place_in_the_order_once(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    ledger.record([vote("item001")])
    ledger.adjudicate(decision("item001"))
    engine = create_engine(ledger_url)
    # As a writer without the lock would, or one that does not know of the other table.
    for table, key, taken in ((VOTES, "vote_key", 2), (ADJUDICATIONS, "adjudication_key", 1)):
        with engine.connect() as connection:
            row = dict(connection.execute(select(table)).mappings().one())
        with pytest.raises(DBAPIError, match="this seq is already taken by"), engine.begin() as connection:
            connection.execute(insert(table), [{**row, "seq": taken, key: "another"}])
    engine.dispose()
    assert ledger.record([vote("item002")]).watermark == 3


@pytest.mark.postgres
def test_rows_of_a_dump_come_in_though_it_sets_no_search_path(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    ledger.record([vote("item001")])
    ledger.adjudicate(decision("item001"))
    copied = """
        INSERT INTO public.votes SELECT (jsonb_populate_record(old, '{"seq": SEQ, "vote_key": "restored"}')).*
        FROM public.votes AS old
    """
    of_dump = postgres_url + "?options=-csearch_path%3D"
    with pytest.raises(DBAPIError, match="votes: this seq is already taken by a row of adjudications"):
        run_sql(of_dump, copied.replace("SEQ", "2"))
    run_sql(of_dump, copied.replace("SEQ", "3"))
    assert ledger.history()["seq"].to_list() == [1, 3]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    # Not in pytest's own folder, which another pytest may close to PostgreSQL's user at any time.
    folder = Path(tempfile.mkdtemp(prefix="al-small-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("a small disk cannot be mounted here: it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def test_a_full_disk_loses_no_reported_vote(small_disk: Path) -> None:
    ledger = open_ledger(f"sqlite:///{small_disk}/ledger.sqlite")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    batches = fill_up(ledger)
    assert batches > 2
    assert ledger.history().height == 15 * batches
    ballast.unlink()
    assert ledger.record([vote("item000", comment="there is room again")]).superseding == 1
    assert ledger.history().height == 15 * batches + 1


def test_a_full_sqlite_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    ledger.close()
    pragmas = [*statements("connect.sqlite.sql"), "PRAGMA max_page_count = 80"]
    monkeypatch.setattr("al_assets.storage.ledger.store.statements", lambda name: pragmas)
    small = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", "spam", RATERS)
    batches = fill_up(small)
    assert small.history().height == 15 * batches


@pytest.mark.postgres
def test_a_full_postgres_disk_loses_no_reported_vote(small_disk: Path, postgres_cluster: Cluster) -> None:
    shutil.chown(small_disk, "postgres", "postgres")
    postgres_cluster.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    try:
        url = postgres_cluster.new_database() + "?options=-c%20default_tablespace%3Dsmall"
        ledger = open_ledger(url)
        batches = fill_up(ledger)
        assert batches > 2
        assert ledger.history().height == 15 * batches
        ledger.close()
        run_sql(url, f"DROP TABLE {', '.join(METADATA.tables)}")
    finally:
        postgres_cluster.execute("DROP TABLESPACE small")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "'nonsense' is not a database URL; expected sqlite:///FILE"),
        ("mysql://u:secret@h/d", r"'mysql://u:\*\*\*@h/d' is of another kind"),
        ("sqlite://", "is not a file, so votes would be lost"),
        ("sqlite:///:memory:", "is not a file, so votes would be lost"),
        (
            "postgresql://u:secret@127.0.0.1:1/d",
            r"u:\*\*\*@127.0.0.1:1/d could not be read: .* - check that the server",
        ),
    ],
)
def test_a_ledger_that_cannot_be_opened_says_why(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        Ledger(url, "spam")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("item_id,label\n" * 200)
    with pytest.raises(LedgerError, match="not a database - the file is damaged or no ledger; put back a copy"):
        Ledger(f"sqlite:///{file}", "spam")
    assert file.read_text() == "item_id,label\n" * 200


def test_tables_of_another_program_are_left_alone(ledger_url: str) -> None:
    run_sql(ledger_url, "CREATE TABLE votes (id INTEGER, candidate TEXT)")
    with pytest.raises(LedgerError, match="a table 'votes' without the columns seq, .* belongs to another program"):
        Ledger(ledger_url, "spam")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="file/deeper cannot be made"):
        Ledger(f"sqlite:///{tmp_path}/file/deeper/ledger.sqlite", "spam")


def test_a_writer_that_keeps_the_lock_is_reported(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.storage.ledger.store.LOCK_TIMEOUT_MS", "300")
    pragmas = ["PRAGMA busy_timeout = 300", *statements("connect.sqlite.sql")[1:]]
    ledger = open_ledger(ledger_url)
    holder = Store(ledger_url)
    if ledger_url.startswith("sqlite"):
        monkeypatch.setattr("al_assets.storage.ledger.store.statements", lambda name: pragmas)
        ledger = Ledger(ledger_url, "spam", RATERS)
    with holder.write(), pytest.raises(LedgerError, match="another process has been writing for 30 seconds"):
        ledger.record([vote("item001")])
    assert ledger.record([vote("item001")]).new == 1


def test_a_read_does_not_wait_for_a_writer(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    ledger.record([vote("item001")])
    with Store(ledger_url).write():
        assert ledger.votes().height == 1


def test_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/ledger.sqlite")
    with store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_copy_of_the_file_is_a_ledger(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    ledger.record([vote("item001")])
    source, copy = sqlite3.connect(tmp_path / "ledger.sqlite"), sqlite3.connect(tmp_path / "copy.sqlite")
    source.backup(copy)
    source.close()
    copy.close()
    assert labels(Ledger(f"sqlite:///{tmp_path}/copy.sqlite", "spam")) == {("item001", "anna"): "positive"}


def break_off(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO votes SELECT 1, 'k', policy, item_id, iteration, 'anna', 'positive', '1', '', selected_by, "
            "1.0, true, '', 'x', published_at, published_at, 1, NULL FROM queue WHERE item_id = 'item001'"
        )
        raise RuntimeError("in the middle")


def test_a_failed_batch_leaves_nothing_behind(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    with pytest.raises(RuntimeError, match="in the middle"):
        break_off(Store(ledger_url))
    assert ledger.history().is_empty()
    assert ledger.publish("0000", queue_frame(["a"]), SELECTED_BY).height == 5
