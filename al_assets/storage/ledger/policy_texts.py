"""What raters read under each state of the policy: kept with the votes, so that an edit can be told from a new name."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, insert, select

from al_assets.config import PolicyText
from al_assets.storage.ledger.tables import POLICY_TEXTS

POLICY_TEXTS_SCHEMA = pl.Schema(
    {
        "fingerprint": pl.String(), "version": pl.String(), "text_fingerprint": pl.String(), "text": pl.String(),
        "recorded_at": pl.Datetime("us", "UTC"),
    }
)  # fmt: skip


def note_text(connection: Connection, policy: str, text: PolicyText) -> None:
    """Put the policy as it reads now on record, unless it is; the connection holds the write lock."""
    row = text_row(text)
    known = select(POLICY_TEXTS.c.version).where(
        POLICY_TEXTS.c.policy == policy, POLICY_TEXTS.c.fingerprint == row["fingerprint"]
    )
    if connection.execute(known).first() is None:
        connection.execute(insert(POLICY_TEXTS), [{"policy": policy, **row, "recorded_at": datetime.now(UTC)}])


def text_row(text: PolicyText) -> dict[str, str]:
    """Return what is on record of a state of the policy: the columns of POLICY_TEXTS_SCHEMA without the time."""
    return {
        "fingerprint": text.fingerprint(),
        "version": text.version,
        "text_fingerprint": text.text_fingerprint(),
        "text": json.dumps(text.read_by_raters(), sort_keys=True),
    }


def texts_query(policy: str) -> Select[Any]:
    """Select the texts on record, the oldest first."""
    columns = (POLICY_TEXTS.c[name] for name in POLICY_TEXTS_SCHEMA)
    query = select(*columns).where(POLICY_TEXTS.c.policy == policy)
    return query.order_by(POLICY_TEXTS.c.recorded_at, POLICY_TEXTS.c.fingerprint)
