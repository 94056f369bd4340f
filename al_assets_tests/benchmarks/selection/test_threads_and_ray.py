import json
from dataclasses import asdict
from pathlib import Path

import pytest

from al_assets.curation.geometry.cross_label_pairs import Search
from benchmarks.pools.bench_pool import make_pool
from benchmarks.selection.threads_and_ray import bench_selection_ray


@pytest.mark.ray
def test_ray_and_threads_are_compared_on_one_pool(tmp_path: Path) -> None:
    pool = make_pool(3_000, 32, folder=tmp_path)
    found = bench_selection_ray(pool, nodes=2, shards=3, search=Search(exact_cosines=0), workers=1)
    assert (found.n, found.dim, found.shards, found.cores) == (3_000, 32, 3, 1)
    assert found.same_clusters == found.same_pairs == found.recall_at_10 == 1
    assert found.identical_pairs
    assert found.similarity_difference < 1e-6
    assert found.ray.pairs == found.threads.pairs > 100
    assert len(found.nodes) == 2
    assert 0 < found.task_cpu_s < found.ray.cpu_s
    assert all(50 < node.peak_rss_mb < 2_000 for node in found.nodes)
    for run in (found.threads, found.ray):
        assert run.wall_s == pytest.approx(run.clusters_s + run.pairs_s)
    json.dumps(asdict(found), allow_nan=False)
