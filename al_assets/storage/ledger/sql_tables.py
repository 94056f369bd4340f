"""The tables of the ledger's database, the desk's among them, in SQLAlchemy Core.

``migrations`` makes them; a change here goes with a migration there.
"""

from datetime import UTC, datetime
from importlib.resources import files

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite has no time zones, so there it is stored without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def statements(name: str) -> list[str]:
    """Return the statements of a file of ``al_assets/storage/ledger/sql``; a blank line ends a statement."""
    text = files("al_assets.storage.ledger").joinpath("sql", name).read_text(encoding="utf-8")
    return [statement.strip() for statement in text.split("\n\n") if statement.strip()]


METADATA = MetaData()
# SQLite numbers rows by itself only in a column declared exactly INTEGER.
ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

SCHEMA_VERSION = Table(
    "schema_version",
    METADATA,
    # Alembic's own column: the last migration that was run.
    Column("version_num", String(32), primary_key=True),
    # The least schema version that a program must know to read and write here; migrations raise it.
    Column("least_program", Integer, nullable=False, server_default="1"),
)

QUEUE = Table(
    "queue",
    METADATA,
    Column("policy", String, primary_key=True),
    Column("iteration", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("text", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("pair_id", String),
    Column("group_id", String, nullable=False),
    Column("stratum", String),
    Column("stratum_size", BigInteger),
    Column("inclusion_probability", Float),
    Column("revision", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
    Column("selected_by", String, nullable=False),
    # Why it was chosen, as it was known then; no rater may see it.
    Column("rank", BigInteger),
    Column("p_positive", Float),
    Column("called", String),
    Column("cluster", Integer),
    Column("cell", Integer),
    Column("partner_item", String),
    Column("partner_cluster", Integer),
    Column("similarity", Float),
    Column("mixing", Float),
    Index("queue_by_item", "policy", "item_id"),
)

VOTES = Table(
    "votes",
    METADATA,
    # Numbered by the writer, who holds the write lock: seq order is commit order and has no gaps.
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("vote_key", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("iteration", String, nullable=False),
    Column("rater", String, nullable=False),
    Column("label", String, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("policy_fingerprint", String),
    Column("selected_by", String, nullable=False),
    Column("inclusion_probability", Float),
    Column("blind", Boolean, nullable=False),
    Column("comment", String),
    Column("source", String, nullable=False),
    Column("voted_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("supersedes", ROW_NUMBER),
    Column("undecided_reason", String),
    UniqueConstraint("policy", "vote_key", name="votes_vote_key"),
    Index("votes_by_item", "policy", "iteration", "item_id", "rater", "seq"),
)

ADJUDICATIONS = Table(
    "adjudications",
    METADATA,
    # Numbered together with the votes: one watermark covers both.
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("adjudication_key", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("iteration", String, nullable=False),
    Column("label", String, nullable=False),
    Column("adjudicator", String, nullable=False),
    Column("comment", String),
    Column("policy_version", String, nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("supersedes", ROW_NUMBER),
    UniqueConstraint("policy", "adjudication_key", name="adjudications_key"),
    Index("adjudications_by_item", "policy", "iteration", "item_id", "seq"),
)

RATER_CHANGES = Table(
    "rater_changes",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("policy", String, nullable=False),
    Column("rater", String, nullable=False),
    Column("change", String, nullable=False),
    Column("changed_by", String, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Index("rater_changes_by_policy", "policy", "id"),
)

POLICY_TEXTS = Table(
    "policy_texts",
    METADATA,
    Column("policy", String, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("text_fingerprint", String, nullable=False),
    Column("text", String, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
)

IMPORTS = Table(
    "imports",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("policy", String, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("name", String, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("repeated", Integer, nullable=False),
    Column("superseding", Integer, nullable=False),
    Column("rejected_rows", String, nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    Index("imports_by_content", "policy", "content_hash"),
)

PEOPLE = Table(
    "desk_people",
    METADATA,
    Column("policy", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("roles", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("invited_at", UtcDateTime, nullable=False),
    # The first sign-in; who has seen the desk with another role can no longer be a blind rater.
    Column("joined_at", UtcDateTime),
)

INVITES = Table(
    "desk_invites",
    METADATA,
    Column("token_hash", String, primary_key=True),
    Column("policy", String, nullable=False),
    Column("name", String, nullable=False),
    Column("invited_by", String, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index("desk_invites_by_name", "policy", "name"),
)

SESSIONS = Table(
    "desk_sessions",
    METADATA,
    Column("token_hash", String, primary_key=True),
    # What pages and the audit log call a session; it opens nothing.
    Column("session_id", String, nullable=False, unique=True),
    Column("policy", String, nullable=False),
    Column("name", String, nullable=False),
    Column("browser", String, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("desk_sessions_by_name", "policy", "name"),
)

AUDIT = Table(
    "desk_audit",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("policy", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("act", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", String, nullable=False),
    Index("desk_audit_by_policy", "policy", "seq"),
)

PROPOSALS = Table(
    "desk_policy_proposals",
    METADATA,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("policy", String, nullable=False),
    Column("proposal_key", String, nullable=False),
    Column("version", String, nullable=False),
    Column("text_fingerprint", String, nullable=False),
    # The whole section as JSON, as its model reads it, so that it can be written as YAML at any time.
    Column("section", String, nullable=False),
    # What raters read when it was proposed: the diff stays the same after the policy file has moved on.
    Column("base_version", String, nullable=False),
    Column("base_text", String, nullable=False),
    Column("note", String, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("proposed_at", UtcDateTime, nullable=False),
    Index("desk_policy_proposals_by_key", "policy", "proposal_key", unique=True),
)

PROPOSAL_WITHDRAWALS = Table(
    "desk_policy_withdrawals",
    METADATA,
    Column("proposal_id", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("withdrawn_by", String, nullable=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
)
