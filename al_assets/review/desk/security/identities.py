"""Who sends a request: by the cookie of a session, or by the word of a trusted proxy; what the browser holds of it."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import to_thread
from itsdangerous import BadSignature, Signer
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from al_assets.config import DeskSettings
from al_assets.review.desk.people.records import PeopleError, SignedIn, checked_name
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.security.addresses import Addresses
from al_assets.review.desk.security.secret import new_token
from al_assets.review.desk.shell.access import Person

# A session that was revoked elsewhere, in another process, is felt after this time at the latest.
REMEMBERED_SECONDS = 2.0
MAX_REMEMBERED = 10_000
_UNKNOWN = "You are signed in, but nobody has given you a part at this desk. Ask the person who runs it."
_Value = TypeVar("_Value")


class Cookies:
    """Signs the desk's cookie and reads it back.

    The same cookie holds the token of a session or, before signing in, a token that opens nothing: the form on the
    page of an invitation is bound to it, so that nobody can be signed in by a form on another site.

    ``SameSite=Lax``: a link in a mail finds its reader signed in, a form on another site does not.
    """

    def __init__(self, secret: bytes, settings: DeskSettings) -> None:
        self._secret = secret
        self._signer = Signer(secret, salt=b"al desk cookie", key_derivation="hmac", digest_method=hashlib.sha256)
        self.secure = (settings.public_url or "").startswith("https://")
        # Browsers send a cookie to every port of a host: desks of one machine must not sign each other's people out.
        own = hmac.new(secret, b"cookie name", hashlib.sha256).hexdigest()[:8]
        # Browsers take a cookie of this prefix only over TLS, for this host alone: a neighbour host cannot plant one.
        self.name = f"__Host-al-desk-{own}" if self.secure else f"al-desk-{own}"
        self._most = int(settings.session_hours * 3600)

    def token(self, connection: HTTPConnection) -> str | None:
        """Return the token of a request's cookie, None if there is none that this desk signed."""
        try:
            return self._signer.unsign(connection.cookies.get(self.name, "").encode("utf-8", "replace")).decode()
        except BadSignature:
            return None

    def header(self, token: str, *, keep: bool) -> str:
        """Return the Set-Cookie header for a token.

        :param keep: outlives the browser's window, as a session does.
        """
        response = Response()
        response.set_cookie(
            self.name,
            self._signer.sign(token).decode(),
            max_age=self._most if keep else None,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )
        return response.headers["set-cookie"]

    def sign_out(self, response: Response) -> None:
        """Take the token away."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def csrf(self, bound_to: str) -> str:
        """Return the token that forms must carry, for a cookie's token or an identity."""
        return hmac.new(self._secret, b"csrf\0" + bound_to.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


class NotLetInError(Exception):
    """A request that is refused before any page sees it, with the status and what is said instead of the usual."""

    def __init__(self, status: int, detail: str | None = None) -> None:
        super().__init__(detail or str(status))
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Identity:
    """Who sent a request.

    :param csrf: the token that the person's forms must carry.
    :param session_id: the session; None for nobody, and for somebody whom a proxy has signed in.
    :param new_cookie: the token that the browser should be given, so that a first form can be bound to it.
    """

    person: Person | None
    csrf: str
    session_id: str | None = None
    by_proxy: bool = False
    new_cookie: str | None = None


class Remembered(Generic[_Value]):
    """What was looked up in the last moments."""

    def __init__(self, look_up: Callable[[str], _Value], seconds: float = REMEMBERED_SECONDS) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, _Value]] = OrderedDict()
        self._forgotten = 0
        # Pages that change people or sessions run in threads, and forget from there.
        self._lock = threading.Lock()

    async def get(self, name: str) -> _Value:
        """Return what is known of a name, looking it up if that is too long ago."""
        now = time.monotonic()
        with self._lock:
            known, before = self._known.get(name), self._forgotten
        if known is not None and now - known[0] < self._seconds:
            return known[1]
        value = await to_thread.run_sync(self._look_up, name)
        with self._lock:
            if before == self._forgotten:
                self._known[name] = (now, value)
                self._known.move_to_end(name)
                if len(self._known) > MAX_REMEMBERED:
                    self._known.popitem(last=False)
        return value

    def forget(self) -> None:
        """Forget everything, also what is being looked up right now."""
        with self._lock:
            self._forgotten += 1
            self._known.clear()


class Identities:
    """Finds out who sent a request."""

    def __init__(self, people: PeopleStore, cookies: Cookies, addresses: Addresses, settings: DeskSettings) -> None:
        self._cookies = cookies
        self._addresses = addresses
        self._header = settings.identity_header
        self._sessions: Remembered[SignedIn | None] = Remembered(people.session)
        self._people: Remembered[Person | None] = Remembered(people.identified)

    async def of(self, connection: HTTPConnection) -> Identity:
        """Return who sent a request.

        :raises NotLetInError: 400 two people are named, 403 the name is not to be believed or nobody is called so.
        """
        named = connection.headers.getlist(self._header) if self._header else []
        if named:
            return await self._by_proxy(connection, named)
        token = self._cookies.token(connection)
        if token is None:
            fresh = new_token()
            return Identity(None, self._cookies.csrf(fresh), new_cookie=fresh)
        signed_in = await self._sessions.get(token)
        if signed_in is None:
            return Identity(None, self._cookies.csrf(token))
        return Identity(signed_in.member.person, self._cookies.csrf(token), signed_in.session.session_id)

    async def still_signed_in(self, request: Request) -> bool:
        """Whether who sent a request may still be here: for answers that last, such as event streams."""
        try:
            now = await self.of(request)
        except NotLetInError:
            return False
        return now.person is not None and now.person == request.state.person

    def forget(self) -> None:
        """Look everybody up again: sessions or people were changed."""
        self._sessions.forget()
        self._people.forget()

    async def _by_proxy(self, connection: HTTPConnection, named: list[str]) -> Identity:
        peer = connection.client.host if connection.client else ""
        if not self._addresses.is_trusted_proxy(peer):
            raise NotLetInError(403, "This address may not say who you are. Use the address that you were given.")
        if len(named) != 1:
            raise NotLetInError(400, "The request names two people. Tell the person who runs the sign-in.")
        try:
            # Header bytes come as Latin-1; names are UTF-8.
            name = checked_name(named[0].encode("latin-1").decode("utf-8"))
        except (UnicodeError, PeopleError):
            raise NotLetInError(403, _UNKNOWN) from None
        person = await self._people.get(name)
        if person is None:
            raise NotLetInError(403, _UNKNOWN)
        return Identity(person, self._cookies.csrf(f"identity\0{name}"), by_proxy=True)
