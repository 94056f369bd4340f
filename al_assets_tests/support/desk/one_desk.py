"""One desk for all tests of a module, which takes a moment to open: import ``desk`` and ``app`` to share them."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import open_desk, running_app

NAMES = {Role.RATER: "anna", Role.ADJUDICATOR: "judy", Role.POLICY_OWNER: "olga", Role.ADMIN: "ada"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk with six questions."""
    folder = tmp_path_factory.mktemp("desk")
    with open_desk(folder, f"sqlite:///{folder}/ledger.sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def app(desk: Desk) -> Iterator[Starlette]:
    """The desk's application."""
    with running_app(desk) as made:
        yield made
