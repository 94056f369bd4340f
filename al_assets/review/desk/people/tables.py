"""The desk's own tables, beside the ledger's in the same database."""

from sqlalchemy import Boolean, Column, Index, MetaData, String, Table

from al_assets.storage.ledger.tables import ROW_NUMBER, UtcDateTime

METADATA = MetaData()

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
