"""A runner on Ray: each part of a pool is one task, on whichever node has a core free, and results come in order."""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from al_assets.config import Policy
from al_assets.curation.checks import check_at_least
from al_assets.curation.runner import THREADS, Runner, divide_evenly

LOOPBACK = "127.0.0.1"
_ANSWER_S = 10
RETRIES = 3
"""How often a part is computed again after the node or process that had it died, unless told otherwise."""


class ScaleError(RuntimeError):
    """Ray is missing, cannot be reached or lost a part too often; the message says what to do."""


@dataclass(frozen=True)
class TaskUse:
    """What one task used.

    :param node: the id of the node it ran on; ``process`` the process there.
    :param cpu_s: processor time of that process while the task ran; reading its arguments came before.
    :param peak_rss_mb: the most resident memory of that process up to then (MB of 2**20 bytes), shared memory included;
        NaN where the system does not tell.
    """

    node: str
    process: int
    cpu_s: float
    peak_rss_mb: float


class RayRunner:
    """Maps functions over shards of a pool by Ray tasks; takes the place of ``Threads`` wherever a runner is asked for.

    A memory map is sent as the name of its file, so the file has to be at the same path on every node, and so has this
    package. Arrays in memory go through Ray's object store. A task asks for one core and uses one; its arguments are
    read-only. Tasks are repeated when their node or process dies: they only read, so that changes nothing.

    Ray is connected to on first use: what this process is connected to already, else the address. :meth:`close`, or the
    end of a ``with`` block, ends the connection that this runner made.

    :param shards: how many ranges of equal length the pool is divided into, or the rows of each range, in order. Each
        range is one task, which brings at most that range's vectors into memory: 100,000 rows of 384 take 150 MB. Two
        or more for each core even out what tasks cost.
    :param address: as in ``connect``: ``host:port``, "auto", or None for this machine alone.
    :param in_flight: tasks under way or finished and not yet taken; None is two for each core of the cluster.
    :param retries: how often a part is tried again after a node died.
    :param search_by: what a task of a search reads: its own shard's part of every list of like rows, or whole lists,
        whose rows lie all over the file. Lists take about half the time where every node can keep the file in memory.
    :raises ScaleError: Ray is not installed.
    :raises CurationError: a number is below what it must be.
    """

    def __init__(
        self,
        shards: int | Sequence[int],
        address: str | None = None,
        *,
        in_flight: int | None = None,
        retries: int = RETRIES,
        search_by: Literal["shard", "list"] = "shard",
    ) -> None:
        self._sizes = None if isinstance(shards, int) else np.asarray(shards, dtype=np.int64)
        self._count = shards if isinstance(shards, int) else len(shards)
        check_at_least("scale.ray.shards", self._count, 1)
        check_at_least("in_flight", in_flight or 1, 1)
        check_at_least("retries", retries, 0)
        import_ray()
        self._address, self._in_flight, self._retries = address, in_flight, retries
        self._search_by, self._opened = search_by, False
        self.uses: list[TaskUse] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection that this runner made, and Ray with it if it was started for this process alone."""
        if self._opened:
            import_ray().shutdown()
        self._opened = False

    def map(self, task: Callable[..., Any], parts: Sequence[Any], *shared: Any) -> Iterator[Any]:
        """Yield ``task(part, *shared)`` for each part, in order; arrays in the results are read-only.

        :param task: a function of a module that every node can import.
        :param shared: sent to each node once, not once a task.
        :raises ScaleError: a part was lost more often than it may be tried again.
        """
        ray = self._connect()
        # Spread over the nodes: by itself Ray fills the first one up to half before it looks at another.
        remote = ray.remote(_run).options(num_cpus=1, max_retries=self._retries, scheduling_strategy="SPREAD")
        sent = [ray.put(each) for each in shared]
        ahead = self._in_flight or max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
        rest = iter(parts)
        waiting = deque(remote.remote(task, part, *sent) for part in islice(rest, ahead))
        # Where the caller stops early, what is under way is left to end: cancelling a task just as it completes makes
        # Ray 2.60 abort this whole process (task_manager.cc, CompletePendingTask).
        while waiting:
            result, use = self._take(ray, waiting.popleft())
            self.uses.append(use)
            waiting.extend(remote.remote(task, part, *sent) for part in islice(rest, 1))
            yield result

    def divide(
        self, rows: NDArray[np.int64], work: NDArray[np.float64], read: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Return the rows in parts, one for each shard that has any; each task then reads only its own shard.

        :param work: looked at in a search by lists, and where rows that have to stay in order are not rising: parts are
            then of about equal work.
        :param read: the row of the pool that stands behind each of ``rows``; None: they are rows of the pool, and the
            parts one after the other are the rows as given.
        """
        if not len(rows):
            return []
        if read is not None and self._search_by == "list":
            return divide_evenly(rows, work, self._count)
        shard = self._shard_of(rows if read is None else read)
        if read is None and (np.diff(shard) < 0).any():
            return divide_evenly(rows, work, self._count)
        order = np.argsort(shard, kind="stable")
        return np.split(rows[order], np.flatnonzero(np.diff(shard[order])) + 1)

    def _shard_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._sizes is None:
            return rows // -(-(int(rows.max()) + 1) // self._count)
        return np.searchsorted(np.cumsum(self._sizes)[:-1], rows, side="right")

    def _connect(self) -> Any:
        ray = import_ray()
        if not ray.is_initialized():
            connect(self._address)
            self._opened = True
        return ray

    def _take(self, ray: Any, reference: Any) -> tuple[Any, TaskUse]:
        try:
            result, use = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            # What the task raised, as it would come from a thread.
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise ScaleError(
                f"scale.ray: a part was lost, {self._retries} retries included ({error}); look at the nodes' memory "
                "and logs, take more shards so that each needs less, or run on this machine alone"
            ) from error
        return result, use


