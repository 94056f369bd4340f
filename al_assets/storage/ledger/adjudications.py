"""Adjudications: what an item is after raters disagreed about it, decided by one person who saw their votes.

The votes stay as they are, and agreement is computed from them. An adjudicated label counts in fine-tuning alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, func, insert, select

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.curation.split import GUIDELINE_GAP
from al_assets.partitions import iteration_number
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.queue import asked_items, not_queued
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, VOTES
from al_assets.storage.ledger.votes import MAX_COMMENT, is_storable, wrong_moment

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
        if reason := _malformed(self):
            raise AdjudicationError(reason)


def record_adjudication(connection: Connection, policy: str, decision: Adjudication, seen: int | None) -> int:
    """Record a decision unless it is on record, and return its seq; the connection holds the write lock.

    :param seen: see ``Ledger.adjudicate``.
    :raises AdjudicationError: the item is not in that iteration's queue or hidden in it, or the key was used before
        for another decision.
    :raises OvertakenError: the item has changed since ``seen``.
    """
    asked = asked_items(connection, policy, [decision.item_id])
    if reason := _refusal(decision, asked):
        raise AdjudicationError(reason)
    if (seq := _seq_of_key(connection, policy, decision)) is not None:
        return seq
    before = _latest_of(connection, ADJUDICATIONS, policy, decision)
    if seen is not None and max(before or 0, _latest_of(connection, VOTES, policy, decision) or 0) > seen:
        raise OvertakenError(
            f"item_id: {decision.item_id!r} of iteration {decision.iteration} changed after seq {seen}, up "
            "to which it was read; look at it again, then decide"
        )
    seq = queries.next_seq(connection)
    row = {
        "seq": seq,
        "adjudication_key": decision.key,
        "policy": policy,
        "item_id": decision.item_id,
        "iteration": decision.iteration,
        "label": decision.label,
        "adjudicator": decision.adjudicator,
        "comment": decision.comment,
        "policy_version": decision.policy_version,
        "decided_at": decision.decided_at,
        "recorded_at": datetime.now(UTC),
        "supersedes": before,
    }
    connection.execute(insert(ADJUDICATIONS), [row])
    return seq


def adjudications_query(part: queries.Part) -> Select[Any]:
    """Select the adjudications that count: the latest of each iteration and item."""
    rows = ADJUDICATIONS.alias()
    latest = queries.within(select(func.max(rows.c.seq)), rows, part).group_by(rows.c.iteration, rows.c.item_id)
    columns = (ADJUDICATIONS.c[name] for name in tables.ADJUDICATIONS.columns)
    return select(*columns).where(ADJUDICATIONS.c.seq.in_(latest)).order_by(ADJUDICATIONS.c.seq)


class _Decided(NamedTuple):
    seq: int
    iteration: str
    item_id: str
    label: str


def _seq_of_key(connection: Connection, policy: str, decision: Adjudication) -> int | None:
    columns = (ADJUDICATIONS.c[name] for name in _Decided._fields)
    query = select(*columns).where(ADJUDICATIONS.c.policy == policy, ADJUDICATIONS.c.adjudication_key == decision.key)
    row = connection.execute(query).first()
    if row is None:
        return None
    known = _Decided(*row)
    if known[1:] != (decision.iteration, decision.item_id, decision.label):
        raise AdjudicationError(
            f"key: {decision.key!r} is on record for another decision; send each decision under a key of its own"
        )
    return known.seq


def _latest_of(connection: Connection, table: Table, policy: str, decision: Adjudication) -> int | None:
    """Return the largest seq of what a table holds of the decision's item, withdrawn and superseded rows included."""
    rows = table.c
    place = (rows.policy == policy, rows.iteration == decision.iteration, rows.item_id == decision.item_id)
    latest: int | None = connection.execute(select(func.max(rows.seq)).where(*place)).scalar()
    return latest


def _refusal(decision: Adjudication, asked: dict[tuple[str, str], Any]) -> str | None:
    row = asked.get((decision.iteration, decision.item_id))
    if row is None:
        return not_queued(decision.iteration, decision.item_id, asked)
    if row.reason in HIDDEN:
        return (
            f"item_id: {decision.item_id!r} is a hidden item of iteration {decision.iteration}, so its answers are "
            "never labels; there is nothing to adjudicate"
        )
    return None


def _malformed(decision: Adjudication) -> str | None:
    try:
        iteration_number(decision.iteration)
    except ValueError as error:
        return str(error)
    if decision.label not in ADJUDICATED_LABELS:
        return f"label: {decision.label!r} is unknown; expected one of {', '.join(ADJUDICATED_LABELS)}"
    if reason := wrong_moment("decided_at", decision.decided_at):
        return reason
    if len(decision.comment or "") > MAX_COMMENT:
        return f"comment: {len(decision.comment or '')} characters; at most {MAX_COMMENT} are kept, shorten it"
    for name in ("item_id", "adjudicator", "policy_version", "key"):
        if not getattr(decision, name).strip():
            return f"{name}: empty; every adjudication needs one"
    for name in ("item_id", "adjudicator", "policy_version", "key", "comment"):
        if not is_storable(getattr(decision, name) or ""):
            return f"{name}: {getattr(decision, name)!r} holds a character no database stores; remove it"
    return None
