from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from al_assets.curation.checks import CurationError
from al_assets.curation.geometry.vectors import BLOCK_ROWS, Vectors
from benchmarks.pools.bench_pool import BenchPool, make_pool, matched_scores, real_pool, topic_count
from benchmarks.pools.pool_measures import (
    ITEMS,
    PREVALENCE,
    TOLERANCE,
    VADER,
    WEBIS,
    PoolMeasures,
    measure,
    misses,
    thinned,
)
from benchmarks.selection.engine import selection_quality


@pytest.fixture(scope="module")
def pool() -> BenchPool:
    return make_pool(8_000, seed=0)


def _measured(pool: BenchPool, seed: int) -> PoolMeasures:
    # Drawn as the real figures were: a sample of their size, with exactly their prevalence.
    rows = thinned(pool.truth, ITEMS, PREVALENCE, seed)
    return measure(pool.vectors[rows], pool.truth[rows])


def test_a_generated_pool_is_as_hard_as_embeddings_of_real_texts(pool: BenchPool) -> None:
    assert misses(_measured(pool, 0)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_so_is_one_of_another_seed(seed: int) -> None:
    assert misses(_measured(make_pool(8_000, seed=seed), seed)) == {}


def test_an_easy_pool_is_not(pool: BenchPool) -> None:
    easy, real = _measured(make_pool(8_000, difficulty="easy"), 0), _measured(pool, 0)
    missed = misses(easy)
    assert {"opposite_near_positives", "lone_positives", "silhouette", "noise_share", "probe_auc"} <= set(missed)
    assert easy.opposite_near_positives < 0.4 < real.opposite_near_positives
    assert easy.silhouette > 0.2 > real.silhouette


def test_real_figures_and_tolerances_name_the_same_measures() -> None:
    names = {field.name for field in fields(PoolMeasures)} - {"items", "prevalence"}
    assert set(VADER) == set(WEBIS) == set(TOLERANCE) == names


def test_a_pool_is_what_its_arguments_say(pool: BenchPool) -> None:
    from sklearn.metrics import roc_auc_score

    assert pool.item_ids.n_unique() == len(pool.vectors) == 8_000
    assert pool.vectors.dtype == np.float16
    assert Vectors(pool.vectors).shape == (8_000, 384)
    assert pool.truth.mean() == pytest.approx(0.05, abs=0.012)
    assert pool.positive.mean() == pytest.approx(0.05, abs=0.001)
    assert np.array_equal(pool.positive, pool.scores >= 0.5)
    assert roc_auc_score(pool.truth, pool.scores) == pytest.approx(0.83, abs=0.03)
    assert set(np.unique(pool.topic)) == set(range(topic_count(8_000)))


def test_the_band_holds_both_labels_in_even_numbers_and_few_items(pool: BenchPool) -> None:
    assert 0.01 < pool.band.mean() < 0.08
    assert pool.truth[pool.band].mean() == pytest.approx(0.45, abs=0.1)
    assert pool.boundary_topics == len(np.unique(pool.topic[pool.band]))
    for topic in np.unique(pool.topic[pool.band]):
        members = pool.band & (pool.topic == topic)
        assert members.sum() < 10 or 0 < pool.truth[members].mean() < 1


@pytest.mark.parametrize(("prevalence", "auc"), [(0.02, 0.7), (0.2, 0.9)])
def test_prevalence_and_labeler_can_be_chosen(prevalence: float, auc: float) -> None:
    from sklearn.metrics import roc_auc_score

    pool = make_pool(100_000, dim=8, prevalence=prevalence, labeler_auc=auc, seed=1)
    assert pool.truth.mean() == pytest.approx(prevalence, rel=0.15)
    assert pool.positive.mean() == pytest.approx(prevalence, rel=0.01)
    assert roc_auc_score(pool.truth, pool.scores) == pytest.approx(auc, abs=0.03)


def test_a_pool_in_a_file_is_the_pool_in_memory(tmp_path: Path) -> None:
    items = BLOCK_ROWS + 100
    kept, written = make_pool(items, dim=16, seed=3), make_pool(items, dim=16, seed=3, folder=tmp_path / "new")
    assert isinstance(written.vectors, np.memmap)
    assert np.array_equal(kept.vectors, written.vectors)
    assert np.array_equal(kept.scores, written.scores)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [f"{written.name}.npy"]
    again = make_pool(items, dim=16, seed=3, folder=tmp_path / "new")
    assert np.array_equal(kept.vectors, again.vectors)
    assert not np.array_equal(kept.vectors, make_pool(items, dim=16, seed=4).vectors)


@pytest.mark.slow
def test_a_large_pool_is_made_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    tracemalloc.start()
    make_pool(400_000, folder=tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The vectors alone are 307 MB as float16 and twice that as float32.
    assert peak < 250e6


def test_out_of_range_parameters_are_refused() -> None:
    with pytest.raises(CurationError, match="items: 50 is too small"):
        make_pool(50)
    with pytest.raises(CurationError, match=r"difficulty: 'hard' is unknown; choose from real, easy"):
        make_pool(100, difficulty="hard")
    with pytest.raises(CurationError, match=r"prevalence: 0.0 is out of range"):
        make_pool(100, prevalence=0.0)
    with pytest.raises(CurationError, match=r"labeler_auc: 0.4 is out of range"):
        make_pool(100, labeler_auc=0.4)


def test_scores_are_shifted_to_a_threshold_of_one_half_and_keep_their_order() -> None:
    logits = np.array([-3.0, -9.0, -2.0, -5.0, -1000.0, -4.0, -6.0, -7.0, -8.0, -2.5])
    scores, positive = matched_scores(logits, 0.2)
    assert np.flatnonzero(positive).tolist() == [2, 9]
    assert scores[9] == 0.5
    assert np.array_equal(np.argsort(scores), np.argsort(logits))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_real_pool_has_its_band_where_neighbours_differ() -> None:
    made = make_pool(1_500, dim=32, prevalence=0.2, seed=5)
    rows = made.vectors.astype(np.float64)
    found = real_pool(made.vectors, made.truth, made.scores, name="texts")
    exact = Vectors(made.vectors).take(slice(None))
    cosines = exact @ exact.T
    np.fill_diagonal(cosines, -2)
    share = made.truth[np.argsort(-cosines, axis=1)[:, :20]].mean(axis=1)
    between = (share >= 0.25) & (share <= 0.75)
    enough = np.bincount(found.topic, weights=between) >= 3
    assert np.array_equal(found.band, between & enough[found.topic])
    assert found.boundary_topics == enough.sum() > 0
    assert found.positive.mean() == pytest.approx(made.truth.mean(), abs=0.001)
    assert found.vectors is made.vectors
    assert real_pool(rows / np.linalg.norm(rows, axis=1, keepdims=True), made.truth, made.scores).vectors.dtype == "f4"


def test_a_real_pools_band_can_be_what_its_raters_said() -> None:
    made = make_pool(500, dim=16, prevalence=0.2)
    chance = np.where(np.arange(500) < 250, 0.5, 0.0)
    found = real_pool(made.vectors, made.truth, made.scores, chance=chance, prevalence=0.1)
    assert found.band.sum() >= 240
    assert not found.band[250:].any()
    assert found.positive.mean() == pytest.approx(0.1, abs=0.005)
    with pytest.raises(CurationError, match=r"chance: shape \(3,\); expected \(500,\)"):
        real_pool(made.vectors, made.truth, made.scores, chance=[0.5] * 3)


def test_simple_pickers_show_what_they_are_known_for() -> None:
    pool = make_pool(20_000, seed=0)
    generator = np.random.default_rng(0)
    margin = np.argsort(np.abs(pool.scores - 0.5))[:300]
    top = np.argsort(-pool.scores)[:300]
    by_lot = selection_quality(pool, pool.item_ids.gather(generator.choice(20_000, 300, replace=False)))
    by_margin, by_score = (selection_quality(pool, pool.item_ids.gather(rows)) for rows in (margin, top))
    assert by_lot.band_share < by_margin.band_share
    assert by_lot.topics_covered < by_margin.topics_covered <= by_margin.topics
    assert by_lot.mislabelled_share < by_margin.mislabelled_share
    assert by_lot.positive_share < by_margin.positive_share < by_score.positive_share


def test_the_quality_of_a_selection_by_hand() -> None:
    pool = BenchPool(
        name="by hand",
        item_ids=pl.Series(["a", "b", "c", "d", "e"]),
        vectors=np.ones((5, 1), dtype=np.float32),
        scores=np.array([0.9, 0.8, 0.4, 0.2, 0.1]),
        positive=np.array([True, True, False, False, False]),
        truth=np.array([True, False, True, False, False]),
        topic=np.array([0, 0, 1, 1, 2], dtype=np.int32),
        band=np.array([True, True, True, False, False]),
        boundary_topics=2,
    )
    found = selection_quality(pool, ["e", "b", "a", "d"])
    assert (found.band_share, found.topics_covered, found.topics) == (0.5, 1, 2)
    assert (found.mislabelled_share, found.positive_share) == (0.25, 0.25)
    nothing = selection_quality(pool, [])
    assert nothing.topics_covered == 0
    assert np.isnan(nothing.band_share)
    with pytest.raises(CurationError, match="1 of 2 picks are not in the pool 'by hand'"):
        selection_quality(pool, ["a", "z"])
    with pytest.raises(CurationError, match="1 repeated of 2"):
        selection_quality(pool, ["a", "a"])
