from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError
from al_assets.curation.geometry.vectors import BLOCK_ROWS, Vectors
from benchmarks.pools.pool_measures import (
    intrinsic_dimension,
    measure,
    nearest_items,
    participation_ratio,
    probe_auc,
    thinned,
)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _blobs(items: int, blobs: int, spread: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    blob = generator.integers(0, blobs, items)
    centres = _unit(generator.standard_normal((blobs, 32)))
    return _unit(centres[blob] + spread * generator.standard_normal((items, 32))), blob


@pytest.mark.parametrize("items", [60, BLOCK_ROWS + 50])
def test_the_nearest_items_are_those_of_a_plain_search(items: int) -> None:
    generator = np.random.default_rng(0)
    rows = _unit(generator.standard_normal((items, 8)))
    queries = generator.choice(items, 20, replace=False)
    cosines, near = nearest_items(Vectors(rows), queries, 5)
    plain = rows[queries] @ rows.T
    plain[np.arange(20), queries] = -2
    order = np.argsort(-plain, axis=1)[:, :5]
    assert np.array_equal(near, order)
    assert cosines == pytest.approx(np.take_along_axis(plain, order, axis=1), abs=1e-6)


def test_an_item_is_not_among_its_own_nearest_even_if_all_are_equal() -> None:
    rows = np.repeat(_unit(np.ones((1, 4))), 30, axis=0)
    cosines, near = nearest_items(Vectors(rows), np.arange(30), 40)
    assert near.shape == (30, 29)
    few_cosines, few = nearest_items(Vectors(rows), np.arange(30), 3)
    assert few.shape == (30, 3)
    assert not (few == np.arange(30)[:, None]).any()
    assert cosines == pytest.approx(1)
    assert few_cosines == pytest.approx(1)


@pytest.mark.parametrize("dimension", [2, 5, 10])
def test_the_intrinsic_dimension_of_a_sphere_turned_into_a_larger_space(dimension: int) -> None:
    generator = np.random.default_rng(dimension)
    turn = np.linalg.qr(generator.standard_normal((64, 64)))[0][: dimension + 1]
    sphere = _unit(generator.standard_normal((5_000, dimension + 1)))
    rows = _unit(sphere @ turn)
    cosines, _ = nearest_items(Vectors(rows), np.arange(len(rows)), 2)
    assert intrinsic_dimension(cosines) == pytest.approx(dimension, rel=0.1)


def test_copies_have_no_intrinsic_dimension() -> None:
    assert np.isnan(intrinsic_dimension(np.ones((100, 2), dtype=np.float32)))


def test_the_participation_ratio_counts_the_directions_with_variance() -> None:
    rows = np.zeros((20_000, 30), dtype=np.float32)
    rows[:, :7] = np.random.default_rng(0).standard_normal((20_000, 7))
    assert participation_ratio(rows) == pytest.approx(7, rel=0.02)


def test_labels_by_blob_do_not_mix_and_labels_by_lot_mix_fully() -> None:
    rows, blob = _blobs(1_500, blobs=10, spread=0.03)
    apart, by_lot = blob == 0, np.random.default_rng(1).random(1_500) < 0.1
    clear, hard = measure(rows, apart), measure(rows, by_lot)
    assert clear.opposite_near_positives == clear.lone_positives == clear.opposite_near_items == clear.mixed_items == 0
    assert clear.crowded_positives == 1
    assert clear.probe_auc == pytest.approx(1)
    assert hard.opposite_near_positives == pytest.approx(1 - hard.prevalence, abs=0.03)
    assert hard.opposite_near_items == pytest.approx(2 * hard.prevalence * (1 - hard.prevalence), abs=0.03)
    assert hard.probe_auc == pytest.approx(0.5, abs=0.1)
    assert hard.nearest_opposite_q50 > clear.nearest_opposite_q50


def test_clusters_that_stand_apart_measure_so() -> None:
    tight, _ = _blobs(1_500, blobs=40, spread=0.03)
    loose, _ = _blobs(1_500, blobs=40, spread=0.5)
    labels = np.arange(1_500) % 10 == 0
    clear, vague = measure(tight, labels), measure(loose, labels)
    assert clear.silhouette > 0.5 > vague.silhouette
    assert clear.between_share > 0.9 > vague.between_share
    assert clear.noise_share < 0.05 < 0.5 < vague.noise_share
    assert clear.nearest_cosine_q10 > vague.nearest_cosine_q90


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    rows, _ = _blobs(200, blobs=3, spread=0.3)
    cosines = rows @ rows.T
    expected = (cosines.sum() - np.trace(cosines)) / (200 * 199)
    assert measure(rows, np.arange(200) < 20).mean_cosine == pytest.approx(expected, abs=1e-5)


def test_one_label_alone_leaves_nothing_to_mix() -> None:
    rows, _ = _blobs(200, blobs=3, spread=0.3)
    found = asdict(measure(rows, np.zeros(200, dtype=np.bool_)))
    unknown = {name for name, value in found.items() if np.isnan(value)}
    assert unknown == {
        "opposite_near_positives", "lone_positives", "crowded_positives", "probe_auc",
        "nearest_opposite_q10", "nearest_opposite_q50", "nearest_opposite_q90",
    }  # fmt: skip


def test_the_probe_judges_no_item_by_its_own_label() -> None:
    rows = _unit(np.random.default_rng(0).standard_normal((120, 100)))
    labels = np.random.default_rng(1).random(120) < 0.5
    assert probe_auc(rows, labels) < 0.7


def test_the_same_pool_measures_the_same() -> None:
    rows, blob = _blobs(300, blobs=5, spread=0.3)
    assert measure(rows, blob == 0, seed=3) == measure(rows.astype(np.float32), blob == 0, seed=3)


def test_a_thinned_pool_has_the_size_and_prevalence_asked_for() -> None:
    truth = np.random.default_rng(0).random(1_000) < 0.3
    rows = thinned(truth, 400, 0.05, seed=1)
    assert len(np.unique(rows)) == 400
    assert (np.diff(rows) > 0).all()
    assert truth[rows].sum() == 20
    assert not np.array_equal(rows, thinned(truth, 400, 0.05, seed=2))


def test_too_few_items_are_refused() -> None:
    truth = np.arange(100) < 10
    with pytest.raises(CurationError, match="15 positive items asked for and 10 are there"):
        thinned(truth, 30, 0.5)
    with pytest.raises(CurationError, match="items: 49 is too small; expected at least 50"):
        measure(_unit(np.ones((49, 3))), np.zeros(49, dtype=np.bool_))
