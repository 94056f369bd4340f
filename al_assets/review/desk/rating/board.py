"""Which question a rater gets next: decided from the queues, the answers so far and what lies before the others.

Nothing here reads a clock or a database. The rules:

- Never a question the rater has answered, a repeat they had not answered before, or an item that gets enough votes
  from those who answered it and those who have it before them.
- First a question whose answer the rater has just taken back; last those they skipped.
- Members of a group at least ``MIN_GAP`` answers apart, unless nothing else is left.
- The newest iteration first, then older ones that are not due yet.
- Items with most votes first, so that items get complete early; between equals the rater's own random order.

A repeat may need fewer votes than other items. It is ranked by the votes it has all the same: if it came earlier than
others it would give itself away.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from al_assets.review.desk.rating.round import QuestionId, QuestionRound
from al_assets.review.desk.rating.standing import Standing
from al_assets.review.questions import MIN_GAP
from al_assets.storage.ledger import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

IDLE = timedelta(minutes=10)
_Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """What a rater's page is made from; nothing in it tells of other raters' answers.

    :param question: what lies before the rater now; None when nothing waits for them.
    :param text: of the question; "" without one.
    :param turn: how many rows the rater has on record for the question.
    :param taken_back: the answer that the rater gave to it before and took back.
    :param answered: the rater's answers in the rounds that are open.
    :param waiting: questions that may yet be asked of the rater.
    :param share: how many of them will be theirs when all present raters do as much; at most ``waiting``.
    :param pace: the rater's usual time for an answer; None before there are enough.
    :param last: the question whose answer may be taken back, and its turn.
    :param is_rater: whether this person may vote now.
    :param now: when this was so.
    """

    question: QuestionId | None
    text: str
    turn: int
    taken_back: VoteRow | None
    answered: int
    waiting: int
    share: float
    pace: timedelta | None
    deadline: datetime | None
    last: tuple[QuestionId, int] | None
    is_rater: bool
    now: datetime

    @property
    def left(self) -> int:
        """How many questions will be the rater's, as far as can be told."""
        return min(self.waiting, max(round(self.share), 1)) if self.waiting else 0

    @property
    def exact(self) -> bool:
        """Whether ``left`` is certain; with more raters than votes it depends on who is faster."""
        return abs(self.waiting - self.share) < 0.5

    @property
    def time_left(self) -> timedelta | None:
        """How long the rest takes at the rater's own pace."""
        return None if self.pace is None else self.pace * self.left


