"""Tells open pages that something changed: one look a second at the ledger for all of them, none if nobody listens."""

import asyncio
import logging
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anyio.to_thread import run_sync

LOOK_SECONDS = 1.0
MAX_STREAMS = 4
_LOG = logging.getLogger(__name__)
_ALL: "weakref.WeakSet[Changes]" = weakref.WeakSet()


class TooManyStreamsError(Exception):
    """Somebody listens with as many open pages as are allowed."""


class Changes:
    """What the ledger looks like now, for those who wait for it to look different.

    Belongs to one event loop at a time. Nobody's waiting takes a thread; a look takes one for as long as it lasts.

    :param look: returns a mark of the present state: another one whenever something changed.
    """

    def __init__(self, look: Callable[[], str], *, seconds: float = LOOK_SECONDS, most: int = MAX_STREAMS) -> None:
        self._look, self._seconds, self._most = look, seconds, most
        self._mark: str | None = None
        self._changed = asyncio.Event()
        self._listeners: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False
        _ALL.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether the desk is shutting down: every stream is to end."""
        return self._closed

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return self._listeners.total()

    @contextmanager
    def listening(self, name: str) -> Iterator[None]:
        """Count a stream of a person for as long as the block lasts.

        :raises TooManyStreamsError: the person has as many as are allowed.
        """
        if self._listeners[name] >= self._most:
            raise TooManyStreamsError
        self._listeners[name] += 1
        if self._looking is None:
            # What was seen before nobody listened is no news to those who come now.
            self._mark, self._changed = None, asyncio.Event()
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())
        try:
            yield
        finally:
            self._listeners[name] -= 1
            self._listeners += Counter()
            if not self._listeners and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def after(self, seen: str | None, seconds: float) -> str | None:
        """Return the mark as soon as it is another one than was seen; None if it is not for so many seconds.

        :param seen: None waits for the first look.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not self._closed:
            if self._mark is not None and self._mark != seen:
                return self._mark
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return None
        return None

    def close(self) -> None:
        """End every stream; to be called in the event loop."""
        self._closed = True
        self._announce()

    async def _keep_looking(self) -> None:
        while True:
            try:
                mark = await run_sync(self._look)
            except Exception as error:
                # A database that is away for a moment ends no stream; the next look tells.
                _LOG.warning("changes: the ledger could not be looked at: %s", error)
            else:
                if mark != self._mark:
                    self._mark = mark
                    self._announce()
            await asyncio.sleep(self._seconds)

    def _announce(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()


def end_streams() -> None:
    """End every open stream of this process, so that a server can stop; to be called in the event loop."""
    for changes in list(_ALL):
        changes.close()
