from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import adjusted_rand_score

from al_assets.curation.geometry.regions import (
    MIN_ITEMS,
    TYPICAL,
    Regions,
    describe_regions,
    fit_regions,
    principal_axes,
    region_names,
    region_sample,
)
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import Threads
from al_assets.curation.settings import ClusterSettings
from al_assets.tables import REGIONS
from al_assets_tests.support.pools import unit

TOPICS = ClusterSettings(regions=3, dimensions=8, policy_share=0)
SAME = 0.5


def blobs(sizes: list[int], *, spread: float = 0.1, seed: int = 0) -> tuple[Vectors, np.ndarray]:
    rng = np.random.default_rng(seed)
    topic = np.repeat(np.arange(len(sizes)), sizes)
    return Vectors(unit(np.eye(24)[topic] + spread * rng.normal(size=(len(topic), 24)))), topic


def fitted(vectors: Vectors, settings: ClusterSettings = TOPICS, scores: np.ndarray | None = None) -> np.ndarray:
    said = np.full(len(vectors), SAME) if scores is None else scores
    return fit_regions(vectors, said, settings).find(vectors)


def test_regions_are_the_topics_largest_first() -> None:
    vectors, topic = blobs([60, 120, 30])
    found = fitted(vectors)
    assert found.dtype == np.int32
    assert [np.bincount(topic[found == each]).argmax() for each in range(3)] == [1, 0, 2]
    assert adjusted_rand_score(topic, found) == 1


def test_an_item_lies_where_k_means_on_the_reduced_space_puts_it() -> None:
    vectors, _ = blobs([150, 150], spread=0.5)
    settings = ClusterSettings(regions=6, dimensions=4, policy_share=0.3)
    scores = np.random.default_rng(3).random(300)
    regions = fit_regions(vectors, scores, settings)
    found, depth = regions.find(vectors), regions.depth(vectors, np.arange(300))
    # The region's centre in the full space is the mean of its members: no other centre is nearer to most of them.
    assert np.bincount(found, minlength=6).min() > 0
    assert depth.min() >= 0
    nearness = vectors.take(slice(None)) @ regions.directions.T + regions.offsets
    assert np.array_equal(nearness.argmax(axis=1), found)


def test_a_sample_stands_for_a_large_pool_and_all_items_have_a_region() -> None:
    vectors, topic = blobs([300, 500, 200])
    settings = replace(TOPICS, sample=250)
    assert len(region_sample(1_000, settings, 0)) == 250
    assert adjusted_rand_score(topic, fitted(vectors, settings)) == 1


def test_the_space_holds_what_the_labeler_said_as_far_as_the_policys_share_goes() -> None:
    vectors, topic = blobs([400], spread=0.5)
    rows = vectors.take(slice(None))
    scores = 1 / (1 + np.exp(-8 * rows[:, 5]))

    def told(share: float) -> float:
        found = fitted(vectors, ClusterSettings(regions=4, policy_share=share), scores)
        means = np.array([scores[found == each].mean() for each in range(4)])
        return float(means[found].var() / scores.var())

    assert told(0.7) > told(0.25) > told(0.0)
    assert told(0.7) > 0.7


def test_scores_that_are_missing_or_all_the_same_leave_the_topics() -> None:
    vectors, topic = blobs([60, 120, 30])
    settings = replace(TOPICS, policy_share=0.4)
    assert adjusted_rand_score(topic, fitted(vectors, settings)) == 1
    assert adjusted_rand_score(topic, fitted(vectors, settings, np.full(210, np.nan))) == 1
    some = np.where(topic == 1, np.nan, 0.2 + 0.1 * topic)
    assert adjusted_rand_score(topic, fitted(vectors, settings, some)) == 1


@pytest.mark.parametrize("items", [0, 1, 2, 2 * MIN_ITEMS - 1])
def test_few_items_are_one_region(items: int) -> None:
    vectors = blobs([items])[0]
    assert fitted(vectors, ClusterSettings()).tolist() == [0] * items


def test_a_small_pool_has_as_many_regions_as_leave_enough_items_to_each() -> None:
    vectors = blobs([200], spread=1.0)[0]
    assert len(np.unique(fitted(vectors, ClusterSettings()))) == 200 // MIN_ITEMS


def test_texts_that_are_all_alike_are_one_region() -> None:
    assert set(fitted(Vectors(np.tile(unit(np.ones((1, 24))), (200, 1))))) == {0}


def test_no_regions_are_looked_for_where_none_are_wanted() -> None:
    assert len(fit_regions(blobs([60, 60])[0], np.full(120, SAME), replace(TOPICS, regions=None))) == 1


def test_the_same_input_gives_the_same_regions_in_any_number_of_threads() -> None:
    vectors, _ = blobs([300, 500, 200], spread=0.4)
    scores = np.random.default_rng(0).random(1_000)
    first, second = (fit_regions(vectors, scores, ClusterSettings()) for _ in range(2))
    assert np.array_equal(first.directions, second.directions)
    one, many = (first.find(vectors, runner=Threads(count)) for count in (1, 3))
    assert np.array_equal(one, many)


def test_the_table_tells_who_lies_where_again() -> None:
    vectors, topic = blobs([60, 120, 30])
    regions = fit_regions(vectors, np.full(210, SAME), TOPICS)
    ids = pl.Series([f"i{row}" for row in range(210)])
    texts = [f"text about {('cats', 'dogs', 'ships')[number]}" for number in topic]
    table = describe_regions(regions, ids, texts, vectors, np.arange(210))
    assert REGIONS.check(table.with_columns(pl.col("direction").cast(pl.List(pl.Float32)))).height == 3
    found = Regions.of(table).find(vectors)
    assert np.array_equal(found, regions.find(vectors))
    for row in table.iter_rows(named=True):
        assert len(row["typical_items"]) == TYPICAL
        assert all(found[int(item[1:])] == row["region"] for item in row["typical_items"])


def test_a_region_is_named_by_the_words_that_others_lack() -> None:
    texts = [*["the liar and the thief"] * 20, *["the kitten and the milk"] * 20, *["the the the"] * 300]
    region = np.repeat([0, 1, 2], [20, 20, 300])
    assert region_names(texts, region, 3) == ["0: liar, thief", "1: kitten, milk", "2"]


@pytest.mark.parametrize("texts", [[""] * 9, ["a b"] * 9, ["12 34"] * 9])
def test_texts_without_words_leave_the_numbers(texts: list[str]) -> None:
    assert region_names(texts, np.repeat([0, 1, 2], 3), 3) == ["0", "1", "2"]


def test_principal_axes_keep_the_variance() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 10)) * np.array([5, 3, *[0.1] * 8])).astype(np.float32)
    reduced = (rows - rows.mean(axis=0)) @ principal_axes(rows, 2)
    assert reduced.shape == (300, 2)
    assert reduced.var(axis=0).sum() == pytest.approx(rows.var(axis=0).sum(), rel=0.01)
    assert abs(np.corrcoef(reduced[:, 0], reduced[:, 1])[0, 1]) < 1e-3
    assert abs(np.corrcoef(reduced[:, 0], rows[:, 0])[0, 1]) > 0.99


def test_more_components_than_dimensions_are_all() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert principal_axes(rows, 16).shape == (3, 3)
    assert principal_axes(rows[:0], 16).shape == (3, 3)
