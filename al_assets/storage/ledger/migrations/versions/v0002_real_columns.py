"""Why an item was queued, and why a rater could not decide, become columns of ``queue`` and ``votes``."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from al_assets.storage.ledger.sql_tables import statements

revision = "0002"
down_revision = "0001"

_WHY: dict[str, sa.types.TypeEngine[Any]] = {
    "rank": sa.BigInteger(), "p_positive": sa.Float(), "called": sa.String(), "cluster": sa.Integer(),
    "cell": sa.Integer(), "partner_item": sa.String(), "partner_cluster": sa.Integer(), "similarity": sa.Float(),
    "mixing": sa.Float(),
}  # fmt: skip
_PLACE = ("policy", "iteration", "item_id")
_GUARDED = (
    "queue", "votes", "adjudications", "rater_changes", "policy_texts", "imports", "desk_audit",
    "desk_policy_proposals", "desk_policy_withdrawals",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns, move into them what stood beside, and guard all that is append-only."""
    connection = op.get_bind()
    _drop_guards(connection)
    for name, kind in _WHY.items():
        op.add_column("queue", sa.Column(name, kind))
    op.add_column("votes", sa.Column("undecided_reason", sa.String))
    _move_queue_reasons(connection)
    _move_vote_reasons(connection)
    op.drop_table("queue_reasons")
    op.drop_table("vote_reasons")
    # A program that knows no versions would make these tables anew, and lose in them what it is told. It refuses to
    # open a database in which they have other columns.
    for name in ("queue_reasons", "vote_reasons"):
        op.execute(f"CREATE VIEW {name} AS SELECT 'al_assets' AS upgrade_this_program")
    for statement in statements(f"guards_0002.{connection.dialect.name}.sql"):
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    op.execute("UPDATE schema_version SET least_program = 2")


def _move_queue_reasons(connection: sa.Connection) -> None:
    table = sa.table("queue", *(sa.column(name) for name in (*_PLACE, *_WHY)))
    beside = sa.table("queue_reasons", *(sa.column(name) for name in (*_PLACE, "known")))
    rows = []
    for row in connection.execute(sa.select(beside)).mappings():
        known = json.loads(row["known"])
        rows.append({**{f"of_{name}": row[name] for name in _PLACE}, **{name: known.get(name) for name in _WHY}})
    if not rows:
        return
    place = [table.c[name] == sa.bindparam(f"of_{name}") for name in _PLACE]
    values = {name: sa.bindparam(name, type_=kind) for name, kind in _WHY.items()}
    moved = connection.execute(sa.update(table).where(*place).values(values), rows)
    if moved.rowcount not in (len(rows), -1):
        raise ValueError(f"queue_reasons: {len(rows)} rows, but {moved.rowcount} in the queue belong to them")


def _move_vote_reasons(connection: sa.Connection) -> None:
    votes = sa.table("votes", sa.column("seq"), sa.column("undecided_reason"))
    beside = sa.table("vote_reasons", sa.column("seq"), sa.column("undecided_reason"))
    reason = sa.select(beside.c.undecided_reason).where(beside.c.seq == votes.c.seq).scalar_subquery()
    moved = connection.execute(
        sa.update(votes).where(votes.c.seq.in_(sa.select(beside.c.seq))).values(undecided_reason=reason)
    )
    expected = connection.execute(sa.select(sa.func.count()).select_from(beside)).scalar_one()
    if moved.rowcount != expected:
        raise ValueError(f"vote_reasons: {expected} rows, but {moved.rowcount} votes belong to them")


def _drop_guards(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
        )
    for name, table in connection.execute(sa.text(query)).all():
        if table in _GUARDED:
            op.execute(f"DROP TRIGGER {name}" + ("" if connection.dialect.name == "sqlite" else f" ON {table}"))
