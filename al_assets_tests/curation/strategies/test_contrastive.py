import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from al_assets.curation.strategies.contrastive import Contrastive, mean_divergence, nearest
from al_assets_tests.support.pools import on_circle, plain, topic_pool, topics


def plain_divergence(p: float, others: list[float]) -> float:
    return float(np.mean([entropy([q, 1 - q], [p, 1 - p]) for q in others]))


@given(st.integers(1, 40), st.integers(0, 60), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=50)
def test_divergence_is_that_of_scipy(items: int, others: int, neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cosines = rng.random((items, others)).astype(np.float32)
    p, q = rng.uniform(0.01, 0.99, items), rng.uniform(0.01, 0.99, others)
    wanted = [
        plain_divergence(score, q[np.argsort(-row)[:neighbours]].tolist()) if others else 0.0
        for score, row in zip(p, cosines, strict=True)
    ]
    assert mean_divergence(p, q, cosines, neighbours) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("others", [5, 600, 1_500])
def test_nearest_are_the_largest(others: int) -> None:
    cosines = np.random.default_rng(0).random((30, others)).astype(np.float32)
    cosines[3, 1:] = -np.inf
    rows, columns = nearest(cosines, 4)
    for row, values in enumerate(cosines):
        wanted = {column for column in np.argsort(-values)[:4] if values[column] > -np.inf}
        assert set(columns[rows == row]) == wanted


def test_ties_at_the_last_neighbour_all_count() -> None:
    rows, columns = nearest(np.array([[0.9, 0.5, 0.5, 0.1]], dtype=np.float32), 2)
    assert sorted(zip(rows, columns, strict=True)) == [(0, 0), (0, 1), (0, 2)]


def test_labelled_neighbours_are_asked_once_there_are_enough() -> None:
    vectors = on_circle(0, 1, 2, 90, 91, 92)
    scores = [0.9, 0.6, 0.2, 0.1, 0.2, 0.15]
    labels = np.array([1, np.nan, np.nan, 0, np.nan, np.nan])
    candidates = plain(vectors, scores, labels=labels)
    found = Contrastive(neighbours=1, enough=2).rank(candidates, 4, 0)
    wanted = [plain_divergence(scores[row], [scores[0 if row < 3 else 3]]) for row in (1, 2, 4, 5)]
    assert found.tolist() == [(1, 2, 4, 5)[place] for place in np.argsort(wanted)[::-1]]
    assert found[0] == 2


def test_in_the_pool_an_item_is_not_its_own_neighbour() -> None:
    pool = topic_pool(120)
    candidates = topics(120, labels=30)
    cosines = (pool.vectors @ pool.vectors.T).astype(np.float64)
    np.fill_diagonal(cosines, -2)
    wanted = np.array(
        [
            plain_divergence(float(np.clip(score, 1e-6, 1 - 1e-6)), pool.scores[np.argsort(-row)[:10]].tolist())
            for score, row in zip(pool.scores, cosines, strict=True)
        ]
    )
    found = Contrastive().rank(candidates, 90, 0)
    assert set(found) == set(candidates.open_rows)
    assert (np.diff(wanted[found]) < 1e-4).all()


def test_one_neighbour_at_least() -> None:
    with pytest.raises(ValueError, match="neighbours: 0 is too small"):
        Contrastive(neighbours=0).rank(topics(10), 2, 0)
