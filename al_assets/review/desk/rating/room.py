"""The board of a running desk, kept up to date from its ledger; safe to use from many threads."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from al_assets.review.desk.rating.board import Board, View
from al_assets.review.desk.rating.round import QuestionId, QuestionRound, desk_vote_key, question_code
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Publication

_LOOK_SECONDS = 2.0


class SharedRead:
    """Reads for everybody who waits: whoever asks gets the result of a reading that began after they asked.

    :param read: is never run twice at once.
    """

    def __init__(self, read: Callable[[], None]) -> None:
        self._read = read
        self._moments = itertools.count()
        self._began = -1
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Read, or wait for a reading that will do; what the reading raises comes through."""
        asked = next(self._moments)
        with self._lock:
            if self._began > asked:
                return
            began = next(self._moments)
            self._read()
            self._began = began


class Room:
    """What all raters of a desk share.

    :param clock: tells the time; another one in tests.
    """

    def __init__(self, desk: Desk, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        review = desk.policy.review
        self._desk = desk
        self.now = clock
        self._board = Board(desk.ledger.policy_name, review.votes_per_item, review.deadline_hours)
        self._published: dict[str, Publication] = {}
        # Of each rater the codes that stood on a page of theirs since the start.
        self._codes: dict[str, dict[str, QuestionId]] = defaultdict(dict)
        self._look_at = 0.0
        # Never held while the ledger is asked: every request waits for it.
        self._lock = threading.Lock()
        self._read_shared = SharedRead(self._read)
        # After a restart everybody needs what takes long at once: one after the other, as turns would help nobody.
        self._long_work = threading.Lock()

    def catch_up(self) -> None:
        """Take in what happened up to now: the votes each time, the queues and raters every few seconds.

        :raises LedgerError: the ledger cannot be read.
        """
        self._read_shared()

    @contextmanager
    def board(self) -> Iterator[Board]:
        """Yield the board as of the last ``catch_up``; nobody else uses it meanwhile."""
        with self._lock:
            yield self._board

    def view(self, rater: str, *, claim: bool = True) -> View:
        """Return what a rater sees now; as ``Board.view``."""
        # The rater's order of the newest round takes a moment: others may use the board meanwhile.
        rounds = dict(self._board.rounds)
        if rounds and not rounds[max(rounds)].is_ordered_for(rater):
            with self._long_work:
                rounds[max(rounds)].order_for(rater, self._board.policy_name)
        with self._lock:
            return self._board.view(rater, self.now(), claim=claim)

    def code(self, rater: str, question: QuestionId) -> str:
        """Return the code of a question that is put on a rater's page, and remember it."""
        code = self._code(rater, question)
        self._codes[rater][code] = question
        return code

    def question(self, rater: str, code: str) -> QuestionId | None:
        """Return the question that goes by a code on this rater's pages; None for all other codes.

        :raises LedgerError: the ledger cannot be read.
        """
        if (known := self._codes[rater].get(code)) is not None:
            return known
        # It may stand on a page from before the desk was started.
        self.catch_up()
        with self._lock:
            questions = list(self._board.questions())
        with self._long_work:
            named = next((each for each in questions if self._code(rater, each) == code), None)
        if named is not None:
            self._codes[rater][code] = named
        return named

    def vote_key(self, rater: str, question: QuestionId, turn: int) -> str:
        """Return the ledger's key for an answer."""
        return desk_vote_key(self._desk.secret, self._board.policy_name, question, rater, turn)

    def _code(self, rater: str, question: QuestionId) -> str:
        return question_code(self._desk.secret, self._board.policy_name, question, rater)

    def _read(self) -> None:
        ledger, board = self._desk.ledger, self._board
        if time.monotonic() >= self._look_at:
            raters = ledger.raters
            with self._lock:
                board.set_raters(raters)
            for iteration, publication in ledger.publications().items():
                if self._published.get(iteration) != publication:
                    queue = ledger.queue(iteration).select("item_id", "text", "group_id", "revision")
                    again = ledger.repeat_raters(iteration)
                    with self._lock:
                        board.publish(QuestionRound(iteration, queue, again, publication.published_at))
                    self._published[iteration] = publication
            self._look_at = time.monotonic() + _LOOK_SECONDS
        rows = ledger.votes_since(board.standing.seq)
        with self._lock:
            board.apply(rows)
