"""The log of privileged acts: rows are only ever added, triggers refuse anything else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from al_assets.review.desk.people.records import AuditEntry
from al_assets.review.desk.people.tables import AUDIT

MAX_DETAIL = 10_000


@dataclass(frozen=True)
class AuditFilter:
    """Which entries of the log are asked for; None and empty stand for all.

    :param before: only entries older than this ``seq``.
    """

    by: str | None = None
    act: str | None = None
    subject: str | None = None
    before: int | None = None


def add_entry(connection: Connection, policy: str, at: datetime, by: str, act: str, subject: str, detail: str) -> None:
    """Add an entry."""
    row = {"policy": policy, "at": at, "by": by, "act": act, "subject": subject, "detail": _storable(detail)}
    connection.execute(insert(AUDIT).values(row))


def read_entries(connection: Connection, policy: str, which: AuditFilter, most: int | None) -> list[AuditEntry]:
    """Return entries, the newest first."""
    query = select(AUDIT).where(AUDIT.c.policy == policy)
    for column, value in ((AUDIT.c.by, which.by), (AUDIT.c.act, which.act), (AUDIT.c.subject, which.subject)):
        if value:
            query = query.where(column == _storable(value))
    if which.before is not None:
        query = query.where(AUDIT.c.seq < which.before)
    rows = connection.execute(query.order_by(AUDIT.c.seq.desc()).limit(most))
    return [AuditEntry(row.seq, row.at, row.by, row.act, row.subject, row.detail) for row in rows]


def known_acts(connection: Connection, policy: str) -> list[str]:
    """Return the kinds of acts on record, in order."""
    query = select(AUDIT.c.act).where(AUDIT.c.policy == policy).distinct().order_by(AUDIT.c.act)
    found: Any = connection.execute(query).scalars()
    return list(found)


def _storable(text: str) -> str:
    # PostgreSQL has no NUL in text, and half of a surrogate pair has no UTF-8 form.
    clean = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MAX_DETAIL else clean[: MAX_DETAIL - 1] + "…"
