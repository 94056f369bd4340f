"""Figures that cost something to compute: once for each state of the ledger, however many people look at them."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request

from al_assets.review.desk.security.secret import keyed_digest
from al_assets.storage.ledger import Ledger

State = TypeVar("State", bound=Hashable)
Value = TypeVar("Value")
PATIENCE = 1.0


@dataclass(frozen=True)
class LedgerState:
    """A place in the ledger: the last vote or decision, the published iterations and who may vote."""

    watermark: int
    iterations: tuple[str, ...]
    raters: tuple[str, ...]

    def chosen(self, request: Request) -> str | None:
        """Return the iteration that a request asks for, None for all: it names none, or none that is published."""
        asked = request.query_params.get("iteration")
        return asked if asked in self.iterations else None

    def mark(self, secret: bytes) -> str:
        """Return a name of the state that tells nothing of it."""
        return keyed_digest(secret, "state", str(self))[:16]


def ledger_state(ledger: Ledger) -> LedgerState:
    """Look at the ledger."""
    return LedgerState(ledger.watermark(), tuple(ledger.iterations()), tuple(ledger.raters))


@dataclass(frozen=True)
class RecentValue(Generic[Value]):
    """A value, and in how many seconds to ask again if it rests on an older state; None if it is of the present one."""

    value: Value
    ask_again: float | None


class Recent(Generic[State, Value]):
    """The latest value of something slow, computed in a thread, one at a time.

    While states follow each other quickly, the older value is given for a while, so that the machine does little else
    but serve votes.

    :param compute: what is done for a state.
    :param pause: the least time between two computations, as a multiple of how long the last one took. Who asks within
        a second of its end waits for the present value.
    """

    def __init__(
        self, compute: Callable[[State], Value], *, pause: float = 9.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._compute, self._pause, self._clock = compute, pause, clock
        self._lock, self._patient = anyio.Lock(), anyio.Lock()
        self._known: tuple[State, Value] | None = None
        self._rest_until = float("-inf")

    async def of(self, state: State, *, fresh: bool = False) -> RecentValue[Value]:
        """Return the value of a state, or that of an older one with when to ask again.

        :param fresh: never that of an older one, and at once: for somebody who goes on from what they find.
        """
        if recent := self._at_hand(state, fresh):
            return recent
        if fresh:
            return await self._computed(state, fresh)
        # Those who wait do so here and not in threads, which votes need.
        async with self._patient:
            if recent := self._at_hand(state, fresh):
                return recent
            await anyio.sleep(max(self._rest_until - self._clock(), 0.0))
            return await self._computed(state, fresh)

    async def _computed(self, state: State, fresh: bool) -> RecentValue[Value]:
        async with self._lock:
            if recent := self._at_hand(state, fresh):
                return recent
            start = self._clock()
            value = await run_sync(self._compute, state)
            end = self._clock()
            self._rest_until = end + self._pause * (end - start)
            self._known = (state, value)
            return RecentValue(value, None)

    def _at_hand(self, state: State, fresh: bool) -> RecentValue[Value] | None:
        if self._known is None:
            return None
        known, value = self._known
        if known == state:
            return RecentValue(value, None)
        if fresh:
            return None
        left = self._rest_until - self._clock()
        return RecentValue(value, left) if left > PATIENCE else None
