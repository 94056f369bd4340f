"""Who is at the desk, and what each role may see and do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]
_NEEDS = "al_needs"


class Role(StrEnum):
    """What a person is asked to do. A rater holds no other role, so that what he sees stays blind."""

    RATER = "rater"
    ADJUDICATOR = "adjudicator"
    POLICY_OWNER = "policy owner"
    ADMIN = "admin"


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in.

    :param name: the name in the ledger; unique within the policy.
    """

    name: str
    roles: frozenset[Role]

    def may(self, *roles: Role) -> bool:
        """Whether the person holds one of the roles."""
        return not self.roles.isdisjoint(roles)


def needs(*roles: Role) -> Callable[[Endpoint], Endpoint]:
    """Let an endpoint answer only to people with one of the roles; all others get 404, as if it did not exist."""

    def guard(endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if not person_of(request).may(*roles):
                raise HTTPException(404)
            return await endpoint(request)

        guarded.__name__ = getattr(endpoint, "__name__", "guarded")
        vars(guarded)[_NEEDS] = frozenset(roles)
        return guarded

    return guard


def needed_by(endpoint: object) -> frozenset[Role] | None:
    """Return the roles of which an endpoint wants one; None of one that is open to all."""
    found: frozenset[Role] | None = getattr(endpoint, _NEEDS, None)
    return found


def person_of(request: Request) -> Person:
    """Return who sent the request.

    :raises HTTPException: 401, nobody is signed in.
    """
    person = getattr(request.state, "person", None)
    if not isinstance(person, Person):
        raise HTTPException(401)
    return person


async def still_signed_in(request: Request) -> bool:
    """Whether who sent the request may still be here: for answers that last, such as event streams."""
    return bool(await request.app.state.still_signed_in(request))
