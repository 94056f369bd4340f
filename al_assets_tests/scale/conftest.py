from collections.abc import Iterator

import pytest

from al_assets.scale.ray_runner import RayRunner
from benchmarks.ray_cluster import LocalCluster, local_cluster

SHARDS = 6


@pytest.fixture(scope="package")
def cluster() -> Iterator[LocalCluster]:
    """A head and two nodes with a core and an object store each, on this machine."""
    with local_cluster(nodes=2, cpus=1) as running:
        yield running


@pytest.fixture(scope="package")
def connection(cluster: LocalCluster) -> Iterator[RayRunner]:
    """Kept for all tests: every new one starts new processes, which load all libraries."""
    with RayRunner(SHARDS, cluster.address) as connected:
        yield connected


@pytest.fixture
def runner(connection: RayRunner) -> RayRunner:
    """A runner whose tasks so far are forgotten."""
    connection.uses.clear()
    return connection
