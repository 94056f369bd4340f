import numpy as np
import polars as pl
import pytest

from al_assets.curation.checks import check_item_ids, check_labels, check_vectors, labelled_pool
from al_assets_tests.curation.pools import topic_pool


def test_ids_must_be_there_and_differ() -> None:
    with pytest.raises(ValueError, match="item_id: 1 null and 2 repeated of 5"):
        check_item_ids(pl.Series(["a", "a", "a", "b", None]))


def test_one_vector_for_each_item() -> None:
    with pytest.raises(ValueError, match=r"vectors: shape \(2, 3\); expected \(4, dimensions\)"):
        check_vectors(np.eye(3)[:2], 4)
    with pytest.raises(ValueError, match=r"vectors: shape \(3,\)"):
        check_vectors(np.ones(3))


def test_lengths_are_repaired() -> None:
    repaired = check_vectors(np.array([[0.6, 0.805]]))
    assert np.linalg.norm(repaired, axis=1) == pytest.approx(1, abs=1e-6)
    assert repaired.dtype == np.float32


def test_labels_must_be_booleans() -> None:
    with pytest.raises(ValueError, match="positive: int64"):
        check_labels(np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="one for each of 3 items"):
        check_labels(np.array([True, False]), 3)
    assert check_labels([], 0).dtype == np.bool_


def test_clusters_are_matched_by_id() -> None:
    pool = topic_pool(60)
    clusters = pool.clusters()
    straight = labelled_pool(pool.item_ids, pool.vectors, pool.positive, clusters)
    mixed = labelled_pool(pool.item_ids, pool.vectors, pool.positive, clusters.sample(fraction=1, shuffle=True, seed=1))
    assert np.array_equal(straight.cell, mixed.cell)
    assert np.array_equal(straight.macro_cluster, mixed.macro_cluster)


def test_items_without_cluster_are_counted() -> None:
    pool = topic_pool(60)
    with pytest.raises(ValueError, match="clusters: 10 of 60 items have no cluster"):
        labelled_pool(pool.item_ids, pool.vectors, pool.positive, pool.clusters().head(50))


def test_clusters_of_other_labels_are_refused() -> None:
    pool = topic_pool(60)
    flipped = pool.positive.copy()
    flipped[:3] = ~flipped[:3]
    with pytest.raises(ValueError, match="clusters: 3 of 60 items were clustered under the other label"):
        labelled_pool(pool.item_ids, pool.vectors, flipped, pool.clusters())


def test_a_missing_column_is_named() -> None:
    pool = topic_pool(60)
    with pytest.raises(ValueError, match="clusters: column cell is missing; found item_id, side"):
        labelled_pool(pool.item_ids, pool.vectors, pool.positive, pool.clusters().drop("cell"))
