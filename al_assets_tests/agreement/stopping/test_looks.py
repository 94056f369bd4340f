from statistics import NormalDist

import numpy as np
import pytest

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.looks import Looks, anytime_level, spending_levels, spent_error

NORMAL = NormalDist()
PLENTY = 10**12
"""Resamples that show any level."""


def _normal(confidence: float) -> Interval:
    half = NORMAL.inv_cdf((1 + confidence) / 2)
    return Interval(0.0, -half, half, 50)


def test_levels_are_the_published_boundaries() -> None:
    # Five looks, one-sided .025: Lan and DeMets' O'Brien-Fleming-like boundaries as other software gives them.
    found = [-NORMAL.inv_cdf(level) for level in spending_levels(5, 0.025, True, PLENTY)]
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=1e-3)


@pytest.mark.parametrize("error", [0.025, 0.05, 0.10])
@pytest.mark.parametrize("planned", [1, 2, 3, 5, 8, 12, 40])
def test_the_error_is_spent_bit_by_bit_and_no_more(planned: int, error: float) -> None:
    spent = spent_error(planned, error)
    assert np.all(np.diff(spent) >= 0)
    assert spent[-1] == pytest.approx(error)
    increments = spending_levels(planned, error, False, PLENTY)
    assert np.cumsum(increments) == pytest.approx(spent, abs=1e-11)
    growing = spending_levels(planned, error, True, PLENTY)
    # What looks have in common is allowed for, so each may err more; the last still less than one look alone.
    assert all(one >= other - 1e-6 for one, other in zip(growing, increments, strict=True))
    assert growing[-1] <= error + 1e-6
    assert np.all(np.diff(growing) > -1e-8)


@pytest.mark.parametrize("growing", [True, False])
@pytest.mark.parametrize("resamples", [200, 500, 2_000])
@pytest.mark.parametrize("planned", [2, 8, 30])
def test_no_level_is_finer_than_the_resamples_show_and_nothing_is_lost(
    planned: int, resamples: int, growing: bool
) -> None:
    levels = np.array(spending_levels(planned, 0.05, growing, resamples))
    assert np.all((levels == 0) | (levels * resamples >= 5))
    if growing:
        return
    # Looks that are too early leave their error to later ones.
    assert 0.05 - 5 / resamples < levels.sum() <= 0.05 + 1e-12


def test_growing_levels_err_as_often_as_promised_on_sums_of_independent_increments() -> None:
    generator = np.random.default_rng(0)
    sums = generator.standard_normal((40_000, 8)).cumsum(axis=1) / np.sqrt(np.arange(1, 9))
    stops = sums > [NORMAL.inv_cdf(1 - level) if level else np.inf for level in spending_levels(8, 0.05, True, 2_000)]
    assert stops.any(axis=1).mean() == pytest.approx(0.05, abs=0.004)
    assert (sums > NORMAL.inv_cdf(0.95)).any(axis=1).mean() > 0.15


@pytest.mark.parametrize("dependence", [0.0, 0.9])
def test_bounds_without_a_plan_hold_however_long_one_looks(dependence: float) -> None:
    generator = np.random.default_rng(1)
    shown = generator.standard_normal((20_000, 60))
    growing = shown.cumsum(axis=1) / np.sqrt(np.arange(1, 61))
    asked = [-NORMAL.inv_cdf(anytime_level(look, 8, 0.05)) for look in range(1, 61)]
    assert (growing > asked).any(axis=1).mean() < 0.05
    looks = Looks("anytime", 0.05, growing=False)
    frozen = np.sqrt(1 - dependence) * shown + np.sqrt(dependence) * generator.standard_normal((20_000, 1))
    levels = [looks.look(look, 8).level for look in range(1, 61)]
    assert sum(levels) < 0.05
    assert (frozen > [-NORMAL.inv_cdf(level) for level in levels]).any(axis=1).mean() < 0.05


@pytest.mark.parametrize("growing", [True, False])
def test_beyond_the_plan_bounds_are_wider_and_come_from_the_standard_error(growing: bool) -> None:
    looks = Looks("alpha_spending", 0.05, growing)
    last, beyond = looks.look(8, 8), looks.look(9, 8)
    if growing:
        assert beyond.level < last.level / 5
        # 2.78 standard errors where the plan's end is 1.78: Waudby-Smith and others' formula at t = t*.
        assert -NORMAL.inv_cdf(looks.look(9, 9).level) == pytest.approx(1.78, abs=0.02)
        assert -NORMAL.inv_cdf(anytime_level(8, 8, 0.05)) == pytest.approx(2.78, abs=0.01)
    found = beyond.interval(_normal)
    assert found.low == pytest.approx(NORMAL.inv_cdf(beyond.level))
    assert found.high == pytest.approx(-NORMAL.inv_cdf(beyond.level))
    assert beyond.words.startswith("look 9, after the 8 planned, bounds at ")
    assert "any look beyond the 8 planned has a chance of at most 5 %" in beyond.words


def test_looks_of_which_nothing_is_known_but_that_they_grow_are_surer_while_they_are_planned() -> None:
    known, unknown = Looks(), Looks(independent=False)
    assert [unknown.look(number, 8).level for number in (4, 8)] == [
        Looks(growing=False).look(number, 8).level for number in (4, 8)
    ]
    assert unknown.look(8, 8).level < known.look(8, 8).level
    assert unknown.look(9, 8).level == known.look(9, 8).level


def test_an_interval_keeps_its_own_reason_where_it_is_undefined() -> None:
    unknown = Interval(None, None, None, 0, "only one label occurs")
    few = Interval(0.2, None, None, 8, "no interval: 8 independent groups")
    for way, number in (("each", 1), ("alpha_spending", 8), ("anytime", 3), ("alpha_spending", 9)):
        look = Looks(way).look(number, 8)  # type: ignore[arg-type]
        assert look.interval(lambda _: unknown) == unknown
        assert look.interval(lambda _: few) == few
    early = Looks().look(1, 8)
    assert early.too_early
    assert early.interval(lambda _: few).reason == "look 1 of 8: too early to tell"
    assert early.interval(_normal) == Interval(0.0, None, None, 50, "look 1 of 8: too early to tell")


def test_each_look_alone_errs_as_often_every_time() -> None:
    looks = Looks("each", 0.05)
    assert [looks.look(number, 8).level for number in (1, 4, 20)] == [0.05] * 3
    assert looks.look(1, 8).words.endswith("a false signal by now has a chance of up to 5 %")
    assert looks.look(30, 8).words.endswith("up to 100 %, so confirm it")