class Board:
    """The questions of one policy, how far each is, and which lies before whom.

    What lies before whom is kept in memory only: forgetting it costs an extra vote at worst.

    :param deadline_hours: after the last publication; older rounds that are due are no longer asked.
    """

    def __init__(self, policy_name: str, votes_per_item: int, deadline_hours: float | None = None) -> None:
        self.policy_name = policy_name
        self.votes_per_item = votes_per_item
        self.deadline_hours = deadline_hours
        self.standing = Standing()
        self.raters: frozenset[str] = frozenset()
        self.rounds: dict[str, QuestionRound] = {}
        # Of each rater the question that lies before them, and since when there was no sign of life.
        self._held: dict[str, tuple[QuestionId, datetime]] = {}
        self._skipped: dict[str, dict[QuestionId, int]] = {}

    def publish(self, published: QuestionRound) -> None:
        """Take in the queue of an iteration, or a new revision of it."""
        for question in published.questions():
            for rater in self.standing.answered_by(question):
                published.count(question.item_id, rater, is_answer=True)
        published.set_present(self.raters)
        self.rounds[published.iteration] = published

    def set_raters(self, raters: Iterable[str]) -> None:
        """Say who may vote now; what lies before somebody who may not is free again."""
        now = frozenset(raters)
        if now != self.raters:
            self.raters = now
            for rater in self._held.keys() - now:
                del self._held[rater]
            for each in self.rounds.values():
                each.set_present(now)

    def apply(self, rows: Iterable[VoteRow]) -> None:
        """Take in what was recorded since."""
        for row in self.standing.apply(rows):
            if row.iteration in self.rounds:
                self.rounds[row.iteration].count(row.item_id, row.rater, is_answer=row.label != WITHDRAWN)

    def questions(self) -> Iterator[QuestionId]:
        """Yield every question of every published iteration."""
        return (question for each in self.rounds.values() for question in each.questions())

    def open_rounds(self, now: datetime) -> list[QuestionRound]:
        """Return the newest round, due or not, then the older ones that are not due yet, newest first."""
        newest_first = [self.rounds[iteration] for iteration in sorted(self.rounds, reverse=True)]
        return newest_first[:1] + [each for each in newest_first[1:] if not self._is_due(each, now)]

    def view(self, rater: str, now: datetime, *, claim: bool = True, question: QuestionId | None = None) -> View:
        """Choose what lies before a rater; the same as before as long as they may still answer it.

        :param claim: keep others away from the question from now on; without it nothing changes.
        :param question: put this one before the rater, whatever the rules say.
        """
        answered, left, share = 0, 0, 0.0
        free: dict[str, _Numbers] = {}
        for each in self.open_rounds(now) if rater in self.raters else []:
            given, waiting, own = each.outlook(rater, self.votes_per_item)
            answered, left, share = answered + given, left + len(waiting), share + own
            free[each.iteration] = self._free(rater, each, waiting, now)
        if question is not None:
            self.take_up(rater, question, now)
        else:
            question = self._chosen(rater, free)
            if claim and question is not None:
                self._held[rater] = (question, now)
            elif claim:
                self.give_up(rater)
        return self._view(rater, question, answered, left, share, now)

    def skip(self, rater: str, question: QuestionId) -> None:
        """Put a question behind all others of a rater, and give it up."""
        skipped = self._skipped.setdefault(rater, {})
        skipped[question] = max(skipped.values(), default=0) + 1
        if self.held(rater) == question:
            self.give_up(rater)

    def take_up(self, rater: str, question: QuestionId, now: datetime) -> None:
        """Put a question before a rater; that they skipped it once is forgotten."""
        self._skipped.get(rater, {}).pop(question, None)
        self._held[rater] = (question, now)

    def take_back(self, rater: str, question: QuestionId, turn: int, now: datetime) -> bool:
        """Put a question before a rater who is about to take its answer back, so that nobody else gets it meanwhile.

        :return: whether they may: not when there is more on record than on the page they saw, nor when its round is
            over for them, since they could not answer again.
        """
        may = len(self.standing.rows(rater, question)) == turn and self._is_open(rater, question, now)
        if may:
            self.take_up(rater, question, now)
        return may

    def give_up(self, rater: str) -> None:
        """Free what lies before a rater."""
        self._held.pop(rater, None)

    def held(self, rater: str) -> QuestionId | None:
        """Return the question that lies before a rater, even if they have been idle for long."""
        return self._held[rater][0] if rater in self._held else None

    def held_by_others(self, rater: str, now: datetime) -> Mapping[QuestionId, set[str]]:
        """Return before whom else each question lies, without those who have been idle for long."""
        others: dict[QuestionId, set[str]] = defaultdict(set)
        for other, (question, since) in self._held.items():
            if other != rater and now - since < IDLE:
                others[question].add(other)
        return others

    def last_answer(self, rater: str, now: datetime) -> QuestionId | None:
        """Return the question that a rater answered last, if its round is open: that answer may be taken back."""
        last = self.standing.last_on_desk(rater)
        return last if last and self._is_open(rater, last, now) else None

    def _view(
        self, rater: str, question: QuestionId | None, answered: int, waiting: int, share: float, now: datetime
    ) -> View:
        rows = self.standing.rows(rater, question) if question else ()
        given = [row for row in rows if row.label != WITHDRAWN]
        last = self.last_answer(rater, now)
        iteration = question.iteration if question else max(self.rounds, default=None)
        return View(
            question=question,
            text=self.rounds[question.iteration].text(question.item_id) if question else "",
            turn=len(rows),
            taken_back=given[-1] if given and rows[-1].label == WITHDRAWN else None,
            answered=answered,
            waiting=waiting,
            share=share,
            pace=self.standing.pace(rater),
            deadline=self.rounds[iteration].deadline(self.deadline_hours) if iteration else None,
            last=(last, len(self.standing.rows(rater, last))) if last else None,
            is_rater=rater in self.raters,
            now=now,
        )

    def _is_open(self, rater: str, question: QuestionId, now: datetime) -> bool:
        """Whether a rater is asked a question's round at all: they may vote, and the round is not over."""
        return rater in self.raters and question.iteration in {each.iteration for each in self.open_rounds(now)}

    def _is_due(self, each: QuestionRound, now: datetime) -> bool:
        deadline = each.deadline(self.deadline_hours)
        return deadline is not None and deadline <= now

    def _free(self, rater: str, asked: QuestionRound, waiting: _Numbers, now: datetime) -> _Numbers:
        """Leave out what those who have it before them will complete."""
        taken = [
            asked.numbers[question.item_id]
            for question, others in self.held_by_others(rater, now).items()
            if question.iteration == asked.iteration
            and asked.is_complete_with(question.item_id, others, self.votes_per_item)
        ]
        return _without(waiting, taken)

    def _chosen(self, rater: str, free: dict[str, _Numbers]) -> QuestionId | None:
        held, skipped = self.held(rater), self._skipped.get(rater, {})
        special = [
            *([held] if held else []),
            *(each for each in self.standing.taken_back(rater) if each not in skipped),
        ]
        if question := next((each for each in special if self._is_among(each, free)), None):
            return question
        recent = (*self.standing.last_answers(rater, MIN_GAP), *skipped)
        near = {group for each in recent if (group := self._group(each)) is not None}
        fallback = None
        for iteration, numbers in free.items():
            asked = self.rounds[iteration]
            fresh = _without(numbers, [asked.numbers[each.item_id] for each in skipped if each.iteration == iteration])
            apart = _without(fresh, [number for group in near for number in asked.members.get(group, ())])
            if apart.size:
                return asked.first(rater, self.policy_name, apart)
            if fresh.size and fallback is None:
                fallback = asked.first(rater, self.policy_name, fresh)
        if fallback is not None:
            return fallback
        return next((each for each in sorted(skipped, key=lambda it: skipped[it]) if self._is_among(each, free)), None)

    def _is_among(self, question: QuestionId, free: dict[str, _Numbers]) -> bool:
        numbers, number = free.get(question.iteration), self._number(question)
        return numbers is not None and number is not None and bool((numbers == number).any())

    def _number(self, question: QuestionId) -> int | None:
        """Return a question's number; None for one that was published since and answered already."""
        asked = self.rounds.get(question.iteration)
        return None if asked is None else asked.numbers.get(question.item_id)

    def _group(self, question: QuestionId) -> str | None:
        number = self._number(question)
        return None if number is None else self.rounds[question.iteration].groups[number]


def _without(numbers: _Numbers, some: Sequence[int]) -> _Numbers:
    """Leave out some of ascending numbers; with marks, since numpy's ``isin`` takes ten times as long for so few."""
    if not some or not numbers.size:
        return numbers
    keep = np.ones(max(int(numbers[-1]), *some) + 1, dtype=np.bool_)
    keep[some] = False
    return numbers[keep[numbers]]
