import numpy as np
import pytest

from al_assets.agreement.core.bootstrap import Distribution
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.panel_renewal import chain_panels, chained_gain, panel_renewal


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


def test_a_chain_keeps_every_gain_within_a_panel_and_the_newest_level() -> None:
    old = {"0000": 0.30, "0001": 0.40, "0002": 0.45}
    new = {"0002": 0.60, "0003": 0.62}
    chained = chain_panels([old, new])
    assert list(chained) == ["0000", "0001", "0002", "0003"]
    assert [chained[key] for key in chained] == pytest.approx([0.45, 0.55, 0.60, 0.62])


def test_two_renewals_chain_through_the_panel_between() -> None:
    chained = chain_panels([{"0": 0.1, "1": 0.2}, {"1": 0.5, "2": 0.6}, {"2": 0.3, "3": 0.35}])
    assert [chained[key] for key in chained] == pytest.approx([0.1, 0.2, 0.3, 0.35])


def test_what_was_undefined_at_the_overlap_stays_unknown() -> None:
    chained = chain_panels([{"0": 0.1, "1": None}, {"1": 0.5, "2": 0.6}])
    assert chained == {"0": None, "1": 0.5, "2": 0.6}
    with pytest.raises(ValueError, match="panels: 0 and 1 share no iteration"):
        chain_panels([{"0": 0.1}, {"1": 0.5}])


def test_a_chained_gain_adds_estimates_and_variances() -> None:
    generator = np.random.default_rng(0)
    parts = [
        Distribution(mean, mean + spread * noise, 80, mean + spread * generator.normal(size=80) / 80)
        for mean, spread, noise in (
            (0.05, 0.03, generator.normal(size=4_000)),
            (0.02, 0.04, generator.normal(size=4_000)),
        )
    ]
    found = chained_gain(*parts)
    assert found.estimate == pytest.approx(0.07)
    assert found.replicates.std() == pytest.approx(0.05, rel=0.05)
    assert len(found.jackknife) == 160
    interval = found.interval(80)
    assert interval.low == pytest.approx(0.07 - 1.96 * 0.05, abs=0.01)


def test_panels_of_one_size_and_seed_do_not_share_their_resamples() -> None:
    part = Distribution(0.0, np.random.default_rng(0).normal(size=4_000), 50)
    assert chained_gain(part, part).replicates.std() == pytest.approx(2**0.5, rel=0.05)
