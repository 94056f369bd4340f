"""Server-sent events: a page that is open hears that something changed, and nothing of what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from al_assets.review.desk.shell.access import Role, needs, person_of
from al_assets.review.desk.shell.changes import Changes, TooManyStreamsError
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.state import ledger_state

HEARTBEAT_SECONDS = 15.0
_LONGEST_MARK = 64


def routes(desk: Desk) -> list[Route]:
    """Return the stream of events; ``changes.end_streams`` ends all of them when the server stops."""
    changes = Changes(lambda: ledger_state(desk.ledger).mark(desk.key))

    # Not for raters: when others answer is nothing they should know, and their page asks for questions by itself.
    @needs(Role.ADJUDICATOR, Role.POLICY_OWNER, Role.ADMIN)
    async def events(request: Request) -> Response:
        async def is_signed_in() -> bool:
            return bool(await request.app.state.still_signed_in(request))

        seen = request.headers.get("last-event-id") or request.query_params.get("seen")
        return EventStream(changes, person_of(request).name, seen, is_signed_in)

    return [Route("/events", events, methods=["GET"])]


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
