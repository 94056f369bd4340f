from collections.abc import Callable

import pytest

from al_assets_tests.support.simulated_loop import World, make_world


@pytest.fixture
def world() -> Callable[..., World]:
    """Return the factory of simulated loops."""
    return make_world
