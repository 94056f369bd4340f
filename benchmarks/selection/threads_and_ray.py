"""The selection engine by threads of this process and by Ray, on the same pool: time, memory and sameness."""

import time
from dataclasses import dataclass

import numpy as np
import polars as pl
import psutil
from numpy.typing import NDArray

from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import Search, cross_label_pairs
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.neighbours import Lists, nearest_neighbours
from al_assets.curation.geometry.regions import fit_regions
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import Runner, Threads
from al_assets.scale.ray_runner import RayRunner, TaskUse
from benchmarks.pools.bench_pool import BenchPool
from benchmarks.processes import peak_rss_mb
from benchmarks.ray_cluster import local_cluster

_NEIGHBOURS = 10
_STORE_MB = 200
"""Of the object store of each node."""
_DEFAULT_SEARCH = Search()


@dataclass(frozen=True)
class EngineRun:
    """The engine once: clusters of both sides, then candidate pairs.

    :param wall_s: from the vectors to the pairs.
    :param cpu_s: processor time of this process and of all that it started, Ray's own processes included.
    :param clusters_s, pairs_s: wall time of the two stages.
    :param pairs: candidate pairs found.
    """

    wall_s: float
    cpu_s: float
    clusters_s: float
    pairs_s: float
    pairs: int


@dataclass(frozen=True)
class NodeUse:
    """What the tasks of one node used.

    :param peak_rss_mb: the peaks of its processes added up: at most that much was resident at once. What several of
        them map is counted in each; Ray's own processes and its object store are not in it.
    """

    node: str
    tasks: int
    processes: int
    cpu_s: float
    peak_rss_mb: float


@dataclass(frozen=True)
class SelectionRayBench:
    """What ``bench_selection_ray`` found.

    :param threads: threads of this process; ``ray`` tasks of the cluster.
    :param task_cpu_s: processor time of the Ray tasks alone; the rest of ``ray.cpu_s`` is what is done centrally and
        what Ray needs itself.
    :param driver_peak_rss_mb: the most resident memory of this process so far, the pool included (2**20 bytes).
    :param nodes: what the tasks used, node by node; see ``NodeUse`` for what its peak counts.
    :param same_clusters: share of the items with the same region and cell.
    :param same_pairs: share of the threads' pairs that Ray found too; ``identical_pairs`` whether both found the same
        pairs, each with the same clusters and mixing.
    :param similarity_difference: the largest, over the common pairs.
    :param recall_at_10: share of the threads' ten nearest items of the other label, for each item of the side that
        asks, that Ray found too.
    """

    pool: str
    n: int
    dim: int
    shards: int
    cores: int
    threads: EngineRun
    ray: EngineRun
    task_cpu_s: float
    driver_peak_rss_mb: float
    nodes: tuple[NodeUse, ...]
    same_clusters: float
    same_pairs: float
    identical_pairs: bool
    similarity_difference: float
    recall_at_10: float


def bench_selection_ray(
    pool: BenchPool,
    *,
    nodes: int = 2,
    shards: int = 8,
    search: Search = _DEFAULT_SEARCH,
    workers: int | None = None,
    seed: int = 0,
) -> SelectionRayBench:
    """Run the engine on the pool by threads and by Ray and compare what they found.

    :param nodes: with a core each, of a cluster that is started on this machine, and stopped at the end.
    :param shards: ranges of the pool, one task each.
    :param workers: threads to compare with; None is one for each core.
    :raises ScaleError: Ray is not installed.
    """
    threads = Threads(workers)
    _warm_up(0)
    with local_cluster(nodes, 1, _STORE_MB) as cluster, RayRunner(shards, cluster.address) as runner:
        # Processes of the nodes start, and import, before time is taken.
        list(runner.map(_warm_up, range(4 * shards)))
        runner.uses.clear()
        by_ray, ray_clusters, ray_pairs = _engine(pool, runner, search, seed)
        used = _by_node(runner.uses)
        by_threads, clusters, pairs = _engine(pool, threads, search, seed)
        recall = _recall(*(_nearest(pool, clusters, search.probes, each) for each in (threads, runner)))
    both = pairs.join(ray_pairs, on="pair_id", suffix="_ray")
    difference = np.abs(both["similarity"].to_numpy() - both["similarity_ray"].to_numpy()).max(initial=0.0)
    return SelectionRayBench(
        pool=pool.name,
        n=len(pool.item_ids),
        dim=int(pool.vectors.shape[1]),
        shards=shards,
        cores=threads.count,
        threads=by_threads,
        ray=by_ray,
        task_cpu_s=sum(node.cpu_s for node in used),
        driver_peak_rss_mb=peak_rss_mb(),
        nodes=used,
        same_clusters=_same_share(clusters, ray_clusters),
        same_pairs=both.height / pairs.height if pairs.height else 1.0,
        identical_pairs=_identical(pairs, ray_pairs),
        similarity_difference=float(difference),
        recall_at_10=recall,
    )


