import numpy as np
import polars as pl
import pytest

from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.overlap import EXAMPLES, overlap_map
from al_assets.tables import OVERLAP_MAP
from al_assets_tests.support.pools import Pool, labelled, topic_pool


def mapped(
    pool: Pool, *, min_mixing: float = 0.1, **clustering: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    clusters = pool.clusters(**clustering)
    pairs = cross_label_pairs(pool.sides, clusters, neighbours=6, min_mixing=min_mixing)
    return overlap_map(pool.sides, clusters, pairs), clusters, pairs


def test_figures_follow_from_the_candidates() -> None:
    pool = topic_pool(600, prevalence=0.3)
    found, clusters, pairs = mapped(pool)
    assert OVERLAP_MAP.check(found).equals(found)
    between = ["positive_cluster", "negative_cluster"]
    assert found.height == pairs.select(between).n_unique()
    assert found.height > 1
    for row in found.iter_rows(named=True):
        here = pairs.filter(*(pl.col(name) == row[name] for name in between))
        both = clusters.filter(
            ((pl.col("side") == "positive") & (pl.col("macro_cluster") == row["positive_cluster"]))
            | ((pl.col("side") == "negative") & (pl.col("macro_cluster") == row["negative_cluster"]))
        ).height
        assert row["size"] == here["positive_item"].n_unique() + here["negative_item"].n_unique()
        assert row["overlap"] == pytest.approx(row["size"] / both)
        assert 0 < row["overlap"] <= 1
        assert row["density"] == pytest.approx(here["similarity"].mean())
        assert row["mixing"] == pytest.approx(here["mixing"].mean())
        for side in ("positive", "negative"):
            examples = row[f"{side}_examples"]
            assert len(set(examples)) == min(EXAMPLES, here[f"{side}_item"].n_unique())
            assert set(examples) <= set(here[f"{side}_item"])


def test_largest_overlap_comes_first() -> None:
    assert mapped(topic_pool(600, prevalence=0.3))[0]["size"].is_sorted(descending=True)


def test_examples_are_the_most_typical_first() -> None:
    pool = topic_pool(600, prevalence=0.3)
    found, _, pairs = mapped(pool)
    row = found.row(0, named=True)
    here = pairs.filter(
        pl.col("positive_cluster") == row["positive_cluster"], pl.col("negative_cluster") == row["negative_cluster"]
    )
    vector = dict(zip(pool.item_ids, pool.vectors, strict=True))
    members = sorted(set(here["positive_item"]) | set(here["negative_item"]))
    centre = np.mean([vector[item] for item in members], axis=0)
    typical = sorted(set(here["positive_item"]), key=lambda item: -float(vector[item] @ centre))
    assert row["positive_examples"] == typical[:EXAMPLES]


def test_noise_takes_part_as_its_own_cluster() -> None:
    found, _, _ = mapped(topic_pool(), min_cluster_size=300)
    assert found.select("positive_cluster", "negative_cluster").rows() == [(-1, -1)]
    # A single centre has nothing to be drawn against.
    assert found.select("x", "y").row(0) == (0.0, 0.0)


def test_picture_keeps_distances_of_three_overlaps() -> None:
    pool = topic_pool(900, topics=3, prevalence=0.4, seed=2)
    found, _, pairs = mapped(pool)
    assert found.height >= 2
    assert np.isfinite(found.select("x", "y").to_numpy()).all()
    assert found["x"].n_unique() == found.height


@pytest.mark.parametrize("positives", [0, 1, 400])
def test_no_candidates_no_overlap(positives: int) -> None:
    found, _, _ = mapped(labelled(topic_pool(), np.arange(400) < positives))
    assert OVERLAP_MAP.check(found).is_empty()


def test_pairs_of_other_items_are_refused() -> None:
    pool = topic_pool()
    _, clusters, pairs = mapped(pool)
    swapped = pairs.rename({"positive_item": "negative_item", "negative_item": "positive_item"})
    with pytest.raises(ValueError, match=r"candidates.positive_item: \d+ of \d+ pairs name an item that is not"):
        overlap_map(pool.sides, clusters, swapped)


def test_same_input_same_map() -> None:
    assert mapped(topic_pool())[0].equals(mapped(topic_pool())[0])
