import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.strategies import coverage
from al_assets.curation.strategies.coverage import FacilityLocation, KCenter, facility_location, farthest_first
from al_assets_tests.support.pools import on_circle, plain, topic_pool, topics


def plain_farthest_first(points: NDArray[np.float32], nearest: NDArray[np.float32], count: int) -> list[int]:
    nearest = nearest.copy()
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        place = int(nearest.argmin())
        chosen.append(place)
        nearest = np.maximum(nearest, points @ points[place])
        nearest[chosen] = np.inf
    return chosen


def plain_greedy(similarity: NDArray[np.float32], covered: NDArray[np.float32], count: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(min(count, len(similarity))):
        best = np.maximum(similarity[chosen].max(axis=0, initial=0), covered)
        gains = np.maximum(similarity - best, 0).sum(axis=1)
        gains[chosen] = -1
        chosen.append(int(gains.argmax()))
    return chosen


@given(st.integers(1, 300), st.integers(0, 60), st.integers(1, 40), st.booleans(), st.integers(0, 3))
@settings(max_examples=40)
def test_farthest_first_is_that_of_one_at_a_time(
    items: int, count: int, at_once: int, centres: bool, seed: int
) -> None:
    points = topic_pool(items + 5, seed=seed).vectors
    nearest = (points[5:] @ points[:5].T).max(axis=1) if centres else np.full(items, -np.inf, dtype=np.float32)
    before, coverage._AT_ONCE = coverage._AT_ONCE, at_once
    try:
        found = farthest_first(points[5:], nearest, count)
    finally:
        coverage._AT_ONCE = before
    assert found.tolist() == plain_farthest_first(points[5:], nearest, count)


def test_k_center_starts_at_what_is_labelled() -> None:
    vectors = on_circle(0, 10, 100, 170, 185)
    labels = np.array([1, np.nan, np.nan, np.nan, np.nan])
    # 170 degrees and 185 are nearly as far from 0; then the gap between is widest at 100.
    assert KCenter().rank(plain(vectors, labels=labels), 3, 0).tolist() == [4, 2, 3]


def test_k_center_covers_within_twice_the_smallest_radius() -> None:
    candidates = topics(60)
    points = topic_pool(60).vectors
    picked = KCenter().rank(candidates, 3, 0)

    def radius(centres: list[int]) -> float:
        return float(np.arccos(np.clip((points @ points[centres].T).max(axis=1), -1, 1)).max())

    triples = ([one, two, three] for one in range(60) for two in range(one) for three in range(two))
    assert radius(picked.tolist()) <= 2 * min(radius(triple) for triple in triples)


def test_without_labels_the_first_is_drawn_by_lot() -> None:
    assert len({int(KCenter().rank(topics(60), 1, seed)[0]) for seed in range(8)}) > 4


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 45), st.integers(0, 5))
@settings(max_examples=60)
def test_lazy_greedy_is_plain_greedy(items: int, references: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Eighths add up without rounding, so that equal gains are equal.
    similarity = (rng.integers(0, 9, (items, references)) / 8).astype(np.float32)
    covered = (rng.integers(0, 4, references) / 8).astype(np.float32)
    assert facility_location(similarity, covered, count).tolist() == plain_greedy(similarity, covered, count)


def test_facility_location_reaches_its_share_of_the_best() -> None:
    points = topic_pool(30).vectors
    similarity = np.maximum(points @ points.T, 0)
    found = facility_location(similarity, np.zeros(30, dtype=np.float32), 3)
    triples = [[one, two, three] for one in range(30) for two in range(one) for three in range(two)]
    best = max(similarity[triple].max(axis=0).sum() for triple in triples)
    assert similarity[found].max(axis=0).sum() >= (1 - 1 / np.e) * best


def test_facility_location_leaves_out_what_labels_cover() -> None:
    vectors = on_circle(0, 1, 2, 90, 91, 92, 93)
    labels = np.array([np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 0])
    everything = FacilityLocation(by_uncertainty=False)
    assert everything.rank(plain(vectors, labels=labels), 1, 0).tolist() == [1]
    assert everything.rank(plain(vectors), 1, 0)[0] >= 3


def test_uncertainty_draws_facility_location_to_the_boundary() -> None:
    candidates = topics(2_000)
    near = np.abs(candidates.scores - 0.5)
    weighted = FacilityLocation(references=200).rank(candidates, 50, 0)
    everywhere = FacilityLocation(by_uncertainty=False, references=200).rank(candidates, 50, 0)
    assert near[weighted].mean() < 0.85 * near[everywhere].mean()


@pytest.mark.parametrize("strategy", [KCenter(most=20), FacilityLocation(most=20, references=10)])
def test_what_was_not_looked_at_follows(strategy: KCenter | FacilityLocation) -> None:
    assert sorted(strategy.rank(topics(50), 50, 0)) == list(range(50))
