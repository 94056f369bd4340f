from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.curation.strategies import badge
from al_assets.curation.strategies.badge import Badge, plus_plus
from al_assets_tests.support.pools import on_circle, plain, topics


def chance_of(points: NDArray[np.float64], seeds: tuple[int, ...]) -> float:
    """The exact chance that k-means++ without trials draws those seeds in that order."""
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    chance = 1 / len(points)
    for place in range(1, len(seeds)):
        nearest = squared[list(seeds[:place])].min(axis=0)
        chance *= nearest[seeds[place]] / nearest.sum()
    return chance


@pytest.mark.parametrize("at_once", [2, 512])
def test_seeds_have_the_chances_of_k_means_plus_plus(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.cluster import kmeans_plusplus

    # Few draws at once bring distances up to date often, many reject often: the chances are the same.
    monkeypatch.setattr(badge, "_AT_ONCE", at_once)
    points = np.random.default_rng(1).normal(size=(4, 3))
    times = 4_000
    ours: dict[tuple[int, ...], int] = {}
    theirs: dict[tuple[int, ...], int] = {}
    for seed in range(times):
        one = tuple(plus_plus(points.astype(np.float32), 3, np.random.default_rng(seed)).tolist())
        other = tuple(kmeans_plusplus(points, 3, random_state=seed, n_local_trials=1)[1].tolist())
        ours[one] = ours.get(one, 0) + 1
        theirs[other] = theirs.get(other, 0) + 1
    for seeds in permutations(range(4), 3):
        chance = chance_of(points, seeds)
        spread = 4.5 * np.sqrt(chance * (1 - chance) / times)
        assert ours.get(seeds, 0) / times == pytest.approx(chance, abs=spread)
        assert theirs.get(seeds, 0) / times == pytest.approx(chance, abs=spread)


def test_equal_points_are_one_seed() -> None:
    points = np.repeat(np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32), 4, axis=0)
    found = plus_plus(points, 12, np.random.default_rng(0))
    assert sorted(found // 4) == [0, 1, 2]
    assert plus_plus(points * 0, 5, np.random.default_rng(0)).tolist() == [found[0]]
    assert plus_plus(points[:0], 5, np.random.default_rng(0)).tolist() == []


def test_half_the_gradient_keeps_its_distances() -> None:
    candidates = topics(40)
    vectors = candidates.required_vectors("badge").take(np.arange(40)).astype(np.float64)
    p = np.stack([1 - candidates.scores, candidates.scores], axis=1)
    onehot = np.stack([~candidates.positive, candidates.positive], axis=1)
    full = ((p - onehot)[:, :, None] * vectors[:, None]).reshape(40, -1)
    half = (candidates.scores - candidates.positive)[:, None] * vectors
    apart = np.linalg.norm(full[:, None] - full[None], axis=2)
    assert apart == pytest.approx(np.sqrt(2) * np.linalg.norm(half[:, None] - half[None], axis=2))


def test_the_longest_gradient_is_first_and_a_copy_of_it_not_second() -> None:
    candidates = plain(on_circle(0, 0, 90, 91), [0.45, 0.45, 0.4, 0.05])
    for seed in range(20):
        order = Badge().rank(candidates, 4, seed)
        assert set(order[:1]) <= {0, 1}
        assert order[1] in {2, 3}
        assert sorted(order) == [0, 1, 2, 3]


def test_uncertain_items_are_preferred() -> None:
    candidates = topics(2_000)
    near = np.minimum(candidates.scores, 1 - candidates.scores)
    assert near[Badge().rank(candidates, 50, 0)].mean() > 1.2 * near.mean()


def test_only_the_longest_gradients_are_looked_at_then_the_rest() -> None:
    candidates = plain(on_circle(0, 40, 80, 120), [0.4, 0.1, 0.3, 0.2])
    order = Badge(most=2).rank(candidates, 4, 0)
    assert order[:2].tolist() == [0, 2]
    assert sorted(order) == [0, 1, 2, 3]
