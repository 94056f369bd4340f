"""One round: the queue of an iteration as the desk asks it, how many votes each question has, and who may be asked."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.review.desk.security.secret import keyed_digest
from al_assets.review.questions import blind_order

_DESK = "desk:"
_Numbers = NDArray[np.int64]
_Marks = NDArray[np.bool_]


class QuestionId(NamedTuple):
    """What is asked, whoever is asked."""

    iteration: str
    item_id: str


def question_code(secret: bytes, policy: str, question: QuestionId, rater: str) -> str:
    """Return the code of a question on a rater's page: another for each rater, so nobody can name another's."""
    return keyed_digest(secret, "question", policy, *question, rater)[:16]


def desk_vote_key(secret: bytes, policy: str, question: QuestionId, rater: str, turn: int) -> str:
    """Return the ledger's ``vote_key`` of an answer: the same form sent twice has the same one, so it counts once.

    :param turn: how many rows the rater has on record for the question, withdrawals included.
    """
    return _DESK + keyed_digest(secret, "answer", policy, *question, rater, str(turn))[:32]


def is_from_desk(vote_key: str) -> bool:
    """Whether an answer was given on the desk."""
    return vote_key.startswith(_DESK)


class QuestionRound:
    """The queue of one iteration; its questions go by their number in queue order.

    Counts are kept in arrays, since every answer asks about all questions.

    :param queue: item_id, text, group_id and revision, in queue order; published items never change.
    :param asked_again: for each repeat who answered the item before: nobody else is asked.
    :param published_at: of the last revision; None only where no deadline is wanted.
    """

    def __init__(
        self,
        iteration: str,
        queue: pl.DataFrame,
        asked_again: Mapping[str, frozenset[str]],
        published_at: datetime | None = None,
    ) -> None:
        self.iteration = iteration
        self.queue = queue
        self.asked_again = asked_again
        self.published_at = published_at
        self.items: list[str] = queue["item_id"].to_list()
        self.numbers = {item_id: number for number, item_id in enumerate(self.items)}
        self.groups: list[str] = queue["group_id"].to_list()
        self.members: dict[str, list[int]] = {}
        for number, group in enumerate(self.groups):
            self.members.setdefault(group, []).append(number)
        self.votes: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._present: frozenset[str] = frozenset()
        self._asked: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._votes_of_present: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._answered: dict[str, _Marks] = {}
        self._closed_to: dict[str, _Marks] = {}
        self._places: dict[str, _Numbers] = {}

    def questions(self) -> Iterable[QuestionId]:
        """Yield the questions in queue order."""
        return (QuestionId(self.iteration, item_id) for item_id in self.items)

    def text(self, item_id: str) -> str:
        """Return the text of an item."""
        return str(self.queue["text"][self.numbers[item_id]])

    def deadline(self, hours: float | None) -> datetime | None:
        """Return when the answers are due, None if they never are."""
        return None if hours is None or self.published_at is None else self.published_at + timedelta(hours=hours)

    def set_present(self, raters: frozenset[str]) -> None:
        """Say who may vote now."""
        self._present = raters
        self._asked[:] = len(raters)
        for item_id, before in self.asked_again.items():
            if item_id in self.numbers:
                self._asked[self.numbers[item_id]] = len(raters & before)
        self._votes_of_present[:] = 0
        for rater in raters & self._answered.keys():
            self._votes_of_present += self._answered[rater] & ~self._closed(rater)

    def count(self, item_id: str, rater: str, *, is_answer: bool) -> None:
        """Note that a rater's answer to an item counts from now on, or no longer does."""
        number = self.numbers.get(item_id)
        if number is None:
            return
        answered = self._answers_of(rater)
        if bool(answered[number]) == is_answer:
            return
        answered[number] = is_answer
        if not self._closed(rater)[number]:
            # To a repeat only those who had answered it before are asked; no other vote counts.
            step = 1 if is_answer else -1
            self.votes[number] += step
            self._votes_of_present[number] += step * (rater in self._present)

    def outlook(self, rater: str, votes_per_item: int) -> tuple[int, _Numbers, float]:
        """Return how many questions a rater answered, which may yet be asked of them, and their likely share of these.

        The share is how many of them will be theirs when all present raters do as much.
        """
        answered = self._answers_of(rater)
        waiting = np.flatnonzero(~answered & ~self._closed(rater) & (self.votes < votes_per_item))
        free = np.maximum(self._asked[waiting] - self._votes_of_present[waiting], 1)
        share = np.minimum((votes_per_item - self.votes[waiting]) / free, 1.0).sum()
        return int(answered.sum()), waiting, float(share)

    def is_complete_with(self, item_id: str, others: Collection[str], votes_per_item: int) -> bool:
        """Whether an item has enough votes once those others have answered it."""
        number = self.numbers[item_id]
        if int(self.votes[number]) + len(others) < votes_per_item:
            return False
        new = [rater for rater in others if not self._answers_of(rater)[number] and not self._closed(rater)[number]]
        return int(self.votes[number]) + len(new) >= votes_per_item

    def first(self, rater: str, policy: str, among: _Numbers) -> QuestionId:
        """Return which of some questions comes first: that with most votes, between equals by the rater's order."""
        places = self.order_for(rater, policy)[among]
        number = int(among[np.argmin(places - self.votes[among] * len(self.items))])
        return QuestionId(self.iteration, self.items[number])

    def is_ordered_for(self, rater: str) -> bool:
        """Whether the rater's order is known already: working it out takes a moment."""
        return rater in self._places

    def order_for(self, rater: str, policy: str) -> _Numbers:
        """Return the place of each question in the rater's own order; any thread may ask at any time."""
        if rater not in self._places:
            ordered = blind_order(self.queue, policy, self.iteration, rater)
            places = np.empty(len(self.items), dtype=np.int64)
            places[[self.numbers[item_id] for item_id in ordered["item_id"]]] = np.arange(len(self.items))
            self._places[rater] = places
        return self._places[rater]

    def _answers_of(self, rater: str) -> _Marks:
        if rater not in self._answered:
            self._answered[rater] = np.zeros(len(self.items), dtype=np.bool_)
        return self._answered[rater]

    def _closed(self, rater: str) -> _Marks:
        """Mark the repeats that a rater had not answered before."""
        if rater not in self._closed_to:
            closed = np.zeros(len(self.items), dtype=np.bool_)
            for item_id, before in self.asked_again.items():
                if item_id in self.numbers:
                    closed[self.numbers[item_id]] = rater not in before
            self._closed_to[rater] = closed
        return self._closed_to[rater]
