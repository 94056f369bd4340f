"""Queues and votes for the tests of the ledger."""

import gzip
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from al_assets.storage.ledger import Adjudication, Ledger, Vote
from al_assets.tables import REVIEW_QUEUE

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
    sql = Path(__file__).parents[1] / "storage" / "ledger" / "unnumbered" / "sqlite.sql.gz"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(gzip.decompress(sql.read_bytes()).decode())
