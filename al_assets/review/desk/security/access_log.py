"""A line for each request, without secrets and without who voted what."""

import logging
import re
import time
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("al_assets.desk.access")
# Also of a link that somebody mistyped: it is still good.
_SECRET = re.compile(r"(join/?+).+|[\w-]{40,}", re.DOTALL | re.IGNORECASE)


class AccessLog:
    """Logs method, path, status and milliseconds; of an invitation the token is left out, and so are all queries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 0, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            # Answered outside of here.
            status = status or 500
            raise
        finally:
            took = 1000 * (time.perf_counter() - started)
            client = scope["client"][0] if scope.get("client") else "-"
            method, path = quote(scope["method"]), shown_path(scope["path"])
            logger.info("%s %s %s %d %.0f ms", client, method, path, status, took)


def shown_path(path: str) -> str:
    """Return a path as it may stand in a log: no token, and nothing that ends the line or its column."""
    return quote(_SECRET.sub(r"\1...", path), safe="/", errors="replace")[:200]
