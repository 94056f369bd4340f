import numpy as np
import polars as pl
import pytest

from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.geometry.labelled_pool import labelled_pool
from al_assets.curation.geometry.overlap import EXAMPLES, most_confused, overlap_map
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.settings import ClusterSettings
from al_assets.tables import OVERLAP_MAP
from al_assets_tests.support.pools import Pool, labelled, topic_pool

HOW = ClusterSettings(regions=8, dimensions=8, items_per_cell=10, seed=0)


def errors_of(clusters: pl.DataFrame) -> pl.DataFrame:
    """An error rate for each region that has items: a hundredth of its number, and one more."""
    return (
        clusters.select("region")
        .unique()
        .with_columns(labels=3, overturned=1, error=(pl.col("region") + 1) / 100, error_low=0.0, error_high=0.5)
    )


def mapped(pool: Pool, min_mixing: float = 0.1) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    clusters = pool.clusters()
    pairs = cross_label_pairs(pool.sides, clusters, neighbours=6, min_mixing=min_mixing)
    return (
        overlap_map(labelled_pool(pool.sides, clusters), pairs, pool.regions(HOW), errors_of(clusters)),
        clusters,
        pairs,
    )


def test_figures_follow_from_the_candidates() -> None:
    pool = topic_pool(600, prevalence=0.3)
    found, clusters, pairs = mapped(pool)
    assert OVERLAP_MAP.check(found).equals(found)
    assert set(found["region"]) == set(clusters["region"])
    assert found.height > 1
    region = dict(clusters.select("item_id", "region").iter_rows())
    for row in found.iter_rows(named=True):
        members = clusters.filter(region=row["region"])
        assert row["items"] == members.height
        assert row["positive_share"] == pytest.approx((members["side"] == "positive").mean())
        sides = {name: {item for item in pairs[f"{name}_item"] if region[item] == row["region"]}
                 for name in ("positive", "negative")}  # fmt: skip
        assert row["overlap"] == pytest.approx(sum(map(len, sides.values())) / members.height)
        # A pair counts once for each of its members in the region.
        here = pl.concat(
            pairs.filter(pl.col(f"{name}_item").is_in(sorted(items))) for name, items in sides.items()
        )  # fmt: skip
        if here.height:
            assert row["density"] == pytest.approx(here["similarity"].mean())
            assert row["mixing"] == pytest.approx(here["mixing"].mean())
        for name, items in sides.items():
            assert len(row[f"{name}_examples"]) == min(EXAMPLES, len(items))
            assert set(row[f"{name}_examples"]) <= items
        assert row["error"] == pytest.approx((row["region"] + 1) / 100)


def test_the_region_with_most_expected_errors_comes_first() -> None:
    found = mapped(topic_pool(600, prevalence=0.3))[0]
    assert (found["error"] * found["items"]).is_sorted(descending=True)


def test_contested_examples_are_the_most_typical_first() -> None:
    pool = topic_pool(600, prevalence=0.3)
    found, clusters, pairs = mapped(pool)
    row = found.sort("overlap").row(-1, named=True)
    here = set(clusters.filter(region=row["region"])["item_id"])
    vector = dict(zip(pool.item_ids, pool.vectors, strict=True))
    members = sorted((set(pairs["positive_item"]) | set(pairs["negative_item"])) & here)
    centre = np.mean([vector[item] for item in members], axis=0)
    typical = sorted(set(pairs["positive_item"]) & here, key=lambda item: -float(vector[item] @ centre))
    assert row["positive_examples"] == typical[:EXAMPLES]


def test_a_single_region_has_nothing_to_be_drawn_against() -> None:
    pool = topic_pool(60)
    clusters = pool.clusters(regions=1)
    pairs = cross_label_pairs(pool.sides, clusters, neighbours=6)
    one = pool.regions(ClusterSettings(regions=1))
    found = overlap_map(labelled_pool(pool.sides, clusters), pairs, one, errors_of(clusters))
    assert found.select("region", "items", "x", "y").rows() == [(0, 60, 0.0, 0.0)]


@pytest.mark.parametrize("positives", [0, 1, 400])
def test_one_label_has_regions_without_overlap(positives: int) -> None:
    found, clusters, _ = mapped(labelled(topic_pool(), np.arange(400) < positives))
    assert OVERLAP_MAP.check(found)["overlap"].to_list() == [0.0] * clusters["region"].n_unique()
    assert found["mixing"].null_count() == found.height


def test_no_items_no_region() -> None:
    nobody = topic_pool(60).sides
    none = pl.DataFrame(schema={"item_id": pl.String, "region": pl.Int32, "side": pl.String, "cell": pl.Int32})
    empty = type(nobody).of([], np.zeros((0, 16)), [])
    pairs = pl.DataFrame(schema={"positive_item": pl.String, "negative_item": pl.String, "similarity": pl.Float64,
                                 "mixing": pl.Float64})  # fmt: skip
    whole = Regions.whole(16)
    regions = pl.DataFrame({"region": [0], "name": ["0"], "direction": whole.directions.tolist(), "offset": [0.0]},
                           schema_overrides={"region": pl.Int32})  # fmt: skip
    assert OVERLAP_MAP.check(overlap_map(labelled_pool(empty, none), pairs, regions, errors_of(none))).is_empty()


def test_pairs_of_other_items_are_refused() -> None:
    pool = topic_pool()
    _, clusters, pairs = mapped(pool)
    swapped = pairs.rename({"positive_item": "negative_item", "negative_item": "positive_item"})
    with pytest.raises(ValueError, match=r"candidates.positive_item: \d+ of \d+ pairs name an item that is not"):
        overlap_map(labelled_pool(pool.sides, clusters), swapped, pool.regions(HOW), errors_of(clusters))


def test_same_input_same_map() -> None:
    assert mapped(topic_pool())[0].equals(mapped(topic_pool())[0])


def test_people_read_the_most_confused_regions_with_contested_texts() -> None:
    pool = topic_pool(600, prevalence=0.3)
    found, _, _ = mapped(pool)
    shown = most_confused(found, pool.items, rows=3)
    assert shown["name"].to_list() == found["name"].head(3).to_list()
    assert shown["expected errors"].to_list() == (found["error"] * found["items"]).head(3).round(0).to_list()
    assert shown["contested, called positive"][0] == f"text of {found['positive_examples'][0][0]}"
