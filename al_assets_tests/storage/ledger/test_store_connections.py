"""Connections that stay open: as safe as those that are opened for each transaction."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from al_assets.storage.ledger import Ledger, LedgerError
from al_assets.storage.ledger.sql_tables import statements
from al_assets.storage.ledger.store import Store
from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, fill_up, items, labels, queue_frame, vote

OPEN = (
    "import gc, os, signal, sys, weakref\n"
    "from al_assets.storage.ledger import Ledger\n"
    "from al_assets_tests.support.ledger import RATERS, vote\n"
    "ledger = Ledger(sys.argv[1], 'spam', RATERS, keep_connections=True)\n"
)


def kept(url: str, count: int = 40) -> Ledger:
    ledger = Ledger(url, "spam", RATERS, keep_connections=True)
    ledger.publish("0000", queue_frame(items(count)), SELECTED_BY)
    return ledger


def run(script: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", OPEN + script, url]
    return subprocess.run(command, cwd=REPOSITORY, timeout=120, capture_output=True, text=True, check=False)


def open_files(name: str) -> int:
    links = (os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
    return sum(each.endswith(name) for each in links)


def test_one_connection_serves_one_transaction_after_the_other(tmp_path: Path) -> None:
    ledger = kept(f"sqlite:///{tmp_path}/ledger.sqlite")
    for name in items(10):
        ledger.record([vote(name)])
        assert ledger.watermark() > 0
    assert open_files("ledger.sqlite") == 1
    ledger.close()
    assert open_files("ledger.sqlite") == 0
    assert not (tmp_path / "ledger.sqlite-wal").exists()
    # A closed ledger opens again for whoever asks.
    assert ledger.votes().height == 10


def test_a_ledger_that_nobody_closed_gives_its_connections_back(tmp_path: Path) -> None:
    kept(f"sqlite:///{tmp_path}/ledger.sqlite").record([vote("item000")])
    assert open_files("ledger.sqlite") == 0


def test_many_threads_at_once(ledger_url: str) -> None:
    ledger = kept(ledger_url)
    results: list[int] = []

    def work(rater: str) -> None:
        for name in items(25):
            results.append(ledger.record([vote(name, rater)]).new)
            assert name in {row.item_id for row in ledger.votes_since(0) if row.rater == rater}

    threads = [threading.Thread(target=work, args=(rater,)) for rater in RATERS for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == ledger.votes().height == 75
    assert [row.seq for row in ledger.votes_since(0)] == list(range(1, 76))
    ledger.close()


def test_a_read_does_not_wait_for_a_writer_and_sees_one_moment(tmp_path: Path) -> None:
    ledger = kept(f"sqlite:///{tmp_path}/ledger.sqlite")
    with ledger._store.write():
        assert ledger.watermark() == 0
    with ledger._store.read() as connection:
        assert connection.exec_driver_sql("select count(*) from votes").scalar() == 0
        ledger.record([vote("item000")])
        assert connection.exec_driver_sql("select count(*) from votes").scalar() == 0
    assert ledger.watermark() == 1
    with ledger._store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize("end", ["pass", "weakref.finalize._exitfunc()", "ledger.close()", "del ledger; gc.collect()"])
@pytest.mark.parametrize("use", ["ledger.record([vote('item001', 'anna')])", "pass"])
def test_a_forked_process_neither_uses_nor_closes_its_parents_connection(tmp_path: Path, use: str, end: str) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    kept(url).close()
    script = (
        "ledger.record([vote('item000', 'anna')])\n"
        "holder = ledger._store.read(); connection = holder.__enter__()\n"
        "assert connection.exec_driver_sql('select count(*) from votes').scalar() == 1\n"
        f"child = os.fork()\nif child == 0:\n    {use}\n    {end}\n    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert connection.exec_driver_sql('select count(*) from votes').scalar() == 1\n"
        "holder.__exit__(None, None, None)\n"
        "ledger.record([vote(f'item{at:03d}', 'ben') for at in range(40)])\n"
        "print(ledger.votes().height)\n"
    )
    ended = run(script, url)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = 42 if "record" in use else 41
    assert ended.stdout == f"{expected}\n"
    assert Ledger(url, "spam").votes().height == expected


def test_a_killed_process_leaves_all_that_it_reported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    kept(url).close()
    script = (
        "for at in range(40):\n"
        "    ledger.record([vote(f'item{at:03d}')])\n"
        "    print(at, flush=True)\n"
        "    if at == 25: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = run(script, url)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(ended.stdout.split()) == 26
    # Nothing was closed, so all of it is still in the log that SQLite writes ahead.
    assert (tmp_path / "ledger.sqlite-wal").stat().st_size > 0
    ledger = Ledger(url, "spam", RATERS, keep_connections=True)
    assert ledger.votes()["item_id"].to_list() == items(26)
    ledger.close()


def test_the_log_that_is_written_ahead_does_not_grow_for_ever(tmp_path: Path) -> None:
    ledger = kept(f"sqlite:///{tmp_path}/ledger.sqlite", 5)
    wal, stop = tmp_path / "ledger.sqlite-wal", threading.Event()

    def read() -> None:
        # As the desk does: what is new, many times a second.
        seq = 0
        while not stop.wait(0.002):
            seq = max((row.seq for row in ledger.votes_since(seq)), default=seq)

    reader = threading.Thread(target=read)
    reader.start()
    sizes, written = [], 0
    try:
        for batch in range(80):
            comment = f"{batch} " + os.urandom(20_000).hex()[: 10_000 - 4]
            ledger.record([vote(name, rater, comment=comment) for name in items(5) for rater in RATERS])
            written += 15 * len(comment)
            sizes.append(wal.stat().st_size)
    finally:
        stop.set()
        reader.join()
    ledger.close()
    # SQLite writes over it from about 4 MB on, as soon as no reader is in the way for a moment.
    assert written > 11_000_000
    assert max(sizes) < 9_000_000


def test_a_full_file_loses_no_reported_vote_and_the_next_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    kept(url, 5).close()
    pragmas = [*statements("connect.sqlite.sql"), "PRAGMA max_page_count = 80"]
    with monkeypatch.context() as patch:
        patch.setattr("al_assets.storage.ledger.store.statements", lambda name: pragmas)
        ledger = Ledger(url, "spam", RATERS, keep_connections=True)
    batches = fill_up(ledger)
    assert batches > 0
    assert ledger.history().height == 15 * batches
    for _ in range(3):
        with pytest.raises(LedgerError, match="free some space"):
            ledger.record([vote(name, comment=os.urandom(4_000).hex()) for name in items(5)])
    assert ledger.record([vote("item000", label="negative")]).superseding == 1
    ledger.close()


def replaced(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").rename(file)


MISHAPS: list[Callable[[Path], object]] = [
    replaced, lambda file: file.unlink(), lambda file: file.rename(file.with_name("elsewhere.sqlite"))
]  # fmt: skip


@pytest.mark.parametrize("mishap", MISHAPS)
def test_nothing_is_recorded_in_a_file_that_is_no_longer_in_its_place(
    tmp_path: Path, mishap: Callable[[Path], object]
) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = kept(f"sqlite:///{file}")
    ledger.record([vote("item000")])
    mishap(file)
    for _ in range(2):
        with pytest.raises(LedgerError, match="was moved, deleted or replaced .* stop the process"):
            ledger.record([vote("item001")])
        with pytest.raises(LedgerError, match="was moved, deleted or replaced"):
            ledger.votes()
    ledger.close()
    if (elsewhere := tmp_path / "elsewhere.sqlite").exists():
        # What had been written ahead went with the file.
        assert labels(Ledger(f"sqlite:///{elsewhere}", "spam")) == {("item000", "anna"): "positive"}


def test_a_vote_that_went_into_a_file_taken_away_meanwhile_is_not_reported(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    store = Store(f"sqlite:///{file}", keep_connections=True)
    with pytest.raises(LedgerError, match="was moved, deleted or replaced"), store.write():
        file.unlink()
    store.close()
