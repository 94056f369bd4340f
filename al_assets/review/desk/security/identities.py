"""Who sends a request: by the cookie of a session, or by the word of a trusted proxy."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import to_thread
from starlette.requests import HTTPConnection

from al_assets.config import DeskSettings
from al_assets.review.desk.people.records import PeopleError, checked_name
from al_assets.review.desk.people.sessions import SignedIn
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.security.addresses import Addresses
from al_assets.review.desk.security.cookies import Cookies
from al_assets.review.desk.security.tokens import new_token
from al_assets.review.desk.shell.access import Person

# A session that was revoked elsewhere, in another process, is felt after this time at the latest.
REMEMBERED_SECONDS = 2.0
MAX_REMEMBERED = 10_000
_Found = TypeVar("_Found")


class IdentityError(Exception):
    """Nobody is let in on the word of this request.

    :param status: 400 it says two things, 403 it is not to be believed or names nobody who is known.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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


class Remembered(Generic[_Found]):
    """What was looked up in the last moments."""

    def __init__(self, look_up: Callable[[str], _Found], seconds: float = REMEMBERED_SECONDS) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._known: OrderedDict[str, tuple[float, _Found]] = OrderedDict()
        self._forgotten = 0

    async def get(self, key: str) -> _Found:
        """Return what is known of a key, looking it up if that is too long ago."""
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < self._seconds:
            return known[1]
        before = self._forgotten
        found = await to_thread.run_sync(self._look_up, key)
        if before == self._forgotten:
            self._known[key] = (now, found)
            self._known.move_to_end(key)
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Forget everything, also what is being looked up right now."""
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

        :raises IdentityError: the header that names a person is not to be believed, or names nobody who is known.
        """
        named = connection.headers.getlist(self._header) if self._header else []
        if named:
            return await self._by_proxy(connection, named)
        token = self._cookies.token(connection)
        if token is None:
            fresh = new_token()
            return Identity(None, self._cookies.csrf(fresh), new_cookie=fresh)
        found = await self._sessions.get(token)
        if found is None:
            return Identity(None, self._cookies.csrf(token))
        return Identity(found.member.person, self._cookies.csrf(token), found.session.session_id)

    def forget(self) -> None:
        """Look everybody up again: sessions or people were changed."""
        self._sessions.forget()
        self._people.forget()

    async def _by_proxy(self, connection: HTTPConnection, named: list[str]) -> Identity:
        peer = connection.client.host if connection.client else ""
        if not self._addresses.is_trusted_proxy(peer):
            raise IdentityError(403, "This address may not say who you are. Use the address that you were given.")
        if len(named) != 1:
            raise IdentityError(400, "The request names two people. Tell the person who runs the sign-in.")
        try:
            # Header bytes come as Latin-1; names are UTF-8.
            name = checked_name(named[0].encode("latin-1").decode("utf-8"))
        except (UnicodeError, PeopleError):
            raise IdentityError(403, _UNKNOWN) from None
        person = await self._people.get(name)
        if person is None:
            raise IdentityError(403, _UNKNOWN)
        return Identity(person, self._cookies.csrf(f"identity\0{name}"), by_proxy=True)


_UNKNOWN = "You are signed in, but nobody has given you a part at this desk. Ask the person who runs it."
