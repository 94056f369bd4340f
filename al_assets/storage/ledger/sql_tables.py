"""The tables of the ledger's database, the desk's among them, in SQLAlchemy Core.

``migrations`` makes them; a change here goes with a migration there.
"""

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite has no time zones, so there it is stored without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def statements(name: str) -> list[str]:
    """Return the statements of a file of ``al_assets/storage/ledger/sql``; a blank line ends a statement."""
    text = files("al_assets.storage.ledger").joinpath("sql", name).read_text(encoding="utf-8")
    return [statement.strip() for statement in text.split("\n\n") if statement.strip()]


METADATA = sa.MetaData()
# SQLite numbers rows by itself only in a column declared exactly INTEGER.
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def keys(*names: str) -> list[sa.Column[Any]]:
    """Return text columns that make up the primary key."""
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def row_number(name: str = "id", *, counted: bool = True) -> sa.Column[Any]:
    """Return a primary key of whole numbers, counted by the database or by the writer."""
    return sa.Column(name, ROW_NUMBER, primary_key=True, autoincrement=counted)


def filled(kind: type[sa.types.TypeEngine[Any]], *names: str) -> list[sa.Column[Any]]:
    """Return columns of one type that are never null."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def texts(*names: str) -> list[sa.Column[Any]]:
    """Return text columns that are never null."""
    return filled(sa.String, *names)


SCHEMA_VERSION = sa.Table(
    "schema_version",
    METADATA,
    # Alembic's own column: the last migration that was run.
    sa.Column("version_num", sa.String(32), primary_key=True),
    # The least schema version that a program must know to read and write here; migrations raise it.
    sa.Column("least_program", sa.Integer, nullable=False, server_default="1"),
)

QUEUE = sa.Table(
    "queue",
    METADATA,
    *keys("policy", "iteration", "item_id"),
    *texts("text", "reason"),
    sa.Column("pair_id", sa.String),
    *texts("group_id"),
    sa.Column("stratum", sa.String),
    sa.Column("stratum_size", sa.BigInteger),
    sa.Column("inclusion_probability", sa.Float),
    *filled(sa.Integer, "revision", "position"),
    *filled(UtcDateTime, "published_at"),
    *texts("selected_by"),
    # Why it was chosen, as it was known then; no rater may see it.
    sa.Column("rank", sa.BigInteger),
    sa.Column("p_positive", sa.Float),
    sa.Column("called", sa.String),
    sa.Column("region", sa.Integer),
    sa.Column("cell", sa.Integer),
    sa.Column("partner_item", sa.String),
    sa.Column("partner_region", sa.Integer),
    sa.Column("similarity", sa.Float),
    sa.Column("mixing", sa.Float),
    sa.Index("queue_by_item", "policy", "item_id"),
)

VOTES = sa.Table(
    "votes",
    METADATA,
    # Numbered by the writer, who holds the write lock: seq order is commit order and has no gaps.
    row_number("seq", counted=False),
    *texts("vote_key", "policy", "item_id", "iteration", "rater", "label", "policy_version"),
    sa.Column("policy_fingerprint", sa.String),
    *texts("selected_by"),
    sa.Column("inclusion_probability", sa.Float),
    *filled(sa.Boolean, "blind"),
    sa.Column("comment", sa.String),
    *texts("source"),
    *filled(UtcDateTime, "voted_at", "recorded_at"),
    sa.Column("supersedes", ROW_NUMBER),
    sa.Column("undecided_reason", sa.String),
    sa.UniqueConstraint("policy", "vote_key", name="votes_vote_key"),
    sa.Index("votes_by_item", "policy", "iteration", "item_id", "rater", "seq"),
)

ADJUDICATIONS = sa.Table(
    "adjudications",
    METADATA,
    # Numbered together with the votes: one watermark covers both.
    row_number("seq", counted=False),
    *texts("adjudication_key", "policy", "item_id", "iteration", "label", "adjudicator"),
    sa.Column("comment", sa.String),
    *texts("policy_version"),
    *filled(UtcDateTime, "decided_at", "recorded_at"),
    sa.Column("supersedes", ROW_NUMBER),
    sa.UniqueConstraint("policy", "adjudication_key", name="adjudications_key"),
    sa.Index("adjudications_by_item", "policy", "iteration", "item_id", "seq"),
)

RATER_CHANGES = sa.Table(
    "rater_changes",
    METADATA,
    row_number(),
    *texts("policy", "rater", "change", "changed_by"),
    *filled(UtcDateTime, "changed_at"),
    sa.Index("rater_changes_by_policy", "policy", "id"),
)

POLICY_TEXTS = sa.Table(
    "policy_texts",
    METADATA,
    *keys("policy", "fingerprint"),
    *texts("version", "text_fingerprint", "text"),
    *filled(UtcDateTime, "recorded_at"),
)

LABEL_READINGS = sa.Table(
    "label_readings",
    METADATA,
    *keys("policy"),
    # The watermark up to which the loop read the votes.
    sa.Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False),
    *filled(UtcDateTime, "read_at"),
)

IMPORTS = sa.Table(
    "imports",
    METADATA,
    row_number(),
    *texts("policy", "content_hash", "name"),
    *filled(sa.Integer, "accepted", "repeated", "superseding"),
    *texts("rejected_rows"),
    *filled(UtcDateTime, "imported_at"),
    sa.Index("imports_by_content", "policy", "content_hash"),
)

PEOPLE = sa.Table(
    "desk_people",
    METADATA,
    *keys("policy", "name"),
    *texts("roles"),
    *filled(sa.Boolean, "active"),
    *filled(UtcDateTime, "invited_at"),
    # The first sign-in; who has seen the desk with another role can no longer be a blind rater.
    sa.Column("joined_at", UtcDateTime),
)

INVITES = sa.Table(
    "desk_invites",
    METADATA,
    *keys("token_hash"),
    *texts("policy", "name", "invited_by"),
    *filled(UtcDateTime, "made_at", "expires_at"),
    sa.Column("used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Index("desk_invites_by_name", "policy", "name"),
)

SESSIONS = sa.Table(
    "desk_sessions",
    METADATA,
    *keys("token_hash"),
    # What pages and the audit log call a session; it opens nothing.
    sa.Column("session_id", sa.String, nullable=False, unique=True),
    *texts("policy", "name", "browser"),
    *filled(UtcDateTime, "started_at", "seen_at"),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("desk_sessions_by_name", "policy", "name"),
)

AUDIT = sa.Table(
    "desk_audit",
    METADATA,
    row_number("seq"),
    *texts("policy"),
    *filled(UtcDateTime, "at"),
    *texts("by", "act", "subject", "detail"),
    sa.Index("desk_audit_by_policy", "policy", "seq"),
)

PROPOSALS = sa.Table(
    "desk_policy_proposals",
    METADATA,
    row_number(),
    *texts("policy", "proposal_key", "version", "text_fingerprint"),
    # The whole section as JSON, as its model reads it, so that it can be written as YAML at any time.
    *texts("section"),
    # What raters read when it was proposed: the diff stays the same after the policy file has moved on.
    *texts("base_version", "base_text"),
    *texts("note", "proposed_by"),
    *filled(UtcDateTime, "proposed_at"),
    sa.Index("desk_policy_proposals_by_key", "policy", "proposal_key", unique=True),
)

PROPOSAL_WITHDRAWALS = sa.Table(
    "desk_policy_withdrawals",
    METADATA,
    row_number("proposal_id", counted=False),
    *texts("withdrawn_by"),
    *filled(UtcDateTime, "withdrawn_at"),
)