def _engine(pool: BenchPool, runner: Runner, search: Search, seed: int) -> tuple[EngineRun, pl.DataFrame, pl.DataFrame]:
    wall, cpu = time.perf_counter(), _cpu_s()
    sides = Sides(pool.item_ids, Vectors(pool.vectors), pool.positive)
    regions = fit_regions(sides.vectors, pool.scores, seed=seed)
    clusters = cluster_assignments(sides, seed=seed, runner=runner, regions=regions)
    clustered = time.perf_counter()
    pairs = cross_label_pairs(sides, clusters, seed=seed, search=search, runner=runner)
    done = time.perf_counter()
    return EngineRun(done - wall, _cpu_s() - cpu, clustered - wall, done - clustered, pairs.height), clusters, pairs


def _cpu_s() -> float:
    """Return the processor seconds of this process and of all that it started and that still run."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _warm_up(number: int) -> int:
    """Load the libraries that tasks use."""
    import faiss
    import scipy.sparse

    assert faiss.__name__
    assert scipy.sparse.__name__
    # Long enough that no process gets them all.
    time.sleep(0.05)
    return number


def _nearest(pool: BenchPool, clusters: pl.DataFrame, probes: int, runner: Runner) -> NDArray[np.int64]:
    """Return each asking item's ten nearest of the other label, through the cells, whatever the size."""
    vectors, cell = Vectors(pool.vectors), clusters["cell"].to_numpy()
    positives, negatives = np.flatnonzero(pool.positive), np.flatnonzero(~pool.positive)
    asking, answering = sorted((positives, negatives), key=len)
    lists = Lists.of(vectors, answering, cell[answering])
    return nearest_neighbours(vectors, lists, asking, _NEIGHBOURS, probes=probes, runner=runner).rows


def _recall(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    shared = sum(
        len(set(one) & set(other) - {-1}) for one, other in zip(expected.tolist(), found.tolist(), strict=True)
    )
    return shared / max(int((expected >= 0).sum()), 1)


def _same_share(one: pl.DataFrame, other: pl.DataFrame) -> float:
    same = (one["region"] == other["region"]) & (one["cell"] == other["cell"])
    return float(same.to_numpy().mean())


def _identical(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Tell whether all but the similarities, which may differ in their last digits and so in their order, is equal."""
    return one.drop("similarity").sort("pair_id").equals(other.drop("similarity").sort("pair_id"))


def _by_node(uses: list[TaskUse]) -> tuple[NodeUse, ...]:
    nodes = []
    for node in sorted({use.node for use in uses}):
        own = [use for use in uses if use.node == node]
        peaks: dict[int, float] = {}
        for use in own:
            peaks[use.process] = max(use.peak_rss_mb, peaks.get(use.process, 0.0))
        cpu_s = sum(use.cpu_s for use in own)
        nodes.append(NodeUse(node, len(own), len(peaks), cpu_s, sum(peaks.values())))
    return tuple(nodes)
