import numpy as np
import pytest

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.pool_sample import PoolSample


def sample(drawn: list[float], known: list[float], stratum: list[int], unseen: float = 1.0) -> PoolSample:
    codes = np.array(stratum, dtype=np.int64)
    blocks = np.zeros(len(codes), dtype=np.int64)
    ones = np.ones(len(codes))
    return PoolSample(np.array(drawn), np.array(known), codes, blocks, ones * unseen, ones * 0.0)


def replicates(of: PoolSample, resamples: int = 4_000) -> Floats:
    return np.concatenate(list(of.replicates(resamples=resamples, seed=1)))


def test_the_bootstrap_has_the_variance_of_a_stratified_mean() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    found = sample([2.0] * 3 + [0.5] * 6, [0.0] * 9, [0] * 3 + [1] * 6)
    drawn = replicates(found, 40_000) @ values / found.weights.sum()
    spread = [np.var(values[:3], ddof=1), np.var(values[3:], ddof=1)]
    share = np.array([6.0, 3.0]) / 9
    expected = float((share**2 * np.array(spread) / np.array([3, 6])).sum())
    assert drawn.var() == pytest.approx(expected, rel=0.05)
    assert drawn.mean() == pytest.approx(found.mean(values), abs=0.005)


def test_what_is_seen_of_a_stratum_takes_its_part_from_the_variance() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0])
    half, all_of_it = (sample([1.0] * 4, [0.0] * 4, [0] * 4, unseen) for unseen in (0.5, 0.0))
    whole = sample([1.0] * 4, [0.0] * 4, [0] * 4)
    assert (replicates(half) @ values).var() == pytest.approx((replicates(whole) @ values).var() / 2, rel=0.1)
    assert np.ptp(replicates(all_of_it) @ values) == 0


def test_what_others_judge_varies_though_all_was_seen() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0])
    seen, whole = (sample([1.0] * 4, [0.0] * 4, [0] * 4, unseen) for unseen in (0.0, 1.0))
    assert np.array_equal(replicates(seen.by_others()), replicates(whole))
    assert np.ptp(replicates(seen) @ values) == 0
    known = sample([0.0] * 4, [1.0] * 4, [0] * 4)
    assert np.ptp(replicates(known) @ values) == 0
    assert (replicates(known.by_others()) @ values).var() > 0


def test_what_is_known_does_not_vary() -> None:
    found = sample([0.0, 1.0, 1.0], [1.0, 0.5, 0.5], [0, 1, 1])
    assert np.unique(replicates(found)[:, 0]).tolist() == [1.0]
    assert found.random.tolist() == [False, True, True]


def test_left_out_items_are_stood_for_by_their_stratum() -> None:
    found = sample([3.0, 3.0, 1.0, 1.0, 1.0], [0.0] * 5, [0, 0, 1, 1, 1])
    without = np.concatenate(list(found.without_each_item()))
    assert without[0].tolist() == [0.0, 6.0, 1.0, 1.0, 1.0]
    assert without[2].tolist() == [3.0, 3.0, 0.0, 1.5, 1.5]
    values = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    means = without @ values / without.sum(axis=1)
    assert found.mean_without_each_item(values) == pytest.approx(means)
    jackknife = found.jackknife(found.mean(values), means)
    assert jackknife.mean() == pytest.approx(found.mean(values))


def test_sums_without_each_item_move_by_what_is_unseen_of_its_stratum() -> None:
    drawn, known, stratum = [3.0, 3.0, 1.0, 1.0, 0.0], [0.5, 0.0, 0.0, 0.2, 4.0], [1, 1, 2, 2, 0]
    features = np.random.default_rng(0).random((5, 3))
    whole = sample(drawn, known, stratum)
    sums = whole.weights @ features
    # Nothing is unseen of the blocks: the known part stays.
    part_drawn = sample(drawn, [0.0] * 5, stratum)
    moved = np.concatenate(list(part_drawn.without_each_item())) @ features - part_drawn.weights @ features
    assert whole.sums_without_each_item(features) - sums == pytest.approx(moved)
    quarter = sample(drawn, known, stratum, unseen=0.25)
    assert quarter.sums_without_each_item(features) - sums == pytest.approx(moved / 2)


def test_means_without_each_item_agree_for_drawn_and_known_parts_alike() -> None:
    generator = np.random.default_rng(0)
    codes = np.sort(generator.integers(0, 4, 40))
    found = PoolSample(
        generator.random(40), generator.random(40), codes, generator.integers(0, 3, 40), np.ones(40), np.ones(40)
    )
    values = generator.random(40)
    rows = np.concatenate(list(found.without_each_item()))
    assert found.mean_without_each_item(values) == pytest.approx(rows @ values / rows.sum(axis=1))


def test_a_stratum_without_a_positive_is_not_taken_to_be_sure() -> None:
    found = sample([1.0] * 10, [0.0] * 10, [0] * 5 + [1] * 5)
    share = np.array([0.0] * 5 + [1.0, 0.0, 0.0, 0.0, 0.0])
    plain, smoothed = found.variance_of_mean(share), found.variance_of_mean(share, towards=0.1)
    assert plain == pytest.approx(0.25 * 0.16 / 4)
    assert smoothed > plain


def test_no_item_has_no_mean() -> None:
    empty = sample([], [], [])
    assert np.isnan(empty.mean(np.zeros(0)))
    assert list(empty.without_each_item()) == []
