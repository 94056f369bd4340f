"""When the queues were published: what tells a reader cheaply whether there is anything new to ask."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from al_assets.storage.ledger.tables import QUEUE


class Publication(NamedTuple):
    """When an iteration's queue was published last, and under which revision."""

    revision: int
    published_at: datetime


def read_publications(connection: Connection, policy: str) -> dict[str, Publication]:
    """Return each published iteration's last publication, the oldest iteration first."""
    query = select(QUEUE.c.iteration, func.max(QUEUE.c.revision), func.max(QUEUE.c.published_at))
    query = query.where(QUEUE.c.policy == policy).group_by(QUEUE.c.iteration).order_by(QUEUE.c.iteration)
    return {iteration: Publication(*last) for iteration, *last in connection.execute(query)}
