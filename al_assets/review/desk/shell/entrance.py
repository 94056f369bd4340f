"""The way in and out: the start page, invitations and how often one may try them, signing out."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.people.records import written
from al_assets.review.desk.security.addresses import limited_as
from al_assets.review.desk.security.errors import error_page
from al_assets.review.desk.shell.access import Person, Role, person_of
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.pages import page

# Nobody guesses 256 random bits; this keeps those who try from keeping the database busy.
FAILURES_OF_ONE = 10
FAILURES_OF_ALL = 500
FAILURE_SECONDS = 600
MAX_ADDRESSES = 10_000
USED_UP = (
    "This link does not work (any more): a link works once, and for a limited time. "
    "If you have just used it in this browser, go to the start page; if not, ask for a new one."
)
PLACES = (
    (Role.RATER, "/questions"),
    (Role.ADJUDICATOR, "/adjudication"),
    (Role.POLICY_OWNER, "/policy"),
    (Role.ADMIN, "/people"),
)


def routes(desk: Desk) -> list[Route]:
    """Return the routes that are open to everybody."""
    pages = _EntrancePages(desk)
    return [
        Route("/", pages.start),
        Route("/healthz", pages.healthy),
        Route("/join/{token}", pages.invited, methods=["GET"]),
        Route("/join/{token}", pages.join, methods=["POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
    ]


def place_of(person: Person) -> str:
    """Return the page on which a person's work begins."""
    return next(path for role, path in PLACES if person.may(role))


class _EntrancePages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._attempts = Attempts(FAILURES_OF_ONE, FAILURES_OF_ALL, FAILURE_SECONDS)

    def start(self, request: Request) -> Response:
        """Send people to their work, and tell others how to get in."""
        if request.state.person is not None:
            return RedirectResponse(place_of(request.state.person), 303)
        return page(request, "shell/home.html", contact=self._desk.policy.desk.contact)

    def healthy(self, _: Request) -> Response:
        """Tell a proxy or a supervisor that the desk answers."""
        return PlainTextResponse("ok\n")

    def invited(self, request: Request) -> Response:
        """Show whom a link invites; it is used up by the button only, because programs open links to preview them."""
        if request.state.by_proxy:
            return RedirectResponse("/", 303)
        if refusal := self._too_many(request):
            return refusal
        invitation = self._desk.people.invitation(request.path_params["token"])
        if invitation is None:
            return self._failed(request)
        return page(
            request,
            "shell/join.html",
            name=invitation.name,
            roles=written(invitation.roles),
            policy_name=self._desk.policy.policy.name,
            expires_at=invitation.expires_at,
        )

    def join(self, request: Request) -> Response:
        """Use an invitation up and sign the person in."""
        if request.state.by_proxy:
            return RedirectResponse("/", 303)
        if refusal := self._too_many(request):
            return refusal
        browser = request.headers.get("user-agent", "")
        token = self._desk.people.redeem(request.path_params["token"], browser)
        if token is None:
            return self._failed(request)
        if request.state.session_id is not None:
            self._desk.people.end_session(request.state.session_id, request.state.person.name)
        request.app.state.identities.forget()
        response = RedirectResponse("/", 303)
        response.headers.append("set-cookie", request.app.state.cookies.header(token, keep=True))
        return response

    def sign_out(self, request: Request) -> Response:
        person = person_of(request)
        if request.state.session_id is not None:
            self._desk.people.end_session(request.state.session_id, person.name)
            request.app.state.identities.forget()
        for tell in self._desk.on_sign_out:
            tell(person.name)
        response = RedirectResponse("/", 303)
        request.app.state.cookies.sign_out(response)
        return response

    def _too_many(self, request: Request) -> Response | None:
        # Who is in guesses nothing, and must not keep out those who share the address.
        if request.state.person is not None:
            return None
        wait = self._attempts.wait(limited_as(request.state.address))
        return error_page(request, 429, headers={"Retry-After": str(wait)}) if wait else None

    def _failed(self, request: Request) -> Response:
        if request.state.person is not None:
            # Who comes by the same old link every day is in already.
            return RedirectResponse("/", 303)
        self._attempts.failed(limited_as(request.state.address))
        return error_page(request, 404, USED_UP)


class Attempts:
    """Counts failures of the last ``seconds``, by address and in total.

    :param each: so many failures of an address are let through.
    :param in_all: and so many of all addresses together, which bounds what an attack costs the database.
    """

    def __init__(self, each: int, in_all: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._in_all = each, in_all
        self._seconds = seconds
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """Return for how many seconds an address must wait, 0 if it may try."""
        with self._lock:
            now = self._clock()
            waits = (
                self._wait(self._by_address.get(address, deque()), self._each, now),
                self._wait(self._all, self._in_all, now),
            )
        return max(waits)

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            now = self._clock()
            mine = self._by_address.pop(address, deque())
            for failures, limit in ((mine, self._each), (self._all, self._in_all)):
                failures.append(now)
                if len(failures) > limit:
                    failures.popleft()
            self._by_address[address] = mine
            if len(self._by_address) > MAX_ADDRESSES:
                self._by_address.popitem(last=False)

    def _wait(self, failures: deque[float], limit: int, now: float) -> int:
        if len(failures) < limit or now - failures[0] >= self._seconds:
            return 0
        return int(self._seconds - (now - failures[0])) + 1
