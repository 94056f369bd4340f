"""What of one round a rater may still be asked, and how much of it will be his."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from al_assets.review.desk.rating.rounds import QuestionId, Round
from al_assets.review.desk.rating.standing import Standing


class Waiting(NamedTuple):
    """A question that may yet be asked of a rater.

    :param votes: how many answers it has that count.
    :param place: in the rater's own order.
    """

    question: QuestionId
    votes: int
    place: int


class Reach(NamedTuple):
    """One round from one rater's seat.

    :param share: how many of the waiting questions will be his when all present raters do as much.
    """

    answered: int
    waiting: list[Waiting]
    share: float


def reach(
    rater: str, of: Round, order: Sequence[str], standing: Standing, present: frozenset[str], votes_per_item: int
) -> Reach:
    """Return what a rater answered in a round and what may yet be asked of him there.

    :param order: the round's items in the rater's own order.
    :param present: who may vote now.
    """
    answered, waiting, share = 0, [], 0.0
    for place, item_id in enumerate(order):
        question = QuestionId(of.iteration, item_id)
        votes = standing.answered_by(question)
        if rater in votes:
            answered += 1
            continue
        before = of.asked_again.get(item_id)
        if before is not None:
            if rater not in before:
                continue
            votes = votes & before
        if len(votes) >= votes_per_item:
            continue
        waiting.append(Waiting(question, len(votes), place))
        share += _share(votes, present if before is None else present & before, votes_per_item)
    return Reach(answered, waiting, share)


def counted_with(votes: Collection[str], claims: Collection[str], before: frozenset[str] | None) -> int:
    """Return how many votes a question has once all who have it before them answer; others' than those asked are none."""
    together = {*votes, *claims}
    return len(together if before is None else together & before)


def _share(votes: Collection[str], asked: frozenset[str], votes_per_item: int) -> float:
    free = len(asked.difference(votes))
    return min(1.0, (votes_per_item - len(votes)) / free) if free else 0.0
