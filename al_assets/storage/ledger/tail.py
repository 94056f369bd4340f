"""The ledger's votes as they come in: rows after a place in it, cheap enough to be asked for every second."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

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
    # Not the bare column: SQLite would walk all of the policy's votes by another index instead of going by seq.
    of_policy = func.coalesce(VOTES.c.policy, "") == policy
    query = select(*columns).select_from(joined).where(VOTES.c.seq > seq, of_policy).order_by(VOTES.c.seq)
    return [VoteRow(*row) for row in connection.execute(query)]
