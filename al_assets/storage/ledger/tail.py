"""The ledger's votes as they come in: rows after a place in it, cheap enough to be asked for every second."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from al_assets.storage.ledger.tables import VOTE_REASONS, VOTES


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


def votes_after(connection: Connection, policy: str, seq: int) -> list[VoteRow]:
    """Return every vote with a larger seq, in order."""
    columns = [VOTES.c[name] if name in VOTES.c else VOTE_REASONS.c[name] for name in VoteRow._fields]
    joined = VOTES.outerjoin(VOTE_REASONS, VOTE_REASONS.c.seq == VOTES.c.seq)
    query = select(*columns, VOTES.c.policy).select_from(joined).where(VOTES.c.seq > seq).order_by(VOTES.c.seq)
    # By seq alone: told the policy too, SQLite would walk all of its votes by another index.
    return [VoteRow(*row[:-1]) for row in connection.execute(query) if row.policy == policy]
