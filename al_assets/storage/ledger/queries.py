"""What the ledger asks of its database, and the frames it answers with."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, Table, and_, func, insert, select
from sqlalchemy.sql import FromClause

from al_assets.curation.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger.tables import IMPORTS, QUEUE, VOTES
from al_assets.storage.ledger.votes import Known, Place, Vote
from al_assets.storage.schemas import EXPERT_LABELS

# Databases limit the values of one statement (SQLite 32,766).
_CHUNK = 1_000
_MOMENT = pl.Datetime("us", "UTC")
VotesQuery = Callable[[str, Collection[str] | None, int], Select[Any]]
VOTES_SCHEMA = pl.Schema(
    {
        "seq": pl.Int64(), "item_id": pl.String(), "iteration": pl.String(), "rater": pl.String(),
        "label": pl.String(), "policy_version": pl.String(), "policy_fingerprint": pl.String(),
        "voted_at": _MOMENT, "recorded_at": _MOMENT, "comment": pl.String(), "blind": pl.Boolean(),
        "source": pl.String(), "selected_by": pl.String(), "inclusion_probability": pl.Float64(),
        "supersedes": pl.Int64(), "vote_key": pl.String(),
    }
)  # fmt: skip
ANSWERS_SCHEMA = pl.Schema(
    {**VOTES_SCHEMA, "reason": pl.String(), "group_id": pl.String(), "text": pl.String(), "published_at": _MOMENT}
)


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def to_frame(connection: Connection, query: Select[Any], schema: pl.Schema) -> pl.DataFrame:
    """Return a query's rows; its columns are those of the schema, in that order."""
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _asked_about(votes: FromClause, queue: FromClause) -> FromClause:
    """Join votes with the queue rows that asked for them; every vote has exactly one."""
    names = ("policy", "iteration", "item_id")
    return votes.join(queue, and_(*(queue.c[name] == votes.c[name] for name in names)))


def _chosen(
    query: Select[Any], votes: FromClause, policy: str, iterations: Collection[str] | None, watermark: int
) -> Select[Any]:
    query = query.where(votes.c.policy == policy, votes.c.seq <= watermark)
    return query if iterations is None else query.where(votes.c.iteration.in_(sorted(iterations)))


