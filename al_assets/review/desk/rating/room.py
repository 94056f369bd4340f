"""The board of a running desk, kept up to date from its ledger; safe to use from many threads."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from al_assets.review.desk.rating.board import Board, Survey
from al_assets.review.desk.rating.codes import answer_key, question_code
from al_assets.review.desk.rating.pace import pace
from al_assets.review.desk.rating.rounds import QuestionId, read_round
from al_assets.review.desk.rating.shared_read import SharedRead
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger.publications import Publication
from al_assets.storage.ledger.tail import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN

_LOOK_SECONDS = 2.0
_PACE_OF = 40


@dataclass(frozen=True)
class Offer:
    """A question on a rater's page.

    :param turn: how many rows the rater has on record for it.
    :param taken_back: the answer he gave before and took back.
    """

    code: str
    text: str
    turn: int
    taken_back: VoteRow | None


@dataclass(frozen=True)
class View:
    """All that a rater's page is made from; nothing in it tells of other raters' answers.

    :param offer: None when nothing waits for him.
    :param left: how many questions will be his, as far as can be told.
    :param exact: whether ``left`` is certain; with more raters than votes it depends on who is faster.
    :param last: code and turn of the answer he may take back.
    :param is_rater: whether he may vote now.
    :param now: when this was so.
    """

    offer: Offer | None
    answered: int
    left: int
    exact: bool
    time_left: timedelta | None
    deadline: datetime | None
    last: tuple[str, int] | None
    is_rater: bool
    now: datetime


class Room:
    """What all raters of a desk share.

    Only ``catch_up`` and ``look_up`` ask the ledger, and so belong in a thread; all else answers at once, from what
    the last ``catch_up`` found.

    :param clock: tells the time; another one in tests.
    """

    def __init__(self, desk: Desk, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        review = desk.policy.review
        self._desk = desk
        self._clock = clock
        self._board = Board(desk.ledger.policy_name, review.votes_per_item, review.deadline_hours)
        self._published: dict[str, Publication] = {}
        # Of each rater the codes that stood on a page of his since the start.
        self._codes: dict[str, dict[str, QuestionId]] = defaultdict(dict)
        self._look_at = 0.0
        # Never held while the ledger is asked: the desk's only event loop waits for it.
        self._lock = threading.Lock()
        self._read_shared = SharedRead(self._read)
        # After a restart everybody needs what takes long at once: one after the other, as turns would help nobody.
        self._long_work = threading.Lock()

    def catch_up(self) -> None:
        """Take in what happened up to now: the votes each time, the queues and raters every few seconds.

        :raises LedgerError: the ledger cannot be read.
        """
        self._read_shared()

    def is_ready_for(self, rater: str) -> bool:
        """Whether the rater's view takes no time."""
        return self._board.is_ready_for(rater)

    def get_ready_for(self, rater: str) -> None:
        """Work out what a rater's first view takes; in a thread, since it needs a moment."""
        with self._long_work:
            self._board.get_ready_for(rater)

    def view(self, rater: str, *, claim: bool = True) -> View:
        """Return what a rater sees now.

        :param claim: whether the question now lies before him; without it this only looks.
        """
        with self._lock:
            return self._view(rater, self._board.survey(rater, self._clock(), claim=claim))

    def question(self, rater: str, code: str) -> QuestionId | None:
        """Return the question that went by a code on this rater's pages since the desk was started."""
        return self._codes[rater].get(code)

    def look_up(self, rater: str, code: str) -> QuestionId | None:
        """Return the question that goes by a code on this rater's pages at any time; None for all other codes.

        :raises LedgerError: the ledger cannot be read.
        """
        self.catch_up()
        with self._lock:
            questions = list(self._board.questions())
        with self._long_work:
            found = next((each for each in questions if self._code(rater, each) == code), None)
        if found is not None:
            self._codes[rater][code] = found
        return found

    def offer(self, rater: str, question: QuestionId) -> View:
        """Return the page of one question, which now lies before the rater."""
        with self._lock:
            now = self._clock()
            self._board.take_up(rater, question, now)
            survey = self._board.survey(rater, now, claim=False)
            return self._view(rater, Survey(question, survey.answered, survey.left, survey.share))

    def skip(self, rater: str, question: QuestionId) -> None:
        """Put a question behind all others of a rater."""
        with self._lock:
            self._board.skip(rater, question)

    def go_back(self, rater: str, question: QuestionId, turn: int) -> bool:
        """Put a question before a rater who is about to take his answer back, so that nobody else gets it meanwhile.

        :return: whether he may: not when there is more on record than on the page he saw, nor when its round is over
            for him, since he could not answer again.
        """
        with self._lock:
            now = self._clock()
            is_seen = len(self._board.standing.rows(rater, question)) == turn
            if may := is_seen and self._board.is_open(rater, question, now):
                self._board.take_up(rater, question, now)
            return may

    def leave(self, rater: str) -> None:
        """Give up what lies before a rater: he signed out."""
        with self._lock:
            self._board.claims.give_up(rater)

    def key(self, rater: str, question: QuestionId, turn: int) -> str:
        """Return the ledger's key for an answer."""
        return answer_key(self._desk.key, self._board.policy_name, *question, rater, turn)

    def on_record(self, rater: str, question: QuestionId, key: str) -> VoteRow | None:
        """Return what is on record under the key of an answer."""
        with self._lock:
            return next((row for row in self._board.standing.rows(rater, question) if row.vote_key == key), None)

    def stands(self, rater: str, question: QuestionId, key: str) -> bool:
        """Whether what was said under a key is the rater's last word on a question."""
        with self._lock:
            return [row.vote_key for row in self._board.standing.rows(rater, question)][-1:] == [key]

    def _read(self) -> None:
        ledger, board = self._desk.ledger, self._board
        if time.monotonic() >= self._look_at:
            raters = ledger.raters
            with self._lock:
                board.set_raters(raters)
            for iteration, published in ledger.publications().items():
                if self._published.get(iteration) != published:
                    found = read_round(ledger, iteration, published.published_at)
                    with self._lock:
                        board.publish(found)
                    self._published[iteration] = published
            self._look_at = time.monotonic() + _LOOK_SECONDS
        rows = ledger.votes_since(board.standing.seq)
        with self._lock:
            board.apply(rows)

    def _view(self, rater: str, survey: Survey) -> View:
        now, board = self._clock(), self._board
        share = round(survey.share)
        left = min(survey.left, max(share, 1)) if survey.left else 0
        own_pace = pace(board.standing.moments(rater, _PACE_OF))
        rounds = board.open_rounds(now)
        last = board.last_answer(rater, now)
        question = survey.question
        return View(
            offer=None if question is None else self._offer(rater, question),
            answered=survey.answered,
            left=left,
            exact=abs(survey.left - survey.share) < 0.5,
            time_left=None if own_pace is None else own_pace * left,
            deadline=self._deadline(question, rounds[0].iteration if rounds else None),
            last=None if last is None else (self._shown(rater, last), len(board.standing.rows(rater, last))),
            is_rater=rater in board.raters,
            now=now,
        )

    def _offer(self, rater: str, question: QuestionId) -> Offer:
        rows = self._board.standing.rows(rater, question)
        before = [row for row in rows if row.label != WITHDRAWN]
        taken_back = before[-1] if rows and rows[-1].label == WITHDRAWN and before else None
        return Offer(self._shown(rater, question), self._board.text(question), len(rows), taken_back)

    def _deadline(self, question: QuestionId | None, newest: str | None) -> datetime | None:
        iteration = newest if question is None else question.iteration
        hours = self._board.deadline_hours
        return None if iteration is None else self._board.rounds[iteration].deadline(hours)

    def _shown(self, rater: str, question: QuestionId) -> str:
        """Return the code of a question that is put on a page, and remember it."""
        code = self._code(rater, question)
        self._codes[rater][code] = question
        return code

    def _code(self, rater: str, question: QuestionId) -> str:
        return question_code(self._desk.key, self._board.policy_name, *question, rater)
