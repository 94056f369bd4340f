"""What the ledger asks of its database, and the frames it answers with."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, select
from sqlalchemy.sql import FromClause

from al_assets import tables
from al_assets.curation.queue.hidden import HIDDEN, REPEAT
from al_assets.storage.ledger.sql_tables import ADJUDICATIONS, QUEUE, VOTES
from al_assets.storage.ledger.votes import WITHDRAWN, Known, Place, Vote
from al_assets.tables import EXPERT_LABELS

# Databases limit the values of one statement (SQLite 32,766).
_CHUNK = 1_000
VotesQuery = Callable[[str, Collection[str] | None, int], Select[Any]]
LABELS_SCHEMA = pl.Schema(
    {name: dtype for name, dtype in EXPERT_LABELS.schema.items() if name not in ("adjudicated", "as_of")}
)


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


def _asked_about(votes: FromClause, queue: FromClause) -> FromClause:
    """Join votes with the queue rows that asked for them; every vote has exactly one."""
    names = ("policy", "iteration", "item_id")
    return votes.join(queue, and_(*(queue.c[name] == votes.c[name] for name in names)))


def _column(name: str) -> ColumnElement[Any]:
    return VOTES.c[name] if name in VOTES.c else QUEUE.c[name]


def chosen(
    query: Select[Any], rows: FromClause, policy: str, iterations: Collection[str] | None, watermark: int
) -> Select[Any]:
    """Restrict a query to a policy's rows of some iterations, None for all, up to a watermark."""
    query = query.where(rows.c.policy == policy, rows.c.seq <= watermark)
    return query if iterations is None else query.where(rows.c.iteration.in_(sorted(iterations)))


def _latest(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the seq of the latest vote of each iteration, item and rater, hidden items and withdrawals included."""
    votes = VOTES.alias()
    query = select(func.max(votes.c.seq)).group_by(votes.c.iteration, votes.c.item_id, votes.c.rater)
    return chosen(query, votes, policy, iterations, watermark)


def current(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the seq of the votes that count: the latest of each item and rater, answers to hidden items left out.

    An answer to a repeat comes later than the first one and must not take its place. Where the answer to an item asked
    in two iterations was withdrawn, the one in the other iteration counts.
    """
    votes, queue = VOTES.alias(), QUEUE.alias()
    return (
        select(func.max(votes.c.seq))
        .select_from(_asked_about(votes, queue))
        .where(votes.c.seq.in_(_latest(policy, iterations, watermark)), votes.c.label != WITHDRAWN)
        .where(queue.c.reason.not_in(HIDDEN))
        .group_by(votes.c.item_id, votes.c.rater)
    )


def asked_openly(query: Select[Any]) -> Select[Any]:
    """Restrict a query over votes to answers to items that are not hidden."""
    return query.select_from(_asked_about(VOTES, QUEUE)).where(QUEUE.c.reason.not_in(HIDDEN))


def _with_question(schema: pl.Schema) -> Select[Any]:
    columns = (_column(name) for name in schema)
    return select(*columns).select_from(_asked_about(VOTES, QUEUE)).order_by(VOTES.c.seq)


def history_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select every vote ever recorded, superseded ones and withdrawals too."""
    return chosen(_votes_only(), VOTES, policy, iterations, watermark)


def asked_history_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select every vote ever recorded, each with the queue row that asked for it."""
    return chosen(_with_question(tables.ANSWERS.schema), VOTES, policy, iterations, watermark)


def _votes_only() -> Select[Any]:
    return select(*(VOTES.c[name] for name in tables.VOTES.columns)).order_by(VOTES.c.seq)


def votes_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count."""
    return _votes_only().where(VOTES.c.seq.in_(current(policy, iterations, watermark)))


def answers_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the latest answer of each iteration, item and rater, each with the queue row that asked for it."""
    latest = VOTES.c.seq.in_(_latest(policy, iterations, watermark))
    return _with_question(tables.ANSWERS.schema).where(latest, VOTES.c.label != WITHDRAWN)


def asked_votes_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count, each with all that is known of the question."""
    return _with_question(tables.ANSWERS.schema).where(VOTES.c.seq.in_(current(policy, iterations, watermark)))


def withdrawals_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select where an answer was ever taken back, and when last."""
    columns = (VOTES.c.iteration, VOTES.c.item_id)
    query = select(*columns, func.max(VOTES.c.seq)).where(VOTES.c.label == WITHDRAWN).group_by(*columns)
    return chosen(query, VOTES, policy, iterations, watermark)


def labels_query(policy: str, iterations: Collection[str] | None, watermark: int) -> Select[Any]:
    """Select the votes that count, each with the queue row that asked for it."""
    return _with_question(LABELS_SCHEMA).where(VOTES.c.seq.in_(current(policy, iterations, watermark)))


def votes_after(connection: Connection, policy: str, seq: int) -> list[VoteRow]:
    """Return every vote with a larger seq, in order: cheap enough to be asked for every second."""
    columns = [VOTES.c[name] for name in VoteRow._fields]
    # Not the bare column: SQLite would walk all of the policy's votes by another index instead of going by seq.
    of_policy = func.coalesce(VOTES.c.policy, "") == policy
    query = select(*columns).where(VOTES.c.seq > seq, of_policy).order_by(VOTES.c.seq)
    return [VoteRow(*row) for row in connection.execute(query)]


def progress_query(policy: str, iteration: str, watermark: int) -> Select[Any]:
    """Select item, rater, label and time of the answers in one iteration: all that counting them takes."""
    columns = (VOTES.c[name] for name in ("item_id", "rater", "label", "recorded_at"))
    latest = VOTES.c.seq.in_(_latest(policy, [iteration], watermark))
    return select(*columns).where(latest, VOTES.c.label != WITHDRAWN).order_by(VOTES.c.seq)


def repeat_raters(connection: Connection, policy: str, iteration: str) -> dict[str, frozenset[str]]:
    """Return for each repeat in an iteration's queue the raters whose answer was on record when it was published."""
    repeats = select(QUEUE.c.item_id, QUEUE.c.published_at).where(
        QUEUE.c.policy == policy, QUEUE.c.iteration == iteration, QUEUE.c.reason == REPEAT
    )
    found: dict[str, set[str]] = {row.item_id: set() for row in connection.execute(repeats)}
    if not found:
        return {}
    votes, queue, again = VOTES.alias(), QUEUE.alias(), repeats.subquery()
    first = (
        select(votes.c.iteration, votes.c.item_id, votes.c.rater, votes.c.label)
        .select_from(_asked_about(votes, queue).join(again, again.c.item_id == votes.c.item_id))
        .where(votes.c.policy == policy, votes.c.iteration < iteration, queue.c.reason.not_in(HIDDEN))
        .where(votes.c.recorded_at < again.c.published_at)
        .order_by(votes.c.seq)
    )
    # In seq order, so the latest of each place is the one that stays.
    latest = {Place(*row[:3]): row.label for row in connection.execute(first)}
    for place, label in latest.items():
        if label != WITHDRAWN:
            found[place.item_id].add(place.rater)
    return {item_id: frozenset(raters) for item_id, raters in found.items()}


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