def _current(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the seq of the votes that count: the latest of each item and rater, answers to hidden items left out.

    An answer to a repeat comes later than the first one and must not take its place.
    """
    votes, queue = VOTES.alias(), QUEUE.alias()
    query = select(func.max(votes.c.seq)).select_from(_asked_about(votes, queue))
    query = query.where(queue.c.reason.not_in(HIDDEN)).group_by(votes.c.item_id, votes.c.rater)
    return _chosen(query, votes, policy, iterations, watermark)


def _latest(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the seq of the latest vote of each iteration, item and rater, hidden items included."""
    votes = VOTES.alias()
    query = select(func.max(votes.c.seq)).group_by(votes.c.iteration, votes.c.item_id, votes.c.rater)
    return _chosen(query, votes, policy, iterations, watermark)


def _with_question(schema: pl.Schema) -> Select[Any]:
    columns = (VOTES.c[name] if name in VOTES.c else QUEUE.c[name] for name in schema)
    return select(*columns).select_from(_asked_about(VOTES, QUEUE)).order_by(VOTES.c.seq)


def history_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select every vote ever recorded, superseded ones too."""
    query = select(*(VOTES.c[name] for name in VOTES_SCHEMA)).order_by(VOTES.c.seq)
    return _chosen(query, VOTES, policy, iterations, watermark)


def asked_history_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select every vote ever recorded, each with the queue row that asked for it."""
    return _chosen(_with_question(ANSWERS_SCHEMA), VOTES, policy, iterations, watermark)


def votes_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count."""
    columns = (VOTES.c[name] for name in VOTES_SCHEMA)
    return select(*columns).where(VOTES.c.seq.in_(_current(policy, iterations, watermark))).order_by(VOTES.c.seq)


def answers_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the latest vote of each iteration, item and rater, each with the queue row that asked for it."""
    return _with_question(ANSWERS_SCHEMA).where(VOTES.c.seq.in_(_latest(policy, iterations, watermark)))


def asked_votes_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count, each with all that is known of the question."""
    return _with_question(ANSWERS_SCHEMA).where(VOTES.c.seq.in_(_current(policy, iterations, watermark)))


def labels_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count, each with the queue row that asked for it."""
    return _with_question(EXPERT_LABELS.schema).where(VOTES.c.seq.in_(_current(policy, iterations, watermark)))


def repeat_raters(connection: Connection, policy: str, iteration: str) -> dict[str, frozenset[str]]:
    """Return for each repeat in an iteration's queue the raters whose answer was on record when it was published."""
    repeats = select(QUEUE.c.item_id, QUEUE.c.published_at).where(
        QUEUE.c.policy == policy, QUEUE.c.iteration == iteration, QUEUE.c.reason == REPEAT
    )
    found: dict[str, set[str]] = {row.item_id: set() for row in connection.execute(repeats)}
    votes, queue, again = VOTES.alias(), QUEUE.alias(), repeats.subquery()
    first = (
        select(votes.c.item_id, votes.c.rater)
        .select_from(_asked_about(votes, queue).join(again, again.c.item_id == votes.c.item_id))
        .where(votes.c.policy == policy, votes.c.iteration < iteration, queue.c.reason.not_in(HIDDEN))
        .where(votes.c.recorded_at < again.c.published_at)
    )
    for item_id, rater in connection.execute(first.distinct()):
        found[item_id].add(rater)
    return {item_id: frozenset(raters) for item_id, raters in found.items()}


def watermark_of(connection: Connection, policy: str) -> int:
    """Return the policy's largest seq, 0 when there is no vote."""
    return int(connection.execute(select(func.max(VOTES.c.seq)).where(VOTES.c.policy == policy)).scalar() or 0)


def next_seq(connection: Connection) -> int:
    """Return the next free seq; stable only while holding the write lock."""
    return int(connection.execute(select(func.max(VOTES.c.seq))).scalar() or 0) + 1


def asked_items(connection: Connection, policy: str, item_ids: Iterable[str]) -> dict[tuple[str, str], Any]:
    """Return the queue rows of items by (iteration, item_id)."""
    columns = (QUEUE.c.iteration, QUEUE.c.item_id, QUEUE.c.selected_by, QUEUE.c.inclusion_probability)
    found = {}
    for chunk in _chunks(item_ids):
        query = select(*columns).where(QUEUE.c.policy == policy, QUEUE.c.item_id.in_(chunk))
        found.update({(row.iteration, row.item_id): row for row in connection.execute(query)})
    return found


def known_votes(connection: Connection, policy: str, votes: Sequence[Vote]) -> dict[Place, Known]:
    """Return the vote that counts in every place that the votes touch."""
    names = ("seq", "label", "policy_version", "comment", "voted_at")
    columns = [VOTES.c[name] for name in (*Place._fields, *names)]
    known = {}
    for chunk in _chunks(vote.item_id for vote in votes):
        query = select(*columns).where(VOTES.c.policy == policy, VOTES.c.item_id.in_(chunk)).order_by(VOTES.c.seq)
        # In seq order, so the latest of each place is the one that stays.
        known.update({Place(*row[:3]): Known(*row[3:]) for row in connection.execute(query)})
    return known


def known_keys(connection: Connection, policy: str, votes: Sequence[Vote]) -> dict[str, tuple[Place, str]]:
    """Return place and label of the votes on record under the votes' keys."""
    columns = [VOTES.c[name] for name in ("vote_key", "label", *Place._fields)]
    known = {}
    for chunk in _chunks(vote.key for vote in votes):
        query = select(*columns).where(VOTES.c.policy == policy, VOTES.c.vote_key.in_(chunk))
        known.update({row[0]: (Place(*row[2:]), row[1]) for row in connection.execute(query)})
    return known


def open_rows(connection: Connection, policy: str, content_hash: str) -> frozenset[int] | None:
    """Return the rows of a file that became no vote when it was last imported; None if it never was."""
    query = select(IMPORTS.c.rejected_rows).where(IMPORTS.c.policy == policy, IMPORTS.c.content_hash == content_hash)
    last = connection.execute(query.order_by(IMPORTS.c.id.desc()).limit(1)).scalar()
    return None if last is None else frozenset(json.loads(last))


def add_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, if any."""
    if rows:
        connection.execute(insert(table), list(rows))
