"""The gate every request passes: host, body, who it is, and whether a form is really from one of the desk's pages.

Bodies are read here, once: none too large, none too slow; pages get what was read.
"""

import hmac

import anyio
from starlette.datastructures import FormData, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from al_assets.config import DeskSettings
from al_assets.review.desk.security.addresses import Addresses
from al_assets.review.desk.security.errors import error_page, on_ledger_error
from al_assets.review.desk.security.identities import Cookies, Identities, NotLetInError
from al_assets.storage.ledger import LedgerError

READING = ("GET", "HEAD", "OPTIONS")
# Other programs call these, without a cookie that a browser could be made to send; each has a secret of its own.
HOOKS = "/hooks/"
OUTDATED = "This page was out of date, so nothing was done. Go back, reload the page and try again."
MAX_BODY = 64 * 1024
# A policy with its examples, or a long comment: a letter of many scripts takes nine bytes in a form.
MAX_LONG_BODY = 1024 * 1024
_LONG = ("/policy/", "/adjudication/")
# Other programs report here, and wrap what they report in a lot of their own.
MAX_HOOK_BODY = 1024 * 1024
SECONDS_TO_ARRIVE = 20


class Gate:
    """Lets through what may pass and answers the rest itself.

    Pages find in ``request.state``: ``person``, ``csrf``, ``session_id``, ``by_proxy``, ``address`` (where the request
    came from), ``contact`` (whom to ask) and ``form`` (what was sent; not of GET).
    """

    def __init__(
        self, app: ASGIApp, identities: Identities, cookies: Cookies, addresses: Addresses, settings: DeskSettings
    ) -> None:
        self._app = app
        self._identities = identities
        self._cookies = cookies
        self._addresses = addresses
        self._contact = settings.contact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.person, request.state.csrf, request.state.contact = None, "", self._contact
        try:
            receive = await self._checked(request, receive)
        except NotLetInError as refused:
            # What was slow for so long is not listened to any longer.
            headers = {"Connection": "close"} if refused.status == 408 else None
            await error_page(request, refused.status, refused.detail, headers)(scope, receive, send)
        except LedgerError as error:
            await (await on_ledger_error(request, error))(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self._app(scope, receive, self._with_cookie(request, send))

    async def _checked(self, request: Request, receive: Receive) -> Receive:
        """Check everything and return what the page receives."""
        if not self._addresses.knows_host(request):
            raise NotLetInError(421)
        request.state.address = self._addresses.client(request)
        writing, path = request.method not in READING, request.scope["path"]
        hook = path.startswith(HOOKS)
        body = b""
        if writing:
            most = MAX_HOOK_BODY if hook else MAX_LONG_BODY if path.startswith(_LONG) else MAX_BODY
            body = await _body(request, most)
            receive = _replay(body, receive)
        if hook or (not writing and path.startswith("/static/")):
            request.state.session_id, request.state.by_proxy, request.state.new_cookie = None, False, None
            return receive
        identity = await self._identities.of(request)
        request.state.person, request.state.csrf = identity.person, identity.csrf
        request.state.session_id, request.state.by_proxy = identity.session_id, identity.by_proxy
        request.state.new_cookie = identity.new_cookie
        self._refuse_foreign(request, writing)
        if writing:
            request.state.form = await _form(Request(request.scope, _replay(body, request.receive)))
            self._refuse_forged(request)
        return receive

    def _refuse_foreign(self, request: Request, writing: bool) -> None:
        """Refuse what another site made the browser send; its readers may follow a link to here, no more."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        if not writing:
            # A picture or a frame elsewhere that names a false link would count against whoever looks at it.
            if site not in ("same-origin", "none") and request.headers.get("sec-fetch-dest") != "document":
                raise NotLetInError(403)
            return
        if site != "same-origin":
            raise NotLetInError(403, OUTDATED)
        origin = request.headers.get("origin")
        # Browsers say "null" for the desk's own forms, because of its Referrer-Policy; then the token decides.
        if origin is not None and origin != "null" and not self._addresses.is_own_origin(request, origin):
            raise NotLetInError(403, OUTDATED)

    def _refuse_forged(self, request: Request) -> None:
        """Refuse forms of another session."""
        given = request.headers.get("x-csrf-token", str(request.state.form.get("csrf", "")))
        if not hmac.compare_digest(given.encode("utf-8", "replace"), request.state.csrf.encode()):
            raise NotLetInError(403, OUTDATED)

    def _with_cookie(self, request: Request, send: Send) -> Send:
        """Return a ``send`` that gives a browser that has none the cookie to which the page's form is bound."""
        token = request.state.new_cookie
        if token is None or request.method != "GET" or not request.scope["path"].startswith("/join/"):
            return send

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", self._cookies.header(token, keep=False))
            await send(message)

        return send_with_cookie


async def _form(request: Request) -> FormData:
    """Return a form; one that cannot be read, or holds a file, is refused."""
    try:
        return await request.form(max_files=0, max_fields=1000, max_part_size=MAX_LONG_BODY)
    except (HTTPException, MultiPartException, ValueError):
        raise NotLetInError(400) from None


async def _body(request: Request, most: int) -> bytes:
    """Return a request's body; of one that is too large no more is read than it takes to know.

    :raises NotLetInError: 400 malformed, 408 too slow, 413 too large.
    :raises ClientDisconnect: the sender went away.
    """
    declared = request.headers.get("content-length")
    if declared is not None:
        if not (declared.isascii() and declared.isdigit()):
            raise NotLetInError(400)
        # A number of many digits costs time to read, and is too large anyhow.
        if len(declared) > 12 or int(declared) > most:
            raise NotLetInError(413)
    body = bytearray()
    try:
        with anyio.fail_after(SECONDS_TO_ARRIVE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise NotLetInError(413)
    except TimeoutError:
        raise NotLetInError(408) from None
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body once, and then what the server says."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
