from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import DeskClient, SignIn, client_of, open_desk, running_app


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with six questions."""
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite") as made:
        yield made


@pytest.fixture
def app(desk: Desk) -> Iterator[Starlette]:
    """The desk's application."""
    with running_app(desk) as made:
        yield made


@pytest.fixture
def visitor(app: Starlette) -> Callable[[], DeskClient]:
    """Return clients that are not signed in."""
    return lambda: DeskClient(app)


@pytest.fixture
def sign_in(app: Starlette, desk: Desk) -> SignIn:
    """Return clients that are signed in."""

    def sign_in(name: str, *roles: Role) -> DeskClient:
        return client_of(app, desk, name, *roles)

    return sign_in
