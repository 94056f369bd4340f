"""Who is at the desk, and what each role may see and do."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

Endpoint = Callable[[Request], Any]
_NEEDS = "al_needs"


class Role(StrEnum):
    """What a person is asked to do. A rater holds no other role, so that what they see stays blind."""

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

    def check(request: Request) -> None:
        if not person_of(request).may(*roles):
            raise HTTPException(404)

    def guard(endpoint: Endpoint) -> Endpoint:
        # Starlette runs plain functions in threads, and so must the guarded ones.
        @wraps(endpoint)
        def guarded(request: Request) -> Any:
            check(request)
            return endpoint(request)

        @wraps(endpoint)
        async def guarded_async(request: Request) -> Any:
            check(request)
            return await endpoint(request)

        made = guarded_async if iscoroutinefunction(endpoint) else guarded
        vars(made)[_NEEDS] = frozenset(roles)
        return made

    return guard


def needed_by(endpoint: object) -> frozenset[Role] | None:
    """Return the roles of which an endpoint wants one; None of one that is open to all."""
    roles: frozenset[Role] | None = getattr(endpoint, _NEEDS, None)
    return roles


def person_of(request: Request) -> Person:
    """Return who sent the request.

    :raises HTTPException: 401, nobody is signed in.
    """
    person = getattr(request.state, "person", None)
    if not isinstance(person, Person):
        raise HTTPException(401)
    return person
