"""Queues and votes for the tests of the ledger."""

import gzip
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import create_engine, text

from al_assets.storage.ledger import Adjudication, Ledger, LedgerError, Vote
from al_assets.tables import REVIEW_QUEUE
from al_assets_tests.support import REPOSITORY

RATERS = ("anna", "ben", "cleo")
START = datetime(2026, 5, 1, 12, tzinfo=UTC)
SELECTED_BY = {"labeler": "aaa", "embedder": "bbb"}


def items(count: int, prefix: str = "item") -> list[str]:
    return [f"{prefix}{number:03d}" for number in range(count)]


def queue_frame(item_ids: Sequence[str], **columns: Any) -> pl.DataFrame:
    rows = [
        {
            "item_id": item_id,
            "text": f"text of {item_id}",
            "reason": "audit",
            "pair_id": None,
            "group_id": item_id,
            "stratum": "high",
            "stratum_size": 100,
            "inclusion_probability": 0.25,
            "revision": 7,
            **columns,
        }
        for item_id in item_ids
    ]
    return pl.DataFrame(rows, schema=REVIEW_QUEUE.schema)


def paired_queue(pairs: int, singles: int) -> pl.DataFrame:
    rows = []
    for number in range(pairs):
        for side in "pn":
            rows.append((f"{side}{number}", f"pair {number}"))
    rows += [(f"s{number}", f"s{number}") for number in range(singles)]
    frames = [queue_frame([item_id], group_id=group_id, reason="boundary") for item_id, group_id in rows]
    return pl.concat(frames)


def vote(item_id: str, rater: str = "anna", label: str = "positive", minute: int = 0, **fields: Any) -> Vote:
    values = {"iteration": "0000", "policy_version": "1", "voted_at": START + timedelta(minutes=minute), **fields}
    return Vote(item_id=item_id, rater=rater, label=label, **values)


def decision(item_id: str, label: str = "positive", minute: int = 60, **fields: Any) -> Adjudication:
    values = {
        "iteration": "0000", "adjudicator": "judge", "comment": None, "policy_version": "1",
        "decided_at": START + timedelta(minutes=minute), "key": f"{item_id} {label} {minute}", **fields,
    }  # fmt: skip
    return Adjudication(item_id=item_id, label=label, **values)


def open_ledger(url: str, count: int = 5, policy_name: str = "spam") -> Ledger:
    ledger = Ledger(url, policy_name, RATERS)
    ledger.publish("0000", queue_frame(items(count)), SELECTED_BY)
    return ledger


def labels(ledger: Ledger, **arguments: Any) -> dict[tuple[str, str], str]:
    votes = ledger.votes(**arguments)
    return {(row["item_id"], row["rater"]): row["label"] for row in votes.iter_rows(named=True)}


def unnumbered_sqlite(file: Path) -> None:
    """Make a ledger as the program did before versions had numbers; its policies are spam and scam."""
    sql = REPOSITORY / "al_assets_tests" / "storage" / "ledger" / "unnumbered" / "sqlite.sql.gz"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(gzip.decompress(sql.read_bytes()).decode())


def run_sql(url: str, statement: str) -> None:
    """Run a statement behind the ledger's back."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def fill_up(ledger: Ledger) -> int:
    """Record batches until the disk is full; return the number of batches that were reported."""
    for batch in itertools.count():
        comment = f"{batch} " + os.urandom(2_000).hex()
        votes = [vote(name, rater, comment=comment) for name in items(5) for rater in RATERS]
        try:
            ledger.record(votes)
        except LedgerError as error:
            if "free some space" not in str(error):
                raise
            return batch
    raise AssertionError


def start_writer(url: str, rater: str, count: int, label: str = "positive", batch: int = 1) -> subprocess.Popen[str]:
    """Start a process that votes on the first items, one after the other, and names those that are on record."""
    arguments = [url, rater, str(count), label, str(batch)]
    command = [sys.executable, "-m", "al_assets_tests.support.programs.ledger_writer", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)


def reported(process: subprocess.Popen[str]) -> list[str]:
    """Return the items that a writer named before it ended or was killed."""
    assert process.stdout is not None
    assert process.stderr is not None
    # Not communicate(): it would lose what readline() has read ahead.
    with process.stdout, process.stderr:
        output, errors = process.stdout.read(), process.stderr.read()
    process.wait(120)
    assert process.returncode in (0, -signal.SIGKILL), errors
    # A line cut short by the kill may lack its end.
    return [name for line in output.splitlines(keepends=True) if line.endswith("\n") for name in line.split()]
