import numpy as np
import pytest

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.panel_renewal import panel_renewal


def _scores(seed: int, items: int, shift: float = 0.0) -> Floats:
    return 1 / (1 + np.exp(-np.random.default_rng(seed).normal(-2 + shift, 1, items)))


def test_a_pool_that_stayed_needs_no_new_panel_whatever_its_size() -> None:
    for items in (100, 1_000, 50_000):
        found = panel_renewal(_scores(0, items), _scores(1, items))
        assert not found.due
        assert "still stands for the pool" in found.reason or "tell drift from chance" in found.reason


def test_a_pool_that_moved_needs_one() -> None:
    found = panel_renewal(_scores(0, 5_000), _scores(1, 5_000, shift=0.8))
    assert found.due
    assert found.index is not None
    assert found.index > 0.25
    assert "the pool drifted, scores moved up" in found.reason


def test_a_large_pool_is_not_called_drifted_for_a_small_significant_change() -> None:
    from scipy.stats import ks_2samp

    then, now = _scores(0, 100_000), _scores(1, 100_000, shift=0.05)
    found, tested = panel_renewal(then, now), ks_2samp(then, now)
    assert tested.pvalue < 1e-6
    assert not found.due


def test_the_index_by_hand() -> None:
    then, now = np.repeat([0.1, 0.9], [500, 500]), np.repeat([0.1, 0.9], [300, 700])
    found = panel_renewal(then, now)
    assert found.index == pytest.approx(0.2 * np.log(5 / 3) + 0.2 * np.log(7 / 5), abs=0.002)


def test_chance_seldom_passes_the_bound() -> None:
    passed = 0
    for seed in range(300):
        found = panel_renewal(_scores(2 * seed, 400), _scores(2 * seed + 1, 300))
        assert found.index is not None
        assert found.by_chance is not None
        passed += found.index > found.by_chance
    assert passed <= 3


def test_a_small_sample_cannot_tell() -> None:
    found = panel_renewal(_scores(0, 99), _scores(1, 5_000, shift=2.0))
    assert (found.due, found.index) == (False, None)
    assert "99 scored items" in found.reason
    early = panel_renewal(_scores(0, 100), _scores(3, 100, shift=0.35), limit=0.01)
    assert not early.due
    assert "too few items" in early.reason


@pytest.mark.parametrize(
    ("then", "now", "limit", "message"),
    [
        ([0.5, np.nan], [0.5], 0.2, "then: scores outside 0 to 1"),
        ([0.5], [1.2], 0.2, "now: scores outside 0 to 1"),
        ([0.5], [0.5], 0.0, "limit: 0.0"),
    ],
)
def test_unusable_scores_are_refused(then: list[float], now: list[float], limit: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        panel_renewal(np.array(then), np.array(now), limit=limit)
