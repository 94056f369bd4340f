"""What the ledger asks of its database, and the frames it answers with."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, Select, Table, and_, func, select
from sqlalchemy.sql import FromClause

from al_assets.curation.queue.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, QUEUE, VOTES
from al_assets.storage.ledger.votes import WITHDRAWN, Known, Place, Vote

# Databases limit the values of one statement (SQLite 32,766).
_CHUNK = 1_000


class Part(NamedTuple):
    """A part of the ledger: a policy's rows of some iterations, None for all, up to a watermark."""

    policy: str
    iterations: Collection[str] | None
    watermark: int


class VoteRow(NamedTuple):
    """A vote on record: an answer, one that was superseded since, or a withdrawal."""

    seq: int
    iteration: str
    item_id: str
    rater: str
    label: str
    comment: str | None
    undecided_reason: str | None
    vote_key: str
    voted_at: datetime
    recorded_at: datetime


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Yield the values, each once and in order, in lists that one statement can take."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def to_frame(connection: Connection, query: Select[Any], schema: pl.Schema) -> pl.DataFrame:
    """Return a query's rows; its columns are those of the schema, in that order."""
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def asked_about(votes: FromClause, queue: FromClause) -> FromClause:
    """Join votes with the queue rows that asked for them; every vote has exactly one."""
    names = ("policy", "iteration", "item_id")
    return votes.join(queue, and_(*(queue.c[name] == votes.c[name] for name in names)))


def within(query: Select[Any], rows: FromClause, part: Part) -> Select[Any]:
    """Restrict a query to the rows of a part of the ledger."""
    query = query.where(rows.c.policy == part.policy, rows.c.seq <= part.watermark)
    return query if part.iterations is None else query.where(rows.c.iteration.in_(sorted(part.iterations)))


def every(part: Part) -> Select[Any]:
    """Select the seq of every vote, superseded ones and withdrawals too."""
    votes = VOTES.alias()
    return within(select(votes.c.seq), votes, part)


def given(part: Part) -> Select[Any]:
    """Select the seq of the latest answer of each iteration, item and rater, hidden items included."""
    votes, latest = VOTES.alias(), VOTES.alias()
    last = select(func.max(latest.c.seq)).group_by(latest.c.iteration, latest.c.item_id, latest.c.rater)
    return select(votes.c.seq).where(votes.c.seq.in_(within(last, latest, part)), votes.c.label != WITHDRAWN)


def counting(part: Part) -> Select[Any]:
    """Select the seq of the votes that count: the latest of each item and rater, answers to hidden items left out.

    An answer to a repeat comes later than the first one and must not take its place. Where the answer to an item asked
    in two iterations was withdrawn, the one in the other iteration counts.
    """
    votes, queue = VOTES.alias(), QUEUE.alias()
    return (
        select(func.max(votes.c.seq))
        .select_from(asked_about(votes, queue))
        .where(votes.c.seq.in_(given(part)), queue.c.reason.not_in(HIDDEN))
        .group_by(votes.c.item_id, votes.c.rater)
    )


def votes_query(columns: Iterable[str], seqs: Select[Any]) -> Select[Any]:
    """Select votes by their seq, in order: columns of theirs, or of the queue row that asked for each."""
    wanted = [VOTES.c[name] if name in VOTES.c else QUEUE.c[name] for name in columns]
    asked = any(column.table is QUEUE for column in wanted)
    query = select(*wanted).select_from(asked_about(VOTES, QUEUE) if asked else VOTES)
    return query.where(VOTES.c.seq.in_(seqs)).order_by(VOTES.c.seq)


def withdrawals_query(part: Part) -> Select[Any]:
    """Select where an answer was ever taken back, and when last."""
    columns = (VOTES.c.iteration, VOTES.c.item_id)
    query = select(*columns, func.max(VOTES.c.seq)).where(VOTES.c.label == WITHDRAWN).group_by(*columns)
    return within(query, VOTES, part)


