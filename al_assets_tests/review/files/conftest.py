import pytest

from al_assets.config import Policy
from al_assets_tests.support.policies import make_policy


@pytest.fixture
def policy(ledger_url: str) -> Policy:
    """The policy of whose votes the ledger is."""
    return make_policy(ledger_url)