def _run(task: Callable[..., Any], part: Any, *shared: Any) -> tuple[Any, TaskUse]:
    import ray
    from threadpoolctl import threadpool_limits

    started = time.process_time()
    with threadpool_limits(1):
        result = task(part, *shared)
    node = ray.get_runtime_context().get_node_id()
    return result, TaskUse(node, os.getpid(), time.process_time() - started, _peak_rss_mb())


def _peak_rss_mb() -> float:
    # Not ru_maxrss: that of a started process begins at the peak of the process that started it.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), float("nan"))


def import_ray() -> Any:
    """Return the module ``ray``.

    :raises ScaleError: it is not installed.
    """
    # Ray reports how it is used to its makers unless told otherwise, and warns of a setting that it will change.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ScaleError(
            "scale.ray: Ray is not installed; pip install 'al_assets[ray]', or leave scale.ray out of the policy"
        ) from error
    return ray


def connect(address: str | None) -> None:
    """Connect this process to a Ray cluster.

    :param address: ``host:port`` of its head, or "auto" for the one that runs on this machine; None starts Ray for this
        process alone, on the loopback interface, with all its cores.
    :raises ScaleError: Ray is not installed, or no cluster answers there.
    """
    ray = import_ray()
    _check_answers(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            with loopback_only():
                ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **quiet)
        elif address.partition(":")[0] in (LOOPBACK, "localhost"):
            with loopback_only():
                ray.init(address=address, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise _no_answer(address or "this machine", error) from error


def _check_answers(address: str | None) -> None:
    """Do nothing if something listens there: Ray itself tries for minutes."""
    host, _, port = (address or "").rpartition(":")
    if not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        raise _no_answer(str(address), error) from error


def _no_answer(where: str, error: Exception) -> ScaleError:
    return ScaleError(
        f"scale.ray.address: no Ray cluster answers at {where!r} ({error}); start one with 'ray start --head', name "
        "its head as host:port, or leave the address out to use this machine"
    )


@contextmanager
def loopback_only() -> Iterator[None]:
    """Make Ray start and look for nodes on 127.0.0.1.

    Whoever reaches a port of Ray can run code. Ray replaces 127.0.0.1 by an address that others can reach, except where
    it was told that it forms no cluster with other machines.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def runner_of(policy: Policy) -> Iterator[Runner]:
    """Yield what runs the selection's large steps: a Ray cluster if the policy names one, else threads.

    :raises ScaleError: Ray is not installed, or the cluster does not answer.
    """
    settings = policy.scale.ray
    if settings is None:
        yield THREADS
        return
    with RayRunner(settings.shards, settings.address) as runner:
        yield runner
