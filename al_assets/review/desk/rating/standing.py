"""Who answered what: built from the ledger's rows in the order of their ``seq``, one after the other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from statistics import median

from al_assets.review.desk.rating.round import QuestionId, is_from_desk
from al_assets.storage.ledger import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

PAUSE = timedelta(minutes=5)
_FEWEST = 5
_PACE_OF = 40
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

    def apply(self, rows: Iterable[VoteRow]) -> Iterator[VoteRow]:
        """Take in the rows that follow and yield each once it is; rows seen before are passed over."""
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
            yield row

    def answered_by(self, question: QuestionId) -> set[str] | frozenset[str]:
        """Return whose answers to a question count."""
        return self._answered.get(question, _NOBODY)

    def rows(self, rater: str, question: QuestionId) -> Sequence[VoteRow]:
        """Return all that a rater ever said to a question, in order."""
        return self._rows.get((rater, question), ())

    def on_record(self, rater: str, question: QuestionId, vote_key: str) -> VoteRow | None:
        """Return what is on record under the key of an answer."""
        return next((row for row in self.rows(rater, question) if row.vote_key == vote_key), None)

    def stands(self, rater: str, question: QuestionId, vote_key: str) -> bool:
        """Whether what was said under a key is the rater's last word on a question."""
        return [row.vote_key for row in self.rows(rater, question)][-1:] == [vote_key]

    def taken_back(self, rater: str) -> list[QuestionId]:
        """Return the questions whose answers a rater took back and has not given again, the last one first."""
        own = self._taken_back.get(rater, {})
        return sorted(own, key=lambda question: -own[question])

    def last_answers(self, rater: str, count: int) -> list[QuestionId]:
        """Return the questions a rater answered most recently, without those taken back."""
        return [question for question, _ in islice(self._latest_answers(rater), count)]

    def last_on_desk(self, rater: str) -> QuestionId | None:
        """Return the question a rater answered last on the desk, if that answer still counts."""
        return next((question for question, row in self._latest_answers(rater) if is_from_desk(row.vote_key)), None)

    def pace(self, rater: str) -> timedelta | None:
        """Return a rater's usual time for an answer on the desk, None before there are enough answers."""
        answers = (row.voted_at for _, row in self._latest_answers(rater) if is_from_desk(row.vote_key))
        return usual_time(sorted(islice(answers, _PACE_OF)))

    def _latest_answers(self, rater: str) -> Iterator[tuple[QuestionId, VoteRow]]:
        """Yield a rater's questions whose answers count, each with its row, the most recent first."""
        latest = reversed(self._latest.get(rater, {}).items())
        return ((question, row) for question, row in latest if row.label != WITHDRAWN)


def usual_time(moments: Sequence[datetime]) -> timedelta | None:
    """Return the median time between answers, pauses left out; None before there are enough answers."""
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    working = [gap.total_seconds() for gap in gaps if gap <= PAUSE]
    return timedelta(seconds=median(working)) if len(working) >= _FEWEST else None
