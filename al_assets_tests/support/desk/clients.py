"""A desk to test pages with.

``desk`` is a policy ("spam", raters anna, ben and cleo, two votes an item) whose ledger has published six items,
item000 to item005, in iteration 0000. ``sign_in("anna")`` returns a client that is signed in as that rater;
``sign_in("ada", Role.ADMIN)`` one of somebody with other roles. Without a name, ``visitor()`` is nobody.

    def test_somebody_votes(sign_in: SignIn) -> None:
        anna = sign_in("anna")
        assert anna.get("/questions").status_code == 200
        anna.submit("/questions/vote", label="positive")         # a POST with the right CSRF token in its form
        anna.post("/x", headers={"X-CSRF-Token": anna.csrf})   # or by hand, as htmx does it
        assert anna.person.name == "anna"

Redirects are not followed. All clients of a test share ``app``, whose lifespan runs. Another policy, queue or
database: ``open_desk(folder, url, queue=..., **sections)``, ``running_app(desk)``, ``client_of(app, desk, "anna")``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx2
import polars as pl
from starlette.applications import Starlette
from starlette.testclient import TestClient

from al_assets.config import Policy
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Person, Role
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import SELECTED_BY, items, queue_frame
from al_assets_tests.support.policies import make_policy

KEY = bytes(range(32))


ORIGIN = "http://127.0.0.1:8200"


class DeskClient(TestClient):
    """A browser of its own, signed in or not; ``csrf`` is the token of its forms."""

    def __init__(self, app: Starlette, origin: str = ORIGIN, **arguments: Any) -> None:
        super().__init__(app, base_url=origin, follow_redirects=False, client=("127.0.0.1", 50_000), **arguments)
        # One event loop for all clients, as a real server has.
        self.portal = getattr(app.state, "portal_of_tests", None)
        self.cookies_of: Any = app.state.cookies
        self.person: Person | None = None

    @property
    def csrf(self) -> str:
        """The token that a page would put into its forms."""
        signed = self.cookies.get(self.cookies_of.name) or ""
        return str(self.cookies_of.csrf(signed.rpartition(".")[0]))

    def submit(self, path: str, **fields: Any) -> httpx2.Response:
        """Send a form of one of the desk's pages."""
        return self.post(path, data={"csrf": self.csrf, **fields})


class SignIn(Protocol):
    def __call__(self, name: str, *roles: Role) -> DeskClient: ...


@contextmanager
def open_desk(folder: Path, url: str, queue: pl.DataFrame | None = None, **sections: Any) -> Iterator[Desk]:
    """Yield a desk whose ledger has published a queue in iteration 0000; sections replace those of the policy."""
    made = make_policy(url).model_dump(exclude={"base_dir"})
    policy = Policy.model_validate({**made, **sections, "base_dir": folder})
    with Ledger.of(policy) as ledger, PeopleStore.of(policy) as people:
        ledger.publish("0000", queue_frame(items(6)) if queue is None else queue, SELECTED_BY)
        yield Desk(policy, ledger, people, KEY)


@contextmanager
def running_app(desk: Desk) -> Iterator[Starlette]:
    """Yield a desk's application while its lifespan runs."""
    app = make_app(desk)
    with DeskClient(app) as first:
        app.state.portal_of_tests = first.portal
        yield app


def client_of(app: Starlette, desk: Desk, name: str, *roles: Role, origin: str = ORIGIN) -> DeskClient:
    """Return a client that came in by an invitation; without roles as a rater."""
    client = DeskClient(app, origin)
    token = changes.invite(desk.people, desk.ledger, name, roles or (Role.RATER,), "the tests")
    assert client.get(f"/join/{token}").status_code == 200
    assert client.submit(f"/join/{token}").status_code == 303
    member = desk.people.member(name)
    assert member is not None
    client.person = member.person
    return client
