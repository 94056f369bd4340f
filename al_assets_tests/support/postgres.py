"""Ledgers for tests, on SQLite and on a real, throw-away PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import open_ledger
from benchmarks.processes import Cluster, MissingPostgresError, binaries
from benchmarks.processes import running_cluster as running_postgres

__all__ = ["Cluster", "binaries", "running_cluster"]


@contextmanager
def running_cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """Yield a new cluster, see ``benchmarks.processes``; without the programs the test is skipped."""
    try:
        with running_postgres(durable=durable) as cluster:
            yield cluster
    except MissingPostgresError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A server shared by the tests of a session."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> str:
    """The SQLAlchemy URL of an empty database."""
    return postgres_cluster.new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger: the test runs on SQLite, and again on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A ledger that has published five items in iteration 0000."""
    with open_ledger(ledger_url) as opened:
        yield opened
