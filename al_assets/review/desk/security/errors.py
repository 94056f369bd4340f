"""Pages for what went wrong: what to do now, and nothing of the inside."""

import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from al_assets.config import DeskSettings
from al_assets.review.desk.security.middleware import security_headers
from al_assets.review.desk.shell.pages import page, wants_fragment
from al_assets.storage.ledger import LedgerError

logger = logging.getLogger("al_assets.desk")

WHAT_TO_DO = {
    400: ("This request cannot be read", "Go back, reload the page and try again."),
    401: ("You are not signed in", "Open your personal link. If it no longer works, ask for a new one."),
    403: ("This was refused", "Go back, reload the page and try again."),
    404: ("There is no such page", "Check the address, or go to the start page."),
    405: ("This cannot be done here", "Go to the start page and use the buttons there."),
    408: ("The request took too long to arrive", "Check your connection and try again."),
    413: ("This is too long", "Shorten what you entered and send it again."),
    421: ("The desk is not known under this address", "Use the address that you were given."),
    429: ("Too many attempts", "Wait a few minutes and try again."),
    500: ("Something went wrong here", "Try again. If it happens again, tell the person who runs the desk."),
    503: (
        "The desk cannot reach its database",
        "Try again in a minute. What you sent may be sent again: it counts once.",
    ),
}


def error_page(
    request: Request, status: int, detail: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Return the page for an error; htmx gets a sentence, not a page in the middle of a page.

    :param detail: said instead of the standing advice.
    """
    title, advice = WHAT_TO_DO.get(status, WHAT_TO_DO[400 if status < 500 else 500])
    template = "shell/error_fragment.html" if wants_fragment(request) else "shell/error.html"
    contact = getattr(request.state, "contact", "") if status in (401, 403) else ""
    response = page(request, template, status=status, title=title, advice=detail or advice, contact=contact)
    response.headers.update(headers or {})
    return response


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an HTTPException of a page or of the routing."""
    assert isinstance(error, HTTPException)
    standing = {each.phrase for each in HTTPStatus}
    detail = None if error.detail in standing else error.detail
    return error_page(request, error.status_code, detail, dict(error.headers or {}))


async def on_ledger_error(request: Request, error: Exception) -> Response:
    """Answer when the database cannot be reached."""
    logger.error("%s", error)
    return error_page(request, 503, headers={"Retry-After": "30"})


class OnFailure:
    """Answers when the desk has a fault; the server's log has the traceback."""

    def __init__(self, settings: DeskSettings) -> None:
        self._headers = security_headers(settings)

    async def __call__(self, request: Request, error: Exception) -> Response:
        """Answer; outside the middleware, so the headers are set here."""
        return error_page(request, 500, headers={**self._headers, "Cache-Control": "no-store"})


HANDLERS = {HTTPException: on_http_error, LedgerError: on_ledger_error}
