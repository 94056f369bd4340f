"""Votes into the ledger: one thread commits whatever waits, together, and each vote learns what became of it."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from al_assets.storage.ledger import Ledger, Vote, VoteError

_MOST_AT_ONCE = 500


class VoteWriter:
    """Group commit: while one transaction is being made durable, the votes that come meanwhile wait for the next.

    The thread starts with the first vote. Nothing needs to be closed: a process that ends writes what waits first.

    :param then: called after each transaction, before anybody is told of it; if it fails, they are told that.
    """

    def __init__(self, ledger: Ledger, then: Callable[[], None] = lambda: None) -> None:
        self._ledger = ledger
        self._then = then
        self._waiting: deque[tuple[Vote, Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="votes")

    def submit(self, vote: Vote) -> Future[None]:
        """Return what is done once the vote is durable.

        It fails with VoteError if this vote is refused and with LedgerError if nothing could be written. Cancelling it
        takes back a vote that is not being written yet.
        """
        outcome: Future[None] = Future()
        self._waiting.append((vote, outcome))
        self._thread.submit(self._write_waiting)
        return outcome

    def _write_waiting(self) -> None:
        batch: list[tuple[Vote, Future[None]]] = []
        while self._waiting and len(batch) < _MOST_AT_ONCE:
            vote, outcome = self._waiting.popleft()
            if outcome.set_running_or_notify_cancel():
                batch.append((vote, outcome))
        if batch:
            self._write(batch)

    def _write(self, batch: Sequence[tuple[Vote, Future[None]]]) -> None:
        try:
            self._ledger.record([vote for vote, _ in batch])
            self._then()
        except VoteError as error:
            self._write_the_rest(batch, error)
        except Exception as error:
            # Whatever went wrong, no request may wait for ever.
            for _, outcome in batch:
                outcome.set_exception(error)
        else:
            for _, outcome in batch:
                outcome.set_result(None)

    def _write_the_rest(self, batch: Sequence[tuple[Vote, Future[None]]], error: VoteError) -> None:
        """Tell those whose votes were refused, and write the others."""
        refused = dict(error.reasons)
        for position, reason in refused.items():
            batch[position][1].set_exception(VoteError([(0, reason)]))
        if rest := [each for position, each in enumerate(batch) if position not in refused]:
            self._write(rest)
