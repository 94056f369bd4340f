import pytest

from al_assets.config import Policy
from al_assets.report.iteration_tables import IterationTables, read_tables
from al_assets_tests.support.finished_run import small_world, write_run


@pytest.fixture(scope="session")
def run_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The policy of a run of three finished iterations; read it, change nothing."""
    return write_run(tmp_path_factory.mktemp("run"), small_world())


@pytest.fixture(scope="session")
def tables(run_policy: Policy) -> IterationTables:
    """The tables of its last iteration."""
    return read_tables(run_policy)
