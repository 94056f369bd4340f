"""Who answered what: built from the ledger's rows in the order of their ``seq``, one after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from al_assets.review.desk.rating.codes import is_desk_key
from al_assets.review.desk.rating.rounds import QuestionId
from al_assets.storage.ledger.tail import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

_NOBODY: frozenset[str] = frozenset()


class Standing:
    """The answers on record so far; an answer that was taken back is none."""

    def __init__(self) -> None:
        self.seq = 0
        self._rows: dict[tuple[str, QuestionId], list[VoteRow]] = defaultdict(list)
        self._answered: dict[QuestionId, set[str]] = defaultdict(set)
        # Of each rater the questions in the order of their latest rows.
        self._latest: dict[str, dict[QuestionId, VoteRow]] = defaultdict(dict)
        self._taken_back: dict[str, dict[QuestionId, int]] = defaultdict(dict)

    def apply(self, rows: Iterable[VoteRow]) -> None:
        """Take in the rows that follow; rows seen before are passed over."""
        for row in rows:
            if row.seq <= self.seq:
                continue
            self.seq = row.seq
            question = QuestionId(row.iteration, row.item_id)
            self._rows[row.rater, question].append(row)
            own = self._latest[row.rater]
            own.pop(question, None)
            own[question] = row
            if row.label == WITHDRAWN:
                self._answered[question].discard(row.rater)
                self._taken_back[row.rater][question] = row.seq
            else:
                self._answered[question].add(row.rater)
                self._taken_back[row.rater].pop(question, None)

    def answered_by(self, question: QuestionId) -> set[str] | frozenset[str]:
        """Return whose answers to a question count."""
        return self._answered.get(question, _NOBODY)

    def rows(self, rater: str, question: QuestionId) -> Sequence[VoteRow]:
        """Return all that a rater ever said to a question, in order."""
        return self._rows.get((rater, question), ())

    def latest(self, rater: str) -> Iterator[tuple[QuestionId, VoteRow]]:
        """Yield a rater's questions with what he said last to each, the most recent first."""
        return reversed(self._latest.get(rater, {}).items())

    def taken_back(self, rater: str) -> list[QuestionId]:
        """Return the questions whose answers a rater took back and has not given again, the last one first."""
        own = self._taken_back.get(rater, {})
        return sorted(own, key=lambda question: -own[question])

    def last_answers(self, rater: str, count: int) -> list[QuestionId]:
        """Return the questions a rater answered most recently, without those taken back."""
        answers = (question for question, row in self.latest(rater) if row.label != WITHDRAWN)
        return list(islice(answers, count))

    def last_on_desk(self, rater: str) -> QuestionId | None:
        """Return the question a rater answered last on the desk, if that answer still counts."""
        answers = (each for each, row in self.latest(rater) if row.label != WITHDRAWN and is_desk_key(row.vote_key))
        return next(answers, None)

    def moments(self, rater: str, count: int) -> list[datetime]:
        """Return when a rater last answered on the desk, in order."""
        answers = (
            row.voted_at for _, row in self.latest(rater) if row.label != WITHDRAWN and is_desk_key(row.vote_key)
        )
        return sorted(islice(answers, count))
