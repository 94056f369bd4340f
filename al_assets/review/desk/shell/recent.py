"""Figures that cost something to compute: once for each state of the ledger, however many people look at them."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.to_thread import run_sync

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
PATIENCE = 1.0


@dataclass(frozen=True)
class Found(Generic[Value]):
    """A value, and in how many seconds to ask again if it rests on an older state; None if it is of the present one."""

    value: Value
    ask_again: float | None


class Recent(Generic[Key, Value]):
    """The latest value of something slow, computed in a thread, one at a time.

    While states follow each other quickly, the older value is given for a while, so that the machine does little else
    but serve votes.

    :param compute: what is done for a state.
    :param pause: the least time between two computations, as a multiple of how long the last one took. Who asks within
        a second of its end waits for the present value.
    """

    def __init__(
        self, compute: Callable[[Key], Value], *, pause: float = 9.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._compute, self._pause, self._clock = compute, pause, clock
        self._lock, self._patient = anyio.Lock(), anyio.Lock()
        self._known: tuple[Key, Value] | None = None
        self._rest_until = float("-inf")

    async def of(self, key: Key, *, fresh: bool = False) -> Found[Value]:
        """Return the value of a state, or that of an older one with when to ask again.

        :param fresh: never that of an older one, and at once: for somebody who goes on from what he finds.
        """
        if found := self._at_hand(key, fresh):
            return found
        if fresh:
            return await self._computed(key, fresh)
        # Those who wait do so here and not in threads, which votes need.
        async with self._patient:
            if found := self._at_hand(key, fresh):
                return found
            await anyio.sleep(max(self._rest_until - self._clock(), 0.0))
            return await self._computed(key, fresh)

    async def _computed(self, key: Key, fresh: bool) -> Found[Value]:
        async with self._lock:
            if found := self._at_hand(key, fresh):
                return found
            start = self._clock()
            value = await run_sync(self._compute, key)
            end = self._clock()
            self._rest_until = end + self._pause * (end - start)
            self._known = (key, value)
            return Found(value, None)

    def _at_hand(self, key: Key, fresh: bool) -> Found[Value] | None:
        if self._known is None:
            return None
        known, value = self._known
        if known == key:
            return Found(value, None)
        if fresh:
            return None
        left = self._rest_until - self._clock()
        return Found(value, left) if left > PATIENCE else None
