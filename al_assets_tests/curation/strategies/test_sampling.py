import numpy as np
import pytest

from al_assets.curation.strategies.sampling import distances, drawn, drawn_by_softmax, filled, most_similar
from al_assets_tests.support.pools import on_circle, six


def test_a_draw_is_a_permutation_or_part_of_one() -> None:
    rows = np.array([3, 5, 7, 11])
    assert sorted(drawn(rows, 10, 0)) == [3, 5, 7, 11]
    assert len(set(drawn(rows, 2, 0))) == 2
    assert drawn(rows, 4, 1).tolist() == drawn(rows, 4, 1).tolist()
    assert drawn(rows[:0], 4, 1, np.zeros(0)).tolist() == []


def test_a_row_without_weight_comes_last() -> None:
    rows = np.array([3, 5, 7, 11])
    for seed in range(20):
        order = drawn(rows, 4, seed, np.array([0.0, 1.0, 2.0, 0.0])).tolist()
        assert set(order[:2]) == {5, 7}
        assert order[:2] == drawn(rows, 2, seed, np.array([0.0, 1.0, 2.0, 0.0])).tolist()


def test_draws_are_in_proportion_to_weight() -> None:
    times = 6_000
    firsts = [drawn(np.arange(3), 1, seed, np.array([1.0, 2.0, 3.0]))[0] for seed in range(times)]
    shares = np.bincount(firsts, minlength=3) / times
    # Four standard deviations.
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=4 * np.sqrt(0.25 / times))


def test_what_an_order_left_out_follows() -> None:
    candidates = six(free=np.array([True, True, False, True, True, True]))
    order = filled(np.array([4, 1]), candidates, 4, 0)
    assert order[:2].tolist() == [4, 1]
    assert set(order[2:]) < {0, 3, 5}
    assert sorted(filled(np.array([4, 1]), candidates, 99, 0)) == [0, 1, 3, 4, 5]
    assert filled(np.array([4, 1]), candidates, 1, 0).tolist() == [4]


def test_softmax_draws_have_the_chances_of_the_softmax() -> None:
    logits = np.array([0.0, 1.0, -np.inf, 2.0])
    wanted = np.exp(logits) / np.exp(logits).sum()
    times = 6_000
    rng = np.random.default_rng(0)
    # Large logits that an exponential could not take, with the same differences.
    draws = np.array([drawn_by_softmax(logits + 1e4, 2, rng) for _ in range(times)])
    assert np.bincount(draws[:, 0], minlength=4) / times == pytest.approx(wanted, abs=4 * np.sqrt(0.25 / times))
    after_last = draws[draws[:, 0] == 3][:, 1]
    share = np.mean(after_last == 1)
    assert share == pytest.approx(np.e / (1 + np.e), abs=4 * np.sqrt(0.25 / len(after_last)))
    assert not (draws == 2).any()


def test_most_similar_and_distances() -> None:
    points, others = on_circle(0, 90, 180), on_circle(30, 90)
    assert most_similar(points, others, block=2) == pytest.approx([np.cos(np.pi / 6), 1, 0], abs=1e-6)
    assert most_similar(points, others[:0]).tolist() == [-np.inf] * 3
    assert distances(np.array([1.0, 0.0, -1.0, 1.0 + 1e-7])) == pytest.approx([0, np.sqrt(2), 2, 0])
