from collections.abc import Iterator

import pytest

from al_assets.scale.ray_runner import RayRunner
from al_assets.scale.ray_start import LocalCluster, local_cluster

SHARDS = 6


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A head and two nodes with a core and an object store each, on this machine."""
    with local_cluster(nodes=2, cpus=1) as running:
        yield running


@pytest.fixture
def runner(cluster: LocalCluster) -> Iterator[RayRunner]:
    with RayRunner(SHARDS, cluster.address) as connected:
        yield connected
