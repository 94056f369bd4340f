"""The tables as they were before versions had numbers; those that are missing are made."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def _key(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _number(name: str = "id", *, counted: bool = True) -> sa.Column[int]:
    return sa.Column(name, _NUMBER, primary_key=True, autoincrement=counted)


TABLES: dict[str, list[sa.schema.SchemaItem]] = {
    "queue": [
        *_key("policy", "iteration", "item_id"),
        *_text("text", "reason"),
        sa.Column("pair_id", sa.String),
        *_text("group_id"),
        sa.Column("stratum", sa.String),
        sa.Column("stratum_size", sa.BigInteger),
        sa.Column("inclusion_probability", sa.Float),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        _moment("published_at"),
        *_text("selected_by"),
        sa.Index("queue_by_item", "policy", "item_id"),
    ],
    "queue_reasons": [*_key("policy", "iteration", "item_id"), *_text("known")],
    "votes": [
        _number("seq", counted=False),
        *_text("vote_key", "policy", "item_id", "iteration", "rater", "label", "policy_version"),
        sa.Column("policy_fingerprint", sa.String),
        *_text("selected_by"),
        sa.Column("inclusion_probability", sa.Float),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("comment", sa.String),
        *_text("source"),
        _moment("voted_at"),
        _moment("recorded_at"),
        sa.Column("supersedes", _NUMBER),
        sa.UniqueConstraint("policy", "vote_key", name="votes_vote_key"),
        sa.Index("votes_by_item", "policy", "iteration", "item_id", "rater", "seq"),
    ],
    "vote_reasons": [_number("seq", counted=False), *_text("policy", "undecided_reason")],
    "adjudications": [
        _number("seq", counted=False),
        *_text("adjudication_key", "policy", "item_id", "iteration", "label", "adjudicator"),
        sa.Column("comment", sa.String),
        *_text("policy_version"),
        _moment("decided_at"),
        _moment("recorded_at"),
        sa.Column("supersedes", _NUMBER),
        sa.UniqueConstraint("policy", "adjudication_key", name="adjudications_key"),
        sa.Index("adjudications_by_item", "policy", "iteration", "item_id", "seq"),
    ],
    "rater_changes": [
        _number(),
        *_text("policy", "rater", "change", "changed_by"),
        _moment("changed_at"),
        sa.Index("rater_changes_by_policy", "policy", "id"),
    ],
    "policy_texts": [
        *_key("policy", "fingerprint"),
        *_text("version", "text_fingerprint", "text"),
        _moment("recorded_at"),
    ],
    "imports": [
        _number(),
        *_text("policy", "content_hash", "name"),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("accepted", "repeated", "superseding")),
        *_text("rejected_rows"),
        _moment("imported_at"),
        sa.Index("imports_by_content", "policy", "content_hash"),
    ],
    "desk_people": [
        *_key("policy", "name"),
        *_text("roles"),
        sa.Column("active", sa.Boolean, nullable=False),
        _moment("invited_at"),
        _moment("joined_at", nullable=True),
    ],
    "desk_invites": [
        *_key("token_hash"),
        *_text("policy", "name", "invited_by"),
        _moment("made_at"),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        _moment("revoked_at", nullable=True),
        sa.Index("desk_invites_by_name", "policy", "name"),
    ],
    "desk_sessions": [
        *_key("token_hash"),
        sa.Column("session_id", sa.String, nullable=False, unique=True),
        *_text("policy", "name", "browser"),
        _moment("started_at"),
        _moment("seen_at"),
        _moment("ended_at", nullable=True),
        sa.Index("desk_sessions_by_name", "policy", "name"),
    ],
    "desk_audit": [
        _number("seq"),
        *_text("policy"),
        _moment("at"),
        *_text("by", "act", "subject", "detail"),
        sa.Index("desk_audit_by_policy", "policy", "seq"),
    ],
    "desk_policy_proposals": [
        _number(),
        *_text("policy", "proposal_key", "version", "text_fingerprint", "section", "base_version", "base_text", "note"),
        *_text("proposed_by"),
        _moment("proposed_at"),
        sa.Index("desk_policy_proposals_by_key", "policy", "proposal_key", unique=True),
    ],
    "desk_policy_withdrawals": [
        _number("proposal_id", counted=False),
        *_text("withdrawn_by"),
        _moment("withdrawn_at"),
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
