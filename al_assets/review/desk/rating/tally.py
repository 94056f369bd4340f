"""One round in numbers: how many votes each question has, and what a rater may still be asked."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from al_assets.review.desk.rating.rounds import Round
from al_assets.review.questions import blind_order

_Numbers = NDArray[np.int64]
_Marks = NDArray[np.bool_]


class Reach(NamedTuple):
    """One round from one rater's seat.

    :param waiting: which questions may yet be asked of him.
    :param share: how many of them will be his when all present raters do as much.
    """

    answered: int
    waiting: _Numbers
    share: float


class Tally:
    """The questions of a round by number, in queue order; kept in arrays, since every answer asks about all of them.

    :param answers: who answered which item so far.
    :param present: who may vote now.
    """

    def __init__(
        self,
        of: Round,
        policy_name: str,
        votes_per_item: int,
        answers: Iterable[tuple[str, Collection[str]]],
        present: frozenset[str],
    ) -> None:
        self.items: list[str] = of.queue["item_id"].to_list()
        self.numbers = {item_id: number for number, item_id in enumerate(self.items)}
        self.votes: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._round = of
        self._policy_name = policy_name
        self._enough = votes_per_item
        self._present = present
        self._asked: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._votes_of_present: _Numbers = np.zeros(len(self.items), dtype=np.int64)
        self._answered: dict[str, _Marks] = {}
        self._closed_to: dict[str, _Marks] = {}
        self._places: dict[str, _Numbers] = {}
        for item_id, raters in answers:
            for rater in raters:
                self.count(item_id, rater, is_answer=True)
        self.set_present(present)

    def set_present(self, raters: frozenset[str]) -> None:
        """Say who may vote now."""
        self._present = raters
        self._asked[:] = len(raters)
        for item_id, before in self._round.asked_again.items():
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

    def reach(self, rater: str) -> Reach:
        """Return what a rater answered and what may yet be asked of him."""
        answered = self._answers_of(rater)
        waiting = np.flatnonzero(~answered & ~self._closed(rater) & (self.votes < self._enough))
        free = np.maximum(self._asked[waiting] - self._votes_of_present[waiting], 1)
        share = np.minimum((self._enough - self.votes[waiting]) / free, 1.0).sum()
        return Reach(int(answered.sum()), waiting, float(share))

    def is_complete_with(self, number: int, others: Collection[str]) -> bool:
        """Whether a question has enough votes once those others have answered it."""
        if int(self.votes[number]) + len(others) < self._enough:
            return False
        new = [rater for rater in others if not self._answers_of(rater)[number] and not self._closed(rater)[number]]
        return int(self.votes[number]) + len(new) >= self._enough

    def first(self, rater: str, among: _Numbers) -> int:
        """Return which of some questions comes first: the one with most votes, between equals by the rater's order."""
        places = self.order_for(rater)[among]
        return int(among[np.argmin(places - self.votes[among] * len(self.items))])

    def is_ordered_for(self, rater: str) -> bool:
        """Whether the rater's order is known already: working it out takes a moment."""
        return rater in self._places

    def order_for(self, rater: str) -> _Numbers:
        """Return the place of each question in the rater's own order; any thread may ask at any time."""
        if rater not in self._places:
            ordered = blind_order(self._round.queue, self._policy_name, self._round.iteration, rater)
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
            for item_id, before in self._round.asked_again.items():
                if item_id in self.numbers:
                    closed[self.numbers[item_id]] = rater not in before
            self._closed_to[rater] = closed
        return self._closed_to[rater]
