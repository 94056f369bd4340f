import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import psutil
import pytest
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import Search, cross_label_pairs
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.neighbours import Lists, nearest_neighbours
from al_assets.curation.geometry.regions import fit_regions
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import Runner, Threads
from al_assets.curation.settings import ClusterSettings
from al_assets.scale.ray_runner import RayRunner, ScaleError, connect
from al_assets_tests.scale.conftest import SHARDS
from al_assets_tests.support.programs import ray_tasks
from benchmarks.pools.bench_pool import BenchPool, make_pool
from benchmarks.ray_cluster import LocalCluster, remove_folder

pytestmark = pytest.mark.ray

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
THROUGH_CELLS = Search(exact_cosines=0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> BenchPool:
    return make_pool(20_000, 64, folder=tmp_path_factory.mktemp("pool"))


def clusters_of(pool: BenchPool, runner: Runner) -> pl.DataFrame:
    sides, how = Sides.of(pool.item_ids, pool.vectors, pool.positive), ClusterSettings(15, 8, sample=2_000)
    regions = fit_regions(sides.vectors, pool.scores, how)
    return cluster_assignments(sides, how, runner=runner, regions=regions)


def pairs_of(pool: BenchPool, clusters: pl.DataFrame, runner: Runner) -> pl.DataFrame:
    return cross_label_pairs(
        Sides.of(pool.item_ids, pool.vectors, pool.positive),
        clusters,
        neighbours=8,
        min_mixing=0.2,
        seed=0,
        search=THROUGH_CELLS,
        runner=runner,
    )


@pytest.fixture(scope="module")
def by_threads(pool: BenchPool) -> tuple[pl.DataFrame, pl.DataFrame]:
    clusters = clusters_of(pool, Threads(1))
    return clusters, pairs_of(pool, clusters, Threads(1))


def same_pairs(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal up to the last digits of the similarities, and the order of pairs that these decide."""
    both = one.join(other, on="pair_id", suffix="_other")
    near = (both["similarity"] - both["similarity_other"]).abs().max()
    rest = [frame.drop("similarity").sort("pair_id") for frame in (one, other)]
    return isinstance(near, float) and near < 1e-6 and rest[0].equals(rest[1])


def test_ray_finds_what_threads_find(
    pool: BenchPool, by_threads: tuple[pl.DataFrame, pl.DataFrame], runner: RayRunner
) -> None:
    clusters, pairs = by_threads
    found = clusters_of(pool, runner)
    assert found.drop("distance").equals(clusters.drop("distance"))
    assert np.allclose(found["distance"].to_numpy(), clusters["distance"].to_numpy(), atol=1e-6)
    assert pairs.height > 1_000
    assert same_pairs(pairs_of(pool, found, runner), pairs)
    tasks = Counter(use.node for use in runner.uses)
    assert len(tasks) == 2
    assert all(count > 10 for count in tasks.values())


@pytest.mark.parametrize("search_by", ["shard", "list"])
def test_the_search_finds_the_neighbours_that_threads_find(
    pool: BenchPool,
    by_threads: tuple[pl.DataFrame, pl.DataFrame],
    cluster: LocalCluster,
    runner: RayRunner,
    search_by: Literal["shard", "list"],
) -> None:
    vectors = Vectors(pool.vectors)
    answering = np.flatnonzero(~pool.positive)
    lists = Lists.of(vectors, answering, by_threads[0]["cell"].to_numpy()[answering])
    asking = np.flatnonzero(pool.positive)
    one = nearest_neighbours(vectors, lists, asking, 10, probes=12, runner=Threads(1))
    with RayRunner(SHARDS, cluster.address, search_by=search_by) as searching:
        other = nearest_neighbours(vectors, lists, asking, 10, probes=12, runner=searching)
    # Unlike shapes of a product round the last digit in unlike ways, so rows as near as each other may change places.
    assert np.allclose(one.cosine, other.cosine, atol=1e-6)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(one.rows, other.rows, strict=True)]) / 10 > 0.999


class Killing(RayRunner):
    """Adds a node, and kills it as soon as a task has ended there and others may have."""

    def __init__(self, shards: int, cluster: LocalCluster) -> None:
        super().__init__(shards, cluster.address)
        self.cluster, self.doomed, self.killed_after = cluster, cluster.add(), 0
        # Its first process takes seconds to start, in which the other nodes might do everything.
        while self.doomed not in {use.node for use in self.uses}:
            list(super().map(ray_tasks.square, range(6), 0))
        self.uses.clear()

    def map(self, task: Callable[..., Any], parts: Sequence[Any], *shared: Any) -> Iterator[Any]:
        for result in super().map(task, parts, *shared):
            if not self.killed_after and self.uses[-1].node == self.doomed:
                time.sleep(0.3)
                self.cluster.kill(self.doomed)
                self.killed_after = len(self.uses)
            yield result


def test_a_killed_node_loses_no_result(cluster: LocalCluster, runner: RayRunner) -> None:
    with Killing(1, cluster) as killing:
        found = list(killing.map(ray_tasks.large, range(12), 0.1))
    assert [(len(each), each[0], each[-1]) for each in found] == [(200_000, part, part) for part in range(12)]
    assert 0 < killing.killed_after < len(killing.uses)
    assert killing.doomed not in cluster.node_ids()


def test_the_engine_outlives_a_node(
    pool: BenchPool, by_threads: tuple[pl.DataFrame, pl.DataFrame], cluster: LocalCluster, runner: RayRunner
) -> None:
    with Killing(SHARDS, cluster) as killing:
        found = pairs_of(pool, by_threads[0], killing)
    assert same_pairs(found, by_threads[1])
    assert 0 < killing.killed_after < len(killing.uses)


def test_results_come_in_order_and_few_are_under_way(cluster: LocalCluster, runner: RayRunner, tmp_path: Path) -> None:
    with RayRunner(1, cluster.address, in_flight=2) as few:
        assert list(few.map(ray_tasks.square, range(5), 1)) == [1, 2, 5, 10, 17]
        results = few.map(ray_tasks.started, range(40), str(tmp_path))
        assert [next(results), next(results)] == [0, 1]
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) <= 4


def test_tasks_use_one_thread_each(runner: RayRunner) -> None:
    counts = list(runner.map(ray_tasks.blas_threads, range(2)))
    assert all(counts)
    assert {count for each in counts for count in each} == {1}


def test_an_error_of_a_task_is_raised_as_it_is(runner: RayRunner) -> None:
    with pytest.raises(CurationError, match="^vectors: 1 of 2 rows hold NaN$"):
        list(runner.map(ray_tasks.refuse, range(4)))
    assert list(runner.map(ray_tasks.square, [3], 0)) == [9]


def test_a_part_that_kills_its_process_is_given_up_in_the_end(cluster: LocalCluster, runner: RayRunner) -> None:
    with RayRunner(1, cluster.address, retries=0) as once, pytest.raises(ScaleError, match="0 retries included"):
        list(once.map(ray_tasks.die, range(1)))


def test_nothing_listens_beyond_this_machine(runner: RayRunner) -> None:
    assert list(runner.map(ray_tasks.square, range(2), 0)) == [0, 1]
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = {
        each.laddr.ip
        for process in processes
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= LOOPBACK


@pytest.mark.parametrize("shards", [1, 3, [5, 40, 55], [100]])
def test_parts_are_shards(shards: int | list[int]) -> None:
    runner = RayRunner(shards)
    rows = np.arange(0, 100, 2)
    parts = runner.divide(rows, np.ones(len(rows)))
    edges = np.cumsum([33, 33, 33] if shards == 3 else [100] if shards == 1 else shards)
    assert np.array_equal(np.concatenate(parts), rows)
    assert [shard_of(part, edges) for part in parts] == list(range(len(edges)))


def test_what_reads_from_all_over_is_brought_to_its_shard() -> None:
    read = np.random.default_rng(0).permutation(1_000)
    parts = RayRunner(4).divide(np.arange(1_000), np.ones(1_000), read)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1_000))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert [shard_of(read[part], np.array([250, 500, 750, 1_000])) for part in parts] == [0, 1, 2, 3]


def test_a_search_by_lists_keeps_them_together() -> None:
    read = np.random.default_rng(0).permutation(1_000)
    parts = RayRunner(4, search_by="list").divide(np.arange(1_000), np.ones(1_000), read)
    assert [len(part) for part in parts] == [250] * 4
    assert np.array_equal(np.concatenate(parts), np.arange(1_000))


def test_rows_in_another_order_keep_it() -> None:
    rows = np.random.default_rng(0).permutation(1_000)
    parts = RayRunner(4).divide(rows, np.ones(1_000))
    assert len(parts) == 4
    assert np.array_equal(np.concatenate(parts), rows)
    assert RayRunner(4).divide(rows[:0], np.ones(0)) == []


def shard_of(rows: NDArray[np.int64], edges: NDArray[np.int64]) -> int:
    (shard,) = np.unique(np.searchsorted(edges, rows, side="right"))
    return int(shard)


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(CurationError, match=r"scale\.ray\.shards: 0 is too small"):
        RayRunner(0)


def test_without_ray_an_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from al_assets.scale.ray_runner import RayRunner\n"
        "try:\n    RayRunner(2)\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'al_assets[ray]'" in done.stdout


def test_without_an_address_ray_is_started_here_and_ended() -> None:
    code = (
        "import json, psutil\n"
        "from al_assets.scale.ray_runner import RayRunner\n"
        "from al_assets_tests.support.programs.ray_tasks import square\n"
        "with RayRunner(2) as runner:\n"
        "    print(list(runner.map(square, [1, 2], 1)))\n"
        "    started = psutil.Process().children(recursive=True)\n"
        "    ports = [each.laddr.ip for process in started for each in process.net_connections('inet')\n"
        "             if each.status == psutil.CONN_LISTEN]\n"
        "    print(json.dumps(ports))\n"
        "print(len(psutil.wait_procs(started, timeout=20)[1]))\n"
    )
    # The path to a socket may have 107 characters: pytest's folders are too deep.
    folder = tempfile.mkdtemp(prefix="al-ray-", dir="/tmp")
    environment = {**os.environ, "RAY_TMPDIR": folder}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    remove_folder(folder)
    squares, ports, left = done.stdout.splitlines()
    assert (squares, left) == ("[2, 5]", "0")
    assert set(json.loads(ports)) <= LOOPBACK


def test_an_address_where_nobody_answers() -> None:
    with pytest.raises(ScaleError, match=r"^scale\.ray\.address: no Ray cluster answers at '127\.0\.0\.1:9'"):
        connect("127.0.0.1:9")
