"""The published queues as the desk asks them: read once for each revision, because a published item never changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from al_assets.storage.ledger import Ledger


class QuestionId(NamedTuple):
    """What is asked, whoever is asked."""

    iteration: str
    item_id: str


@dataclass(frozen=True)
class Round:
    """The queue of one iteration.

    :param queue: item_id, text, group_id and revision, in queue order.
    :param asked_again: for each repeat who answered the item before: nobody else is asked.
    :param published_at: of the last revision; None only where no deadline is wanted.
    """

    iteration: str
    queue: pl.DataFrame
    asked_again: Mapping[str, frozenset[str]]
    published_at: datetime | None = None

    def deadline(self, hours: float | None) -> datetime | None:
        """Return when the answers are due, None if they never are."""
        return None if hours is None or self.published_at is None else self.published_at + timedelta(hours=hours)


def read_round(ledger: Ledger, iteration: str, published_at: datetime) -> Round:
    """Read the queue of a published iteration."""
    queue = ledger.queue(iteration).select("item_id", "text", "group_id", "revision")
    return Round(iteration, queue, ledger.repeat_raters(iteration), published_at)
