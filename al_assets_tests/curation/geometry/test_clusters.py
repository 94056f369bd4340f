import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.geometry.cells import micro_cells
from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.tables import CLUSTER_ASSIGNMENTS
from al_assets_tests.support.pools import labelled, topic_pool, unit


def blobs(
    sizes: list[int], *, dimensions: int = 24, spread: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    topic = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.eye(dimensions)[: len(sizes)]
    return unit(centres[topic] + spread * rng.normal(size=(len(topic), dimensions))), topic


def purity(clusters: np.ndarray, topic: np.ndarray) -> float:
    return float(sum(np.bincount(topic[clusters == each]).max() for each in np.unique(clusters)) / len(topic))


def test_identical_vectors_have_one_cell() -> None:
    vectors = np.tile(unit(np.ones((1, 12))), (200, 1))
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


def test_assignments_are_the_declared_table_in_the_given_order() -> None:
    pool = topic_pool()
    frame = pool.clusters()
    assert CLUSTER_ASSIGNMENTS.check(frame).equals(frame)
    assert frame["item_id"].to_list() == pool.item_ids
    assert ((frame["side"] == "positive").to_numpy() == pool.positive).all()
    assert frame.filter(pl.col("side") == "positive")["cell"].n_unique() == pool.positive.sum() // 10
    assert frame.equals(pool.clusters())


@pytest.mark.parametrize("positives", [0, 1, 399, 400])
def test_one_label_or_a_lone_item(positives: int) -> None:
    pool = labelled(topic_pool(), np.arange(400) < positives)
    frame = CLUSTER_ASSIGNMENTS.check(pool.clusters())
    assert (frame["side"] == "positive").sum() == positives


def test_empty_pool() -> None:
    frame = cluster_assignments(Sides.of([], np.zeros((0, 4)), []))
    assert CLUSTER_ASSIGNMENTS.check(frame).height == 0


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
        micro_cells(vectors, items_per_cell=5, seed=0)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("dimensions", 0, "is too small"),
        ("sample", 0, "is too small"),
        ("items_per_cell", 0, "is too small"),
        ("policy_share", 1, "is not a share; expected 0 to 1, 1 excluded"),
    ],
)
def test_settings_out_of_range(name: str, value: int, says: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: {value} {says}"):
        topic_pool(30).clusters(**{name: value})
