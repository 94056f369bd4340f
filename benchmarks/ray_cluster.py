"""A Ray cluster of several nodes on this machine, on which the selection can be tried."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_assets.scale.ray_runner import LOOPBACK, import_ray, loopback_only

_LEAST_STORE_MB = 80
# Tells a dead node, which refuses the connection at once, within seconds; a busy one still has ten for each answer.
_HEALTH = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 5}


@dataclass(frozen=True)
class LocalCluster:
    """A Ray cluster whose nodes are all on this machine, each with processes and an object store of its own.

    :param address: what ``connect`` takes.
    """

    address: str
    _cluster: Any
    _settings: dict[str, Any]

    def add(self) -> str:
        """Start one more node and return its id."""
        with loopback_only():
            return str(self._cluster.add_node(**self._settings).node_id)

    def node_ids(self) -> list[str]:
        """Return the ids of the nodes that tasks run on."""
        return sorted(node.node_id for node in self._cluster.worker_nodes)

    def kill(self, node_id: str) -> None:
        """Kill a node's processes without warning, as a power cut would."""
        node = next(each for each in self._cluster.worker_nodes if each.node_id == node_id)
        self._cluster.remove_node(node, allow_graceful=False)


@contextmanager
def local_cluster(nodes: int = 2, cpus: int = 1, object_store_mb: int = _LEAST_STORE_MB) -> Iterator[LocalCluster]:
    """Start a Ray cluster on the loopback interface of this machine, and stop it at the end.

    The head, to which this process connects, runs no tasks, as is usual for a head.

    :param nodes: those that run tasks.
    :param cpus: tasks that each of them runs at once.
    :param object_store_mb: shared memory of each node, at least 80 MB (of 2**20 bytes); what does not fit goes to disk.
    :raises ScaleError: Ray is not installed.
    """
    ray = import_ray()
    from ray.cluster_utils import Cluster

    # A path to a socket may have 107 characters, of which Ray's own part takes more than 60.
    folder = tempfile.mkdtemp(prefix="al-ray-", dir="/tmp" if Path("/tmp").is_dir() else None)
    settings = {
        "object_store_memory": max(object_store_mb, _LEAST_STORE_MB) * 2**20,
        "include_dashboard": False,
        "node_ip_address": LOOPBACK,
    }
    with _environment("RAY_TMPDIR", folder), loopback_only():
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": _HEALTH, **settings})
        try:
            running = LocalCluster(cluster.address, cluster, {"num_cpus": cpus, **settings})
            for _ in range(nodes):
                running.add()
            yield running
        finally:
            ray.shutdown()
            cluster.shutdown()
            remove_folder(folder)


def remove_folder(folder: str) -> None:
    """Remove a folder that processes which are just ending may still write to, or make again."""
    gone = 0
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        gone = 0 if Path(folder).exists() else gone + 1
        if gone == 5:
            return
        time.sleep(0.1)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
