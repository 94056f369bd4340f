import numpy as np
import pytest

from al_assets.curation.geometry.labelled_pool import labelled_pool
from al_assets_tests.support.pools import labelled, topic_pool


def test_clusters_are_matched_by_id() -> None:
    pool = topic_pool(60)
    clusters = pool.clusters()
    straight = labelled_pool(pool.sides, clusters)
    mixed = labelled_pool(pool.sides, clusters.sample(fraction=1, shuffle=True, seed=1))
    assert np.array_equal(straight.cell, mixed.cell)
    assert np.array_equal(straight.region, mixed.region)


def test_items_without_cluster_are_counted() -> None:
    pool = topic_pool(60)
    with pytest.raises(ValueError, match="clusters: 10 of 60 items have no cluster"):
        labelled_pool(pool.sides, pool.clusters().head(50))


def test_clusters_of_other_labels_are_refused() -> None:
    pool = topic_pool(60)
    flipped = pool.positive.copy()
    flipped[:3] = ~flipped[:3]
    with pytest.raises(ValueError, match="clusters: 3 of 60 items were clustered under the other label"):
        labelled_pool(labelled(pool, flipped).sides, pool.clusters())


def test_a_missing_column_is_named() -> None:
    pool = topic_pool(60)
    with pytest.raises(ValueError, match="clusters: column cell is missing; found item_id, side"):
        labelled_pool(pool.sides, pool.clusters().drop("cell"))