def votes_after(connection: Connection, policy: str, seq: int) -> list[VoteRow]:
    """Return every vote with a larger seq, in order: cheap enough to be asked for every second."""
    columns = [VOTES.c[name] for name in VoteRow._fields]
    # Not the bare column: SQLite would walk all of the policy's votes by another index instead of going by seq.
    of_policy = func.coalesce(VOTES.c.policy, "") == policy
    query = select(*columns).where(VOTES.c.seq > seq, of_policy).order_by(VOTES.c.seq)
    return [VoteRow(*row) for row in connection.execute(query)]


def repeat_raters(connection: Connection, policy: str, iteration: str) -> dict[str, frozenset[str]]:
    """Return for each repeat in an iteration's queue the raters whose answer was on record when it was published."""
    repeats = select(QUEUE.c.item_id, QUEUE.c.published_at).where(
        QUEUE.c.policy == policy, QUEUE.c.iteration == iteration, QUEUE.c.reason == REPEAT
    )
    asked: dict[str, set[str]] = {row.item_id: set() for row in connection.execute(repeats)}
    if not asked:
        return {}
    votes, queue, again = VOTES.alias(), QUEUE.alias(), repeats.subquery()
    first = (
        select(votes.c.iteration, votes.c.item_id, votes.c.rater, votes.c.label)
        .select_from(asked_about(votes, queue).join(again, again.c.item_id == votes.c.item_id))
        .where(votes.c.policy == policy, votes.c.iteration < iteration, queue.c.reason.not_in(HIDDEN))
        .where(votes.c.recorded_at < again.c.published_at)
        .order_by(votes.c.seq)
    )
    # In seq order, so the latest of each place is the one that stays.
    latest = {Place(*row[:3]): row.label for row in connection.execute(first)}
    for place, label in latest.items():
        if label != WITHDRAWN:
            asked[place.item_id].add(place.rater)
    return {item_id: frozenset(raters) for item_id, raters in asked.items()}


def watermark_of(connection: Connection, policy: str) -> int:
    """Return the largest seq of the policy's votes and adjudications, 0 when there is none."""
    return max(_largest(connection, table, policy) for table in (VOTES, ADJUDICATIONS))


def _largest(connection: Connection, table: Table, policy: str) -> int:
    # From the last row back: told the policy itself, SQLite would walk all of its rows by another index.
    of_policy = table.c.policy + "" == policy
    query = select(table.c.seq).where(of_policy).order_by(table.c.seq.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def next_seq(connection: Connection) -> int:
    """Return the next free seq; stable only while holding the write lock."""
    largest = (select(func.max(table.c.seq)) for table in (VOTES, ADJUDICATIONS))
    return max(int(connection.execute(query).scalar() or 0) for query in largest) + 1


def known_votes(connection: Connection, policy: str, votes: Sequence[Vote]) -> dict[Place, Known]:
    """Return the latest vote, withdrawals included, in every place that the votes touch."""
    columns = [VOTES.c[name] for name in (*Place._fields, *Known._fields)]
    iterations = sorted({vote.iteration for vote in votes})
    known = {}
    for chunk in chunks(vote.item_id for vote in votes):
        # The iterations lead to the item in the index, which would be walked from end to end without them.
        asked = (VOTES.c.policy == policy, VOTES.c.iteration.in_(iterations), VOTES.c.item_id.in_(chunk))
        query = select(*columns).where(*asked).order_by(VOTES.c.seq)
        # In seq order, so the latest of each place is the one that stays.
        known.update({Place(*row[:3]): Known(*row[3:]) for row in connection.execute(query)})
    return known


def known_keys(connection: Connection, policy: str, votes: Sequence[Vote]) -> dict[str, tuple[Place, str]]:
    """Return place and label of the votes on record under the votes' keys."""
    columns = [VOTES.c[name] for name in ("vote_key", "label", *Place._fields)]
    known = {}
    for chunk in chunks(vote.key for vote in votes):
        query = select(*columns).where(VOTES.c.policy == policy, VOTES.c.vote_key.in_(chunk))
        known.update({row[0]: (Place(*row[2:]), row[1]) for row in connection.execute(query)})
    return known
