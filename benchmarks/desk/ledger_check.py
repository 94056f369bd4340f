"""What became of the answers: every accepted one is on record, and none twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from al_assets.review.desk.rating.codes import question_code
from al_assets.storage.ledger import Ledger
from benchmarks.desk.prepared_desk import ITERATION, VOTES_PER_ITEM, Place


@dataclass(frozen=True)
class Ledgered:
    """The ledger after a run.

    :param lost: answers that a page called saved and that are not on record.
    :param doubled: rows on record beyond one for each rater and question.
    :param too_many: votes beyond those that the policy asks for each item; each cost a rater's time.
    """

    votes: int
    lost: int
    doubled: int
    too_many: int


def check_ledger(place: Place, key: bytes, accepted: Sequence[tuple[str, str]]) -> Ledgered:
    """Compare the ledger's whole history with what the raters were told.

    :param key: the desk's.
    :param accepted: (rater, form's action) of every answer that a page called saved.
    """
    with Ledger.of(place.policy) as ledger:
        rows = ledger.history().select("rater", "item_id").rows()
    recorded = Counter((rater, _action(place, key, rater, item)) for rater, item in rows)
    items = Counter(item for _, item in set(rows))
    return Ledgered(
        votes=len(rows),
        lost=sum(each not in recorded for each in set(accepted)),
        doubled=sum(count - 1 for count in recorded.values()),
        too_many=sum(max(0, count - VOTES_PER_ITEM) for count in items.values()),
    )


def _action(place: Place, key: bytes, rater: str, item: str) -> str:
    return f"/questions/{question_code(key, place.policy.policy.name, ITERATION, item, rater)}/answer"
