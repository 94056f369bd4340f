"""What surrounds every response: a line in the access log, and headers that protect the browser's user."""

import logging
import re
import time
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from al_assets.config import DeskSettings, is_loopback

logger = logging.getLogger("al_assets.desk.access")
# Also of a link that somebody mistyped: it is still good.
_SECRET = re.compile(r"(join/?+).+|[\w-]{40,}", re.DOTALL | re.IGNORECASE)
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FIXED = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}
# Files that carry their version in the URL never change under it.
FOR_EVER = "public, max-age=31536000, immutable"


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


class SecurityHeaders:
    """Sets the headers that keep a browser from being turned against its user."""

    def __init__(self, app: ASGIApp, settings: DeskSettings) -> None:
        self._app = app
        self._headers = security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caching = _caching(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _refuse_foreign_target(headers)
                for name, value in self._headers.items():
                    headers[name] = value
                if message["status"] >= 400 or not caching:
                    headers["Cache-Control"] = "no-store"
                else:
                    headers["Cache-Control"] = caching
            await send(message)

        await self._app(scope, receive, send_with_headers)


def security_headers(settings: DeskSettings) -> dict[str, str]:
    """Return the headers of every response."""
    public = urlsplit(settings.public_url or "")
    if public.scheme != "https" or is_loopback(public.hostname or ""):
        return FIXED
    return {**FIXED, "Strict-Transport-Security": "max-age=31536000"}


def is_own_path(target: str) -> bool:
    """Whether a redirect stays on the desk: a path, and none that a browser reads as another host."""
    return target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()


def _caching(scope: Scope) -> str | None:
    if not scope["path"].startswith("/static/"):
        return None
    return FOR_EVER if scope["query_string"].startswith(b"v=") else "no-cache"


def _refuse_foreign_target(headers: MutableHeaders) -> None:
    for name in ("location", "hx-redirect", "hx-location"):
        target = headers.get(name)
        if target is not None and not is_own_path(target):
            raise ValueError(f"{name}: {target!r} is no path of the desk; a page must not send its reader elsewhere")
