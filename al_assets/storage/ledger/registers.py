"""The registers beside the votes: who may vote, what raters read, which files came, when the loop read the labels."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Select, insert, select

from al_assets import tables
from al_assets.config import PolicyText
from al_assets.storage.ledger.sql_tables import IMPORTS, LABEL_READINGS, POLICY_TEXTS, RATER_CHANGES
from al_assets.storage.ledger.votes import Plan, Receipt, is_storable

Change = Literal["joined", "left"]
CHANGES: tuple[str, ...] = get_args(Change)


def raters_of(connection: Connection, policy: str, named: Sequence[str]) -> tuple[str, ...]:
    """Return who may vote now: those named in their order, then those who joined, in the order of joining.

    :param named: the raters of the policy file; who of them left may come back by joining.
    """
    query = select(RATER_CHANGES.c.rater, RATER_CHANGES.c.change).where(RATER_CHANGES.c.policy == policy)
    present = dict.fromkeys(named, True)
    for rater, change in connection.execute(query.order_by(RATER_CHANGES.c.id)):
        present[rater] = change == "joined"
    return tuple(rater for rater, is_there in present.items() if is_there)


def record_change(
    connection: Connection, policy: str, named: Sequence[str], rater: str, change: Change, by: str
) -> None:
    """Record that a rater joined or left, unless that is so already; the connection holds the write lock.

    :raises ValueError: the change is unknown, or a name is empty or not storable.
    """
    if change not in CHANGES:
        raise ValueError(f"change: {change!r} is unknown; expected one of {', '.join(CHANGES)}")
    for field, name in (("rater", rater), ("by", by)):
        if not name.strip() or not is_storable(name):
            raise ValueError(f"{field}: {name!r} is no name; give one that is not empty and holds text only")
    if (rater in raters_of(connection, policy, named)) == (change == "joined"):
        return
    row = {"policy": policy, "rater": rater, "change": change, "changed_by": by, "changed_at": datetime.now(UTC)}
    connection.execute(insert(RATER_CHANGES), [row])


def note_text(connection: Connection, policy: str, text: PolicyText) -> None:
    """Put the policy as it reads now on record, unless it is; the connection holds the write lock."""
    row = text_row(text)
    known = select(POLICY_TEXTS.c.version).where(
        POLICY_TEXTS.c.policy == policy, POLICY_TEXTS.c.fingerprint == row["fingerprint"]
    )
    if connection.execute(known).first() is None:
        connection.execute(insert(POLICY_TEXTS), [{"policy": policy, **row, "recorded_at": datetime.now(UTC)}])


def text_row(text: PolicyText) -> dict[str, str]:
    """Return what is on record of a state of the policy: the columns of POLICY_TEXTS but the time."""
    return {
        "fingerprint": text.fingerprint(),
        "version": text.version,
        "text_fingerprint": text.text_fingerprint(),
        "text": json.dumps(text.read_by_raters(), sort_keys=True),
    }


def texts_query(policy: str) -> Select[Any]:
    """Select the texts on record, the oldest first."""
    columns = (POLICY_TEXTS.c[name] for name in tables.POLICY_TEXTS.columns)
    query = select(*columns).where(POLICY_TEXTS.c.policy == policy)
    return query.order_by(POLICY_TEXTS.c.recorded_at, POLICY_TEXTS.c.fingerprint)


def policy_text_names(connection: Connection, policy: str) -> dict[str, str]:
    """Return policy fingerprint -> fingerprint of what raters read, of the texts on record."""
    rows = POLICY_TEXTS.c
    query = select(rows.fingerprint, rows.text_fingerprint).where(rows.policy == policy)
    return {fingerprint: text for fingerprint, text in connection.execute(query)}


def note_reading(connection: Connection, policy: str, watermark: int) -> None:
    """Record that the loop read the labels up to a watermark, unless it did; the connection holds the write lock."""
    if watermark > max(label_readings(connection, policy, watermark), default=0):
        row = {"policy": policy, "seq": watermark, "read_at": datetime.now(UTC)}
        connection.execute(insert(LABEL_READINGS), [row])


def label_readings(connection: Connection, policy: str, watermark: int) -> list[int]:
    """Return the watermarks, none above the given one, up to which the loop read the labels, in order."""
    rows = LABEL_READINGS.c
    query = select(rows.seq).where(rows.policy == policy, rows.seq <= watermark).order_by(rows.seq)
    return list(connection.execute(query).scalars())


def note_import(connection: Connection, policy: str, plan: Plan, receipt: Receipt) -> None:
    """Record what became of a file; the connection holds the write lock."""
    left_out = {*receipt.rejected_rows, *(receipt.rows[position] for position in plan.outdated)}
    row = {
        "policy": policy,
        "content_hash": receipt.content_hash,
        "name": receipt.name,
        "accepted": plan.new,
        "repeated": plan.repeated,
        "superseding": plan.superseding,
        "rejected_rows": json.dumps(sorted(left_out)),
        "imported_at": datetime.now(UTC),
    }
    connection.execute(insert(IMPORTS), [row])


def open_rows(connection: Connection, policy: str, content_hash: str) -> frozenset[int] | None:
    """Return the rows of a file that became no vote when it was last imported; None if it never was."""
    query = select(IMPORTS.c.rejected_rows).where(IMPORTS.c.policy == policy, IMPORTS.c.content_hash == content_hash)
    last = connection.execute(query.order_by(IMPORTS.c.id.desc()).limit(1)).scalar()
    return None if last is None else frozenset(json.loads(last))
