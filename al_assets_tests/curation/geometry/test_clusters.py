from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.geometry.cells import micro_cells
from al_assets.curation.geometry.clusters import NOISE, cluster_assignments, macro_clusters, principal_components
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.settings import ClusterSettings
from al_assets.tables import CLUSTER_ASSIGNMENTS
from al_assets_tests.support.pools import labelled, topic_pool, unit

SETTINGS = ClusterSettings(min_cluster_size=10, pca_dimensions=8, exact_below=10_000)


def blobs(
    sizes: list[int], *, dimensions: int = 24, spread: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    topic = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.eye(dimensions)[: len(sizes)]
    return unit(centres[topic] + spread * rng.normal(size=(len(topic), dimensions))), topic


def purity(clusters: np.ndarray, topic: np.ndarray) -> float:
    return float(sum(np.bincount(topic[clusters == each]).max() for each in np.unique(clusters)) / len(topic))


def test_macro_clusters_find_the_topics_largest_first() -> None:
    vectors, topic = blobs([60, 120, 30])
    clusters = macro_clusters(vectors, settings=SETTINGS)
    assert clusters.dtype == np.int32
    assert [np.bincount(topic[clusters == each]).argmax() for each in range(3)] == [1, 0, 2]
    assert purity(clusters[clusters != NOISE], topic[clusters != NOISE]) == 1
    assert (clusters == NOISE).mean() < 0.1


def test_macro_clusters_of_a_sample_are_passed_on() -> None:
    vectors, topic = blobs([300, 500, 200])
    clusters = macro_clusters(vectors, settings=replace(SETTINGS, exact_below=250))
    assert set(clusters.tolist()) - {NOISE} == {0, 1, 2}
    assert purity(clusters[clusters != NOISE], topic[clusters != NOISE]) > 0.99
    assert (clusters == NOISE).mean() < 0.2


def test_macro_clusters_depend_on_nothing_but_input_and_seed() -> None:
    vectors, _ = blobs([300, 500, 200], spread=0.3)
    first, second = (macro_clusters(vectors, settings=replace(SETTINGS, exact_below=250)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("items", [0, 1, 2, 19, 20])
def test_too_few_items_are_noise(items: int) -> None:
    clusters = macro_clusters(blobs([items])[0], settings=SETTINGS)
    assert clusters.tolist() == [NOISE] * items


def test_identical_vectors_have_no_clusters_and_one_cell() -> None:
    vectors = np.tile(unit(np.ones((1, 12))), (200, 1))
    assert set(macro_clusters(vectors, settings=SETTINGS).tolist()) == {NOISE}
    cells, centroids, distance = micro_cells(vectors, items_per_cell=10, seed=0)
    assert set(cells.tolist()) == {0}
    assert centroids.shape == (1, 12)
    assert distance == pytest.approx(0, abs=0.01)


@given(st.integers(0, 80), st.integers(1, 30), st.integers(0, 3))
@settings(max_examples=30)
def test_cells_are_numbered_without_gaps(items: int, items_per_cell: int, seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(items, 6)))
    cells, centroids, distance = micro_cells(vectors, items_per_cell=items_per_cell, seed=seed)
    assert sorted(set(cells.tolist())) == list(range(len(centroids)))
    assert len(centroids) <= max(1, min(items // items_per_cell, int(2 * items**0.5)))
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-4)
    assert np.allclose(distance, 1 - (vectors * centroids[cells]).sum(axis=1), atol=1e-5)
    if items:
        assert np.allclose((vectors @ centroids.T).max(axis=1), 1 - distance, atol=1e-5)


def test_cells_hold_like_items() -> None:
    vectors, topic = blobs([100, 100, 100, 100])
    cells, _, distance = micro_cells(vectors, items_per_cell=10, seed=0)
    assert len(np.unique(cells)) == 40
    assert purity(cells, topic) == 1
    assert distance.mean() < 0.25


def test_principal_components_keep_the_variance() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 10)) * np.array([5, 3, *[0.1] * 8])).astype(np.float32)
    reduced = principal_components(rows, 2)
    assert reduced.shape == (300, 2)
    assert reduced.var(axis=0).sum() == pytest.approx(rows.var(axis=0).sum(), rel=0.01)
    assert abs(np.corrcoef(reduced[:, 0], reduced[:, 1])[0, 1]) < 1e-3
    assert abs(np.corrcoef(reduced[:, 0], rows[:, 0])[0, 1]) > 0.99


def test_more_components_than_dimensions_are_all() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert principal_components(rows, 16).shape == (5, 3)
    assert principal_components(rows[:0], 16).shape == (0, 3)


def test_assignments_are_the_declared_table_in_the_given_order() -> None:
    pool = topic_pool()
    frame = pool.clusters()
    assert CLUSTER_ASSIGNMENTS.check(frame).equals(frame)
    assert frame["item_id"].to_list() == pool.item_ids
    assert ((frame["side"] == "positive").to_numpy() == pool.positive).all()
    assert frame.filter(pl.col("side") == "positive")["cell"].n_unique() == pool.positive.sum() // 10
    assert frame.equals(pool.clusters())


def test_sides_are_clustered_apart() -> None:
    pool = topic_pool()
    alone = macro_clusters(pool.vectors[pool.positive], settings=SETTINGS)
    assert pool.clusters().filter(pl.col("side") == "positive")["macro_cluster"].to_list() == alone.tolist()


@pytest.mark.parametrize("positives", [0, 1, 399, 400])
def test_one_label_or_a_lone_item(positives: int) -> None:
    pool = labelled(topic_pool(), np.arange(400) < positives)
    frame = CLUSTER_ASSIGNMENTS.check(pool.clusters())
    assert (frame["side"] == "positive").sum() == positives
    if positives == 1:
        assert frame.row(0, named=True)["macro_cluster"] == NOISE


def test_empty_pool() -> None:
    frame = cluster_assignments(Sides.of([], np.zeros((0, 4)), []))
    assert CLUSTER_ASSIGNMENTS.check(frame).height == 0


def test_float16_rounding_is_accepted() -> None:
    vectors = blobs([40, 40])[0].astype(np.float16)
    assert len(macro_clusters(vectors, settings=SETTINGS)) == 80


def test_vectors_that_are_not_finite_are_counted() -> None:
    vectors, _ = blobs([40])
    vectors[[3, 7], 2] = [np.nan, np.inf]
    with pytest.raises(ValueError, match="vectors: 2 of 40 rows hold NaN or infinity"):
        micro_cells(vectors, items_per_cell=5, seed=0)


def test_vectors_that_are_not_unit_are_counted() -> None:
    vectors, _ = blobs([40])
    vectors[:3] *= 2
    vectors[5] = 0
    with pytest.raises(ValueError, match="vectors: 4 of 40 rows are not of length 1"):
        macro_clusters(vectors, settings=SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"), [("min_cluster_size", 1), ("pca_dimensions", 0), ("exact_below", 0), ("items_per_cell", 0)]
)
def test_settings_out_of_range(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value} is too small"):
        topic_pool(30).clusters(**{name: value})
