"""The ledger's tables, in SQLAlchemy Core."""

from datetime import UTC, datetime

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


METADATA = MetaData()
# SQLite numbers rows by itself only in a column declared exactly INTEGER.
ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")

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
    Index("queue_by_item", "policy", "item_id"),
)

# Beside the queue, whose columns the first release fixed. JSON, so that an older ledger can hold what comes later.
QUEUE_REASONS = Table(
    "queue_reasons",
    METADATA,
    Column("policy", String, primary_key=True),
    Column("iteration", String, primary_key=True),
    Column("item_id", String, primary_key=True),
    Column("known", String, nullable=False),
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
    UniqueConstraint("policy", "vote_key", name="votes_vote_key"),
    Index("votes_by_item", "policy", "iteration", "item_id", "rater", "seq"),
)

# Beside the votes, whose columns the first release fixed.
VOTE_REASONS = Table(
    "vote_reasons",
    METADATA,
    Column("seq", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("policy", String, nullable=False),
    Column("undecided_reason", String, nullable=False),
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
