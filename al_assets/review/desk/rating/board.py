"""Which question a rater gets next: decided from the queues, the answers so far and what lies before the others.

Nothing here reads a clock or a database. The rules:

- Never a question the rater has answered, a repeat he had not answered before, or an item that gets enough votes from
  those who answered it and those who have it before them.
- First a question whose answer he has just taken back; last those he skipped.
- Members of a group at least ``MIN_GAP`` answers apart, unless nothing else is left.
- The newest iteration first, then older ones that are not due yet.
- Items with most votes first, so that items get complete early; between equals the rater's own random order.

A repeat may need fewer votes than other items. It is ranked by the votes it has all the same: if it came earlier than
others it would give itself away.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from al_assets.review.desk.rating.claims import Claims
from al_assets.review.desk.rating.reach import Waiting, counted_with, reach
from al_assets.review.desk.rating.rounds import QuestionId, Round
from al_assets.review.desk.rating.standing import Standing
from al_assets.review.ordering import MIN_GAP, blind_order
from al_assets.storage.ledger.votes import WITHDRAWN


@dataclass(frozen=True)
class Survey:
    """What a rater's desk looks like.

    :param question: what lies before him now; None when nothing waits for him.
    :param answered: his answers in the rounds that are open.
    :param left: questions that may yet be asked of him.
    :param share: how many of them will be his when all present raters do as much; at most ``left``.
    """

    question: QuestionId | None
    answered: int
    left: int
    share: float


class _Item(NamedTuple):
    text: str
    group_id: str


@dataclass
class Board:
    """The questions of one policy and how far each is.

    :param deadline_hours: after the last publication; older rounds that are due are no longer asked.
    """

    policy_name: str
    votes_per_item: int
    deadline_hours: float | None = None
    claims: Claims = field(default_factory=Claims)
    standing: Standing = field(default_factory=Standing)
    raters: frozenset[str] = frozenset()
    rounds: dict[str, Round] = field(default_factory=dict)
    _items: dict[QuestionId, _Item] = field(default_factory=dict)
    _orders: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _skipped: dict[str, dict[QuestionId, int]] = field(default_factory=dict)

    def publish(self, found: Round) -> None:
        """Take in the queue of an iteration, or a new revision of it."""
        self.rounds[found.iteration] = found
        for item_id, *item in found.queue.select("item_id", "text", "group_id").iter_rows():
            self._items[QuestionId(found.iteration, item_id)] = _Item(*item)
        self._orders = {whose: order for whose, order in self._orders.items() if whose[0] != found.iteration}

    def set_raters(self, raters: Iterable[str]) -> None:
        """Say who may vote now; whoever may not loses his claim."""
        self.raters = frozenset(raters)
        self.claims.keep_only(self.raters)

    def text(self, question: QuestionId) -> str:
        """Return the text of a published question."""
        return self._items[question].text

    def questions(self) -> Iterator[QuestionId]:
        """Yield every question of every published iteration."""
        return iter(self._items)

    def open_rounds(self, now: datetime) -> list[Round]:
        """Return the newest round, due or not, then the older ones that are not due yet, newest first."""
        newest_first = [self.rounds[iteration] for iteration in sorted(self.rounds, reverse=True)]
        return newest_first[:1] + [each for each in newest_first[1:] if not self._is_due(each, now)]

    def survey(self, rater: str, now: datetime, *, claim: bool = True) -> Survey:
        """Choose what lies before a rater; the same as before as long as he may still answer it.

        :param claim: keep others away from the question from now on; without it nothing changes.
        """
        answered, left, share = 0, 0, 0.0
        rounds = self.open_rounds(now) if rater in self.raters else []
        choice: list[tuple[int, Waiting]] = []
        for age, each in enumerate(rounds):
            found = reach(rater, each, self._order(rater, each), self.standing, self.raters, self.votes_per_item)
            answered += found.answered
            left += len(found.waiting)
            share += found.share
            choice += [(age, waiting) for waiting in found.waiting]
        question = self._chosen(rater, self._free(rater, choice, now))
        if claim and question is not None:
            self.claims.hold(rater, question, now)
        elif claim:
            self.claims.give_up(rater)
        return Survey(question, answered, left, share)

    def skip(self, rater: str, question: QuestionId) -> None:
        """Put a question behind all others of a rater, and give it up."""
        skipped = self._skipped.setdefault(rater, {})
        skipped[question] = max(skipped.values(), default=0) + 1
        if self.claims.held(rater) == question:
            self.claims.give_up(rater)

    def take_up(self, rater: str, question: QuestionId, now: datetime) -> None:
        """Put a question before a rater; that he skipped it once is forgotten."""
        self._skipped.get(rater, {}).pop(question, None)
        self.claims.hold(rater, question, now)

    def last_answer(self, rater: str, now: datetime) -> QuestionId | None:
        """Return the question that a rater answered last, if its round is open: that answer he may take back."""
        last = self.standing.last_on_desk(rater)
        return last if last and last.iteration in {each.iteration for each in self.open_rounds(now)} else None

    def _is_due(self, found: Round, now: datetime) -> bool:
        deadline = found.deadline(self.deadline_hours)
        return deadline is not None and deadline <= now

    def _order(self, rater: str, found: Round) -> list[str]:
        whose = (found.iteration, rater)
        if whose not in self._orders:
            ordered = blind_order(found.queue, self.policy_name, found.iteration, rater)
            self._orders[whose] = ordered["item_id"].to_list()
        return self._orders[whose]

    def _free(self, rater: str, choice: list[tuple[int, Waiting]], now: datetime) -> list[tuple[int, Waiting]]:
        """Leave out what those who have it before them will complete."""
        claimed = self.claims.of_others(rater, now)

        def is_free(question: QuestionId) -> bool:
            before = self.rounds[question.iteration].asked_again.get(question.item_id)
            votes = self.standing.answered_by(question)
            return counted_with(votes, claimed[question], before) < self.votes_per_item

        return [each for each in choice if each[1].question not in claimed or is_free(each[1].question)]

    def _chosen(self, rater: str, choice: list[tuple[int, Waiting]]) -> QuestionId | None:
        if not choice:
            return None
        held = self.claims.held(rater)
        if any(waiting.question == held for _, waiting in choice):
            return held
        skipped = self._skipped.get(rater, {})
        taken_back = {question: row.seq for question, row in self.standing.latest(rater) if row.label == WITHDRAWN}
        near = {self._items[each].group_id for each in (*self.standing.last_answers(rater, MIN_GAP), *skipped)}

        def rank(each: tuple[int, Waiting]) -> tuple[int, int, bool, int, int, int]:
            age, (question, votes, place) = each
            is_near = self._items[question].group_id in near
            return skipped.get(question, 0), -taken_back.get(question, 0), is_near, age, -votes, place

        return min(choice, key=rank)[1].question
