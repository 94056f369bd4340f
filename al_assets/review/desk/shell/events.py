"""Server-sent events: a page that is open hears that something changed, and nothing of what.

One look a second at the ledger serves all open pages; none is taken if nobody listens.
"""

import asyncio
import logging
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.recent import ledger_state

HEARTBEAT_SECONDS = 15.0
_LONGEST_MARK = 64
LOOK_SECONDS = 1.0
MAX_STREAMS = 4
_LOG = logging.getLogger(__name__)
_ALL: "weakref.WeakSet[Changes]" = weakref.WeakSet()


def routes(desk: Desk) -> list[Route]:
    """Return the stream of events; ``end_streams`` ends all of them when the server stops."""
    changes = Changes(lambda: ledger_state(desk.ledger).mark(desk.secret))

    # Not for raters: when others answer is nothing they should know, and their page asks for questions by itself.
    @needs(Role.ADJUDICATOR, Role.POLICY_OWNER, Role.ADMIN)
    async def events(request: Request) -> Response:
        async def is_signed_in() -> bool:
            return bool(await request.app.state.identities.still_signed_in(request))

        seen = request.headers.get("last-event-id") or request.query_params.get("seen")
        return EventStream(changes, person_of(request).name, seen, is_signed_in)

    return [Route("/events", events, methods=["GET"])]


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
        # The desk is shutting down: every stream is to end.
        self.is_closed = False
        _ALL.add(self)

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
        while not self.is_closed:
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
        self.is_closed = True
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


class EventStream(StreamingResponse):
    """One page's stream: ``changed`` whenever the ledger is another than the page has seen, and a sign of life.

    It ends when the session does, or when the server stops.

    :param seen: the mark the page was made with, or got last; None for what is there now.
    :param is_signed_in: asked at least at every sign of life.
    """

    def __init__(
        self,
        changes: Changes,
        name: str,
        seen: str | None,
        is_signed_in: Callable[[], Awaitable[bool]],
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._changes, self._name, self._heartbeat = changes, name, heartbeat
        self._seen = seen[:_LONGEST_MARK] if seen else None
        self._is_signed_in = is_signed_in
        # A proxy that gathers bytes before it passes them on would hold events back.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._lines(), headers=headers, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the stream ends."""
        try:
            with self._changes.listening(self._name):
                await super().__call__(scope, receive, send)
        except TooManyStreamsError:
            refusal = PlainTextResponse("Too many open pages: close some, or reload this one to see what is new.", 429)
            await refusal(scope, receive, send)

    async def _lines(self) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        yield "retry: 3000\n\n"
        checked_at = clock()
        while not self._changes.is_closed:
            mark = await self._changes.after(self._seen, max(checked_at + self._heartbeat - clock(), 0.0))
            if clock() - checked_at >= self._heartbeat:
                if self._changes.is_closed or not await self._is_signed_in():
                    return
                checked_at = clock()
                yield ": still here\n\n"
            if mark is not None:
                # An id without data is remembered by the browser and wakes nobody.
                yield f"id: {mark}\n\n" if self._seen is None else f"id: {mark}\nevent: changed\ndata: changed\n\n"
                self._seen = mark
