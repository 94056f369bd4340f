import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.curation.strategies.density import (
    ProbCover,
    TypiClust,
    balls,
    maximum_coverage,
    mean_neighbour_distance,
    pure_radius,
    typical_first,
)
from al_assets_tests.support.pools import on_circle, plain, topic_pool, topics, unit


def blobs(sizes: list[int], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Tight groups far from each other, one along each axis, and the group of each row."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    centres = np.eye(len(sizes), 12)
    return unit(centres[group] + 0.05 * rng.normal(size=(len(group), 12))), group


def test_typiclust_takes_one_of_each_planted_group_the_largest_first() -> None:
    vectors, group = blobs([30, 60, 20, 40])
    assert group[TypiClust().rank(plain(vectors), 4, 0)].tolist() == [1, 3, 0, 2]


def test_typiclust_passes_over_groups_with_a_label() -> None:
    vectors, group = blobs([30, 60, 20, 40])
    labels = np.full(len(group), np.nan)
    labels[[np.flatnonzero(group == 1)[0], np.flatnonzero(group == 2)[0]]] = 1
    # Two labels and two picks make four clusters again.
    assert group[TypiClust().rank(plain(vectors, labels=labels), 2, 0)].tolist() == [3, 0]


def test_the_most_typical_is_the_one_with_the_nearest_neighbours() -> None:
    vectors, group = blobs([50])
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2).astype(np.float64)
    mean = np.sort(apart, axis=1)[:, 1:21].mean(axis=1)
    assert mean_neighbour_distance(vectors, 20) == pytest.approx(mean, abs=1e-3)
    assert TypiClust().rank(plain(vectors), 1, 0)[0] == mean.argmin()
    assert mean_neighbour_distance(vectors[:1], 20).tolist() == [0]
    # A group of four looks at half its size.
    assert mean_neighbour_distance(vectors[:4], 20) == pytest.approx(
        np.sort(apart[:4, :4])[:, 1:3].mean(axis=1), abs=1e-3
    )


def test_clusters_take_turns_and_small_ones_come_last() -> None:
    vectors, group = blobs([3, 8, 7])
    order = typical_first(vectors, group.astype(np.int32), np.zeros(0, dtype=np.int32), 20)
    assert group[order].tolist() == [1, 2] * 7 + [1] + [0] * 3
    with_label = typical_first(vectors, group.astype(np.int32), np.array([1], dtype=np.int32), 20)
    assert group[with_label][:4].tolist() == [2, 1, 2, 1]


def plain_coverage(near: NDArray[np.bool_], covered: NDArray[np.bool_], count: int) -> list[int]:
    left = ~covered
    chosen: list[int] = []
    while left.any() and len(chosen) < count:
        chosen.append(int((near & left).sum(axis=1).argmax()))
        left = left & ~near[chosen[-1]]
    return chosen


@given(st.integers(1, 60), st.integers(0, 20), st.floats(0.0, 0.99), st.integers(0, 5))
@settings(max_examples=60)
def test_coverage_is_that_of_plain_greedy(items: int, count: int, cosine: float, seed: int) -> None:
    points = topic_pool(items, seed=seed).vectors
    covered = np.random.default_rng(seed).random(items) < 0.2
    near = points @ points.T >= cosine
    packed = balls(points, cosine)
    assert np.unpackbits(packed, axis=1, count=items).astype(bool).tolist() == near.tolist()
    assert maximum_coverage(packed, covered, count).tolist() == plain_coverage(near, covered, count)


def test_probcover_takes_the_fullest_ball_first() -> None:
    vectors, group = blobs([5, 9, 7])
    assert group[ProbCover(radius=0.9).rank(plain(vectors), 3, 0)].tolist() == [1, 2, 0]
    labels = np.full(len(group), np.nan)
    labels[np.flatnonzero(group == 1)[0]] = 0
    assert group[ProbCover(radius=0.9).rank(plain(vectors, labels=labels), 2, 0)].tolist() == [2, 0]


def test_the_radius_keeps_balls_pure() -> None:
    vectors, group = blobs([200, 200])
    order = np.random.default_rng(0).permutation(400)
    points, positive = vectors[order], group[order] == 0
    radius = pure_radius(points, positive)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    pure = np.array([len(set(positive[row < radius * 0.999])) == 1 for row in apart])
    assert pure.mean() >= 0.95
    # Any larger would not do.
    wider = np.array([len(set(positive[row < radius * 1.1])) == 1 for row in apart])
    assert wider.mean() < 0.95


def test_where_labels_mix_a_ball_still_holds_neighbours() -> None:
    points = topic_pool(300).vectors
    mixed = np.random.default_rng(0).random(300) < 0.5
    tenth = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 10]
    assert pure_radius(points, mixed) == pytest.approx(np.median(tenth), abs=1e-3)
    assert pure_radius(points, np.ones(300, dtype=bool)) == pytest.approx(np.median(tenth), abs=1e-3)
    assert pure_radius(points[:1], mixed[:1]) == 0


def test_once_all_is_covered_the_rest_follows() -> None:
    candidates = plain(on_circle(0, 1, 2, 90))
    order = ProbCover(radius=0.5).rank(candidates, 4, 0)
    assert sorted(order) == [0, 1, 2, 3]
    assert order[1] == 3


@pytest.mark.parametrize("strategy", [TypiClust(most=20, most_clusters=5), ProbCover(most=20)])
def test_what_was_not_looked_at_follows(strategy: TypiClust | ProbCover) -> None:
    assert sorted(strategy.rank(topics(50), 50, 0)) == list(range(50))
