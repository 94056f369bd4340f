"""The tables of what a policy owner proposes, beside the ledger's in the same database."""

from sqlalchemy import Column, Index, MetaData, String, Table

from al_assets.storage.ledger.tables import ROW_NUMBER, UtcDateTime

METADATA = MetaData()

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

WITHDRAWALS = Table(
    "desk_policy_withdrawals",
    METADATA,
    Column("proposal_id", ROW_NUMBER, primary_key=True, autoincrement=False),
    Column("withdrawn_by", String, nullable=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
)
