"""Adjudications: what an item is after raters disagreed about it, decided by one person who saw their votes.

The votes stay as they are, and agreement is computed from them. An adjudicated label counts in what a student learns
alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, func, insert, select

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.curation.split import GUIDELINE_GAP
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.queue import asked_items, not_queued
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, VOTES
from al_assets.storage.ledger.votes import malformed

ADJUDICATED_LABELS = ("positive", "negative", GUIDELINE_GAP)


class AdjudicationError(ValueError):
    """An adjudication was refused; nothing was recorded. The message names the field and the way out."""


class OvertakenError(AdjudicationError):
    """Since the adjudicator saw the item, an answer to it came in or changed, or somebody decided it."""


@dataclass(frozen=True)
class Adjudication:
    """One decision about one queued item.

    :param label: one of ADJUDICATED_LABELS; "guideline gap" says that the policy as written does not tell.
    :param decided_at: must have a time zone.
    :param key: the sender's own name for this decision; sent again under the same key it counts once.
    :raises AdjudicationError: a field is empty or not of its form.
    """

    iteration: str
    item_id: str
    label: str
    adjudicator: str
    comment: str | None
    policy_version: str
    decided_at: datetime
    key: str

    def __post_init__(self) -> None:
        """Refuse what no ledger could hold."""
        known = ", ".join(ADJUDICATED_LABELS)
        wrong = f"label: {self.label!r} is unknown; expected one of {known}"
        wrong_label = None if self.label in ADJUDICATED_LABELS else wrong
        needed = ("item_id", "adjudicator", "policy_version", "key")
        if reason := malformed("adjudication", self, wrong_label, "decided_at", needed, ("comment",)):
            raise AdjudicationError(reason)


def record_adjudication(connection: Connection, policy: str, decision: Adjudication, seen: int | None) -> int:
    """Record a decision unless it is on record, and return its seq; the connection holds the write lock.

    :param seen: see ``Ledger.adjudicate``.
    :raises AdjudicationError: the item is not in that iteration's queue or hidden in it, or the key was used before
        for another decision.
    :raises OvertakenError: the item has changed since ``seen``.
    """
    asked = asked_items(connection, policy, [decision.item_id])
    row = asked.get((decision.iteration, decision.item_id))
    if row is None:
        raise AdjudicationError(not_queued(decision.iteration, decision.item_id, asked))
    if row.reason in HIDDEN:
        raise AdjudicationError(
            f"item_id: {decision.item_id!r} is a hidden item of iteration {decision.iteration}, so its answers are "
            "never labels; there is nothing to adjudicate"
        )
    if (seq := _seq_of_key(connection, policy, decision)) is not None:
        return seq
    before = _latest_of(connection, ADJUDICATIONS, policy, decision)
    if seen is not None and max(before or 0, _latest_of(connection, VOTES, policy, decision) or 0) > seen:
        raise OvertakenError(
            f"item_id: {decision.item_id!r} of iteration {decision.iteration} changed after seq {seen}, up "
            "to which it was read; look at it again, then decide"
        )
    seq = queries.next_seq(connection)
    recorded = {**vars(decision), "seq": seq, "policy": policy, "recorded_at": datetime.now(UTC), "supersedes": before}
    recorded["adjudication_key"] = recorded.pop("key")
    connection.execute(insert(ADJUDICATIONS), [recorded])
    return seq


def adjudications_query(part: queries.Part) -> Select[Any]:
    """Select the adjudications that count: the latest of each iteration and item."""
    rows = ADJUDICATIONS.alias()
    latest = queries.within(select(func.max(rows.c.seq)), rows, part).group_by(rows.c.iteration, rows.c.item_id)
    columns = (ADJUDICATIONS.c[name] for name in tables.ADJUDICATIONS.columns)
    return select(*columns).where(ADJUDICATIONS.c.seq.in_(latest)).order_by(ADJUDICATIONS.c.seq)


def _seq_of_key(connection: Connection, policy: str, decision: Adjudication) -> int | None:
    rows = ADJUDICATIONS.c
    query = select(rows.seq, rows.iteration, rows.item_id, rows.label)
    known = connection.execute(query.where(rows.policy == policy, rows.adjudication_key == decision.key)).first()
    if known and known[1:] != (decision.iteration, decision.item_id, decision.label):
        raise AdjudicationError(
            f"key: {decision.key!r} is on record for another decision; send each decision under a key of its own"
        )
    return known.seq if known else None


def _latest_of(connection: Connection, table: Table, policy: str, decision: Adjudication) -> int | None:
    """Return the largest seq of what a table holds of the decision's item, withdrawn and superseded rows included."""
    rows = table.c
    place = (rows.policy == policy, rows.iteration == decision.iteration, rows.item_id == decision.item_id)
    latest: int | None = connection.execute(select(func.max(rows.seq)).where(*place)).scalar()
    return latest
