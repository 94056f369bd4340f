"""The process in which ``bench_selection`` times the engine: arguments are the vectors' file, the folder, the seed."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.confusion import expected_errors
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.cross_label_pairs import Search, cross_label_pairs
from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.curation.geometry.labelled_pool import Sides, labelled_pool
from al_assets.curation.geometry.neighbours import Lists, nearest_neighbours
from al_assets.curation.geometry.overlap import overlap_map
from al_assets.curation.geometry.regions import describe_regions, fit_regions, region_sample
from al_assets.curation.geometry.vectors import Shape, Vectors, logged_products
from al_assets.curation.runner import THREADS
from al_assets.curation.settings import DEFAULTS
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.boundary import BoundaryShare
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from benchmarks.pools.pool_texts import make_texts
from benchmarks.processes import peak_rss_mb
from benchmarks.selection.engine import BUDGET

_RECALL_QUERIES = 500


class Stages:
    """Processor and wall seconds by stage."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the block takes to a stage."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall


def main(file: str, folder: str, seed: int) -> None:
    """Time the engine and print what was found as one line of JSON."""
    frame = pl.read_parquet(Path(folder) / "scores.parquet")
    ids, positive = frame["item_id"], frame["label"].to_numpy()
    mapped = np.load(file, mmap_mode="r")
    _warm_up()
    timed = Stages()
    with logged_products() as products:
        vectors, clusters, candidates, picked = _select(timed, frame, mapped, seed)
    peak = peak_rss_mb()
    cpu, floor = sum(timed.cpu.values()), floor_cpu(products)
    recall = recall_at_10(vectors, positive, clusters)
    before = time.process_time()
    near_duplicates(make_texts(len(ids), seed))
    found = {
        "threads": THREADS.count,
        "wall_s": sum(timed.wall.values()),
        "cpu_s": cpu,
        "floor_cpu_s": floor,
        "ratio": cpu / floor,
        "products": len(products),
        "tflop": sum(2 * rows * others * width for rows, others, width in products) / 1e12,
        "peak_rss_mb": peak,
        "stages": timed.cpu,
        "walls": timed.wall,
        "fold_cpu_s": time.process_time() - before,
        "recall_at_10": recall,
        "candidates": candidates,
        "picked": picked,
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _select(
    timed: Stages,
    frame: pl.DataFrame,
    mapped: NDArray[np.float16],
    seed: int,
) -> tuple[Vectors, pl.DataFrame, int, list[str]]:
    """Do what the assets do, stage by stage."""
    ids, positive, scores = frame["item_id"], frame["label"].to_numpy(), frame["p_positive"].to_numpy()
    with timed.stage("vectors checked"):
        sides = Sides(ids, Vectors(mapped), positive)
    with timed.stage("micro cells"):
        clusters = cluster_assignments(sides, seed=seed)
    with timed.stage("regions"):
        regions, sample = (
            fit_regions(sides.vectors, scores, seed=seed),
            region_sample(len(ids), DEFAULTS.clusters, seed),
        )
        named = describe_regions(regions, ids, [""] * len(sample), sides.vectors, sample)
        clusters = clusters.with_columns(region=pl.Series(regions.find(sides.vectors)))
    with timed.stage("neighbours and mixing"):
        pairs = cross_label_pairs(sides, clusters, seed=seed)
    with timed.stage("overlap map"):
        none = np.full(len(ids), np.nan)
        errors = expected_errors(clusters["region"].to_numpy(), positive, scores, none, scores, 0.5)
        overlap_map(labelled_pool(sides, clusters), pairs, named, errors)
    with timed.stage("ranking and picks"):
        ranked = draw_pairs(rank_pairs(pairs, seed, frame), BUDGET // 2, DEFAULTS.exploration, seed)
        items = Candidates(ids, scores, positive, pairs=ranked)
        picked = BoundaryShare(0.0, DEFAULTS.exploration).pick(items, BUDGET, seed)["item_id"].to_list()
    return sides.vectors, clusters, pairs.height, picked


def floor_cpu(products: list[Shape]) -> float:
    """Return the processor seconds that the products take as plain sgemm, by the engine's threads."""
    shapes = sorted(Counter(products).items())
    # One shape after the other would leave the last thread alone with the largest.
    parts = [shapes[start :: 4 * THREADS.count] for start in range(4 * THREADS.count)]
    before = time.process_time()
    for _ in THREADS.map(_multiply, [part for part in parts if part]):
        pass
    return time.process_time() - before


def _multiply(part: list[tuple[Shape, int]]) -> None:
    rng = np.random.default_rng(0)
    left = np.empty(max(rows * width for (rows, _, width), _ in part), dtype=np.float32)
    right = np.empty(max(others * width for (_, others, width), _ in part), dtype=np.float32)
    out = np.empty(max(rows * others for (rows, others, _), _ in part), dtype=np.float32)
    for buffer in (left, right):
        buffer[:] = rng.standard_normal(len(buffer), dtype=np.float32)
    for (rows, others, width), times in part:
        one, other = left[: rows * width].reshape(rows, width), right[: others * width].reshape(others, width)
        into = out[: rows * others].reshape(rows, others)
        for _ in range(times):
            np.matmul(one, other.T, out=into)


def recall_at_10(vectors: Vectors, positive: NDArray[np.bool_], clusters: pl.DataFrame) -> float:
    """Return the recall of the search for the ten nearest of the other label, as the engine does it at this size."""
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
    search = Search()
    asking = np.random.default_rng(0).choice(positives, min(_RECALL_QUERIES, len(positives)), replace=False)
    lists = Lists.of(vectors, negatives, clusters["cell"].to_numpy()[negatives])
    exact = nearest_neighbours(vectors, lists.in_one(), asking, 10)
    if len(positives) * len(negatives) <= search.exact_cosines:
        lists = lists.in_one()
    found = nearest_neighbours(vectors, lists, asking, 10, probes=search.probes)
    shared = [len(set(one) & set(other)) for one, other in zip(exact.rows.tolist(), found.rows.tolist(), strict=True)]
    return float(np.mean(shared) / exact.rows.shape[1])


def _warm_up() -> None:
    """Load the libraries and start their threads: a run that lasts weeks does so once."""
    import sklearn.cluster

    assert sklearn.cluster.KMeans
    for _ in THREADS.map(np.sqrt, [np.ones(1), np.ones(1)]):
        pass
    np.ones((256, 256), dtype=np.float32) @ np.ones((256, 256), dtype=np.float32)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
