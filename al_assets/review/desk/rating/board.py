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

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from al_assets.review.desk.rating.claims import Claims
from al_assets.review.desk.rating.rounds import QuestionId, Round
from al_assets.review.desk.rating.standing import Standing
from al_assets.review.desk.rating.tally import Tally
from al_assets.review.questions import MIN_GAP
from al_assets.storage.ledger.tail import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

_Numbers = NDArray[np.int64]


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
    _tallies: dict[str, Tally] = field(default_factory=dict)
    _texts: dict[QuestionId, str] = field(default_factory=dict)
    _groups: dict[str, list[str]] = field(default_factory=dict)
    _members: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    _skipped: dict[str, dict[QuestionId, int]] = field(default_factory=dict)

    def publish(self, found: Round) -> None:
        """Take in the queue of an iteration, or a new revision of it."""
        self.rounds[found.iteration] = found
        questions = [QuestionId(found.iteration, item_id) for item_id in found.queue["item_id"]]
        self._texts.update(zip(questions, found.queue["text"], strict=True))
        self._groups[found.iteration] = groups = found.queue["group_id"].to_list()
        members: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(groups):
            members[group].append(number)
        self._members[found.iteration] = dict(members)
        answers = ((each.item_id, self.standing.answered_by(each)) for each in questions)
        self._tallies[found.iteration] = Tally(found, self.policy_name, self.votes_per_item, answers, self.raters)

    def set_raters(self, raters: Iterable[str]) -> None:
        """Say who may vote now; whoever may not loses his claim."""
        now = frozenset(raters)
        if now != self.raters:
            self.raters = now
            self.claims.keep_only(now)
            for each in self._tallies.values():
                each.set_present(now)

    def apply(self, rows: Iterable[VoteRow]) -> None:
        """Take in what was recorded since."""
        for row in rows:
            if row.seq > self.standing.seq and row.iteration in self._tallies:
                self._tallies[row.iteration].count(row.item_id, row.rater, is_answer=row.label != WITHDRAWN)
            self.standing.apply([row])

    def text(self, question: QuestionId) -> str:
        """Return the text of a published question."""
        return self._texts[question]

    def questions(self) -> Iterator[QuestionId]:
        """Yield every question of every published iteration."""
        return iter(self._texts)

    def is_ready_for(self, rater: str) -> bool:
        """Whether the rater's order of the newest round is known, so that surveys take no time."""
        return not self._tallies or self._tallies[max(self._tallies)].is_ordered_for(rater)

    def get_ready_for(self, rater: str) -> None:
        """Work out the rater's order of the newest round; other threads may use the board meanwhile."""
        if tallies := dict(self._tallies):
            tallies[max(tallies)].order_for(rater)

    def open_rounds(self, now: datetime) -> list[Round]:
        """Return the newest round, due or not, then the older ones that are not due yet, newest first."""
        newest_first = [self.rounds[iteration] for iteration in sorted(self.rounds, reverse=True)]
        return newest_first[:1] + [each for each in newest_first[1:] if not self._is_due(each, now)]

    def survey(self, rater: str, now: datetime, *, claim: bool = True) -> Survey:
        """Choose what lies before a rater; the same as before as long as he may still answer it.

        :param claim: keep others away from the question from now on; without it nothing changes.
        """
        answered, left, share = 0, 0, 0.0
        free: dict[str, _Numbers] = {}
        for each in self.open_rounds(now) if rater in self.raters else []:
            found = self._tallies[each.iteration].reach(rater)
            answered += found.answered
            left += len(found.waiting)
            share += found.share
            free[each.iteration] = self._free(rater, each.iteration, found.waiting, now)
        question = self._chosen(rater, free)
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

    def is_open(self, rater: str, question: QuestionId, now: datetime) -> bool:
        """Whether a rater is asked a question's round at all: he may vote, and the round is not over."""
        return rater in self.raters and question.iteration in {each.iteration for each in self.open_rounds(now)}

    def last_answer(self, rater: str, now: datetime) -> QuestionId | None:
        """Return the question that a rater answered last, if its round is open: that answer he may take back."""
        last = self.standing.last_on_desk(rater)
        return last if last and self.is_open(rater, last, now) else None

    def _is_due(self, found: Round, now: datetime) -> bool:
        deadline = found.deadline(self.deadline_hours)
        return deadline is not None and deadline <= now

    def _free(self, rater: str, iteration: str, waiting: _Numbers, now: datetime) -> _Numbers:
        """Leave out what those who have it before them will complete."""
        tally = self._tallies[iteration]
        taken = [
            tally.numbers[question.item_id]
            for question, others in self.claims.of_others(rater, now).items()
            if question.iteration == iteration and tally.is_complete_with(tally.numbers[question.item_id], others)
        ]
        return _without(waiting, taken)

    def _chosen(self, rater: str, free: dict[str, _Numbers]) -> QuestionId | None:
        held, skipped = self.claims.held(rater), self._skipped.get(rater, {})
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
            members, tally = self._members[iteration], self._tallies[iteration]
            fresh = _without(numbers, [tally.numbers[each.item_id] for each in skipped if each.iteration == iteration])
            apart = _without(fresh, [number for group in near for number in members.get(group, ())])
            if apart.size:
                return QuestionId(iteration, tally.items[tally.first(rater, apart)])
            if fresh.size and fallback is None:
                fallback = QuestionId(iteration, tally.items[tally.first(rater, fresh)])
        if fallback is not None:
            return fallback
        return next((each for each in sorted(skipped, key=lambda it: skipped[it]) if self._is_among(each, free)), None)

    def _is_among(self, question: QuestionId, free: dict[str, _Numbers]) -> bool:
        numbers, number = free.get(question.iteration), self._number(question)
        return numbers is not None and number is not None and bool((numbers == number).any())

    def _number(self, question: QuestionId) -> int | None:
        """Return a question's number; None for one that was published since and answered already."""
        tally = self._tallies.get(question.iteration)
        return None if tally is None else tally.numbers.get(question.item_id)

    def _group(self, question: QuestionId) -> str | None:
        number = self._number(question)
        return None if number is None else self._groups[question.iteration][number]


def _without(numbers: _Numbers, some: Sequence[int]) -> _Numbers:
    """Leave out some of ascending numbers; with marks, since numpy's ``isin`` takes ten times as long for so few."""
    if not some or not numbers.size:
        return numbers
    keep = np.ones(max(int(numbers[-1]), *some) + 1, dtype=np.bool_)
    keep[some] = False
    return numbers[keep[numbers]]
