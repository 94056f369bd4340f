"""The tables as they were before versions had numbers; those that are missing are made."""

import sqlalchemy as sa
from alembic import op

from al_assets.storage.ledger.sql_tables import ROW_NUMBER, UtcDateTime, filled, keys, row_number, texts

revision = "0001"
down_revision = None

TABLES: dict[str, list[sa.schema.SchemaItem]] = {
    "queue": [
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
        sa.Index("queue_by_item", "policy", "item_id"),
    ],
    "queue_reasons": [*keys("policy", "iteration", "item_id"), *texts("known")],
    "votes": [
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
        sa.UniqueConstraint("policy", "vote_key", name="votes_vote_key"),
        sa.Index("votes_by_item", "policy", "iteration", "item_id", "rater", "seq"),
    ],
    "vote_reasons": [row_number("seq", counted=False), *texts("policy", "undecided_reason")],
    "adjudications": [
        row_number("seq", counted=False),
        *texts("adjudication_key", "policy", "item_id", "iteration", "label", "adjudicator"),
        sa.Column("comment", sa.String),
        *texts("policy_version"),
        *filled(UtcDateTime, "decided_at", "recorded_at"),
        sa.Column("supersedes", ROW_NUMBER),
        sa.UniqueConstraint("policy", "adjudication_key", name="adjudications_key"),
        sa.Index("adjudications_by_item", "policy", "iteration", "item_id", "seq"),
    ],
    "rater_changes": [
        row_number(),
        *texts("policy", "rater", "change", "changed_by"),
        *filled(UtcDateTime, "changed_at"),
        sa.Index("rater_changes_by_policy", "policy", "id"),
    ],
    "policy_texts": [
        *keys("policy", "fingerprint"),
        *texts("version", "text_fingerprint", "text"),
        *filled(UtcDateTime, "recorded_at"),
    ],
    "imports": [
        row_number(),
        *texts("policy", "content_hash", "name"),
        *filled(sa.Integer, "accepted", "repeated", "superseding"),
        *texts("rejected_rows"),
        *filled(UtcDateTime, "imported_at"),
        sa.Index("imports_by_content", "policy", "content_hash"),
    ],
    "desk_people": [
        *keys("policy", "name"),
        *texts("roles"),
        *filled(sa.Boolean, "active"),
        *filled(UtcDateTime, "invited_at"),
        sa.Column("joined_at", UtcDateTime),
    ],
    "desk_invites": [
        *keys("token_hash"),
        *texts("policy", "name", "invited_by"),
        *filled(UtcDateTime, "made_at", "expires_at"),
        sa.Column("used_at", UtcDateTime),
        sa.Column("revoked_at", UtcDateTime),
        sa.Index("desk_invites_by_name", "policy", "name"),
    ],
    "desk_sessions": [
        *keys("token_hash"),
        sa.Column("session_id", sa.String, nullable=False, unique=True),
        *texts("policy", "name", "browser"),
        *filled(UtcDateTime, "started_at", "seen_at"),
        sa.Column("ended_at", UtcDateTime),
        sa.Index("desk_sessions_by_name", "policy", "name"),
    ],
    "desk_audit": [
        row_number("seq"),
        *texts("policy"),
        *filled(UtcDateTime, "at"),
        *texts("by", "act", "subject", "detail"),
        sa.Index("desk_audit_by_policy", "policy", "seq"),
    ],
    "desk_policy_proposals": [
        row_number(),
        *texts("policy", "proposal_key", "version", "text_fingerprint", "section", "base_version", "base_text", "note"),
        *texts("proposed_by"),
        *filled(UtcDateTime, "proposed_at"),
        sa.Index("desk_policy_proposals_by_key", "policy", "proposal_key", unique=True),
    ],
    "desk_policy_withdrawals": [
        row_number("proposal_id", counted=False),
        *texts("withdrawn_by"),
        *filled(UtcDateTime, "withdrawn_at"),
    ],
}


def columns_of(name: str) -> list[str]:
    """Return the columns of a table."""
    return [part.name for part in TABLES[name] if isinstance(part, sa.Column)]


def upgrade() -> None:
    """Make the tables that are missing."""
    present = sa.inspect(op.get_bind()).get_table_names()
    for name, parts in TABLES.items():
        if name not in present:
            op.create_table(name, *parts)
