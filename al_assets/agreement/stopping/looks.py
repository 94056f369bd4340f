"""How sure each of several looks has to be, so that together they err no more often than one may.

Alpha spending (Lan and DeMets 1983): the looks that were planned share the error, late looks most of it, as
O'Brien and Fleming do. Beyond the plan, or from the start if wanted, bounds that hold however long one looks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats
from al_assets.formatting import percent

Way = Literal["alpha_spending", "anytime", "each"]
Bounds = Callable[[float], Interval]
"""A figure's two-sided interval by its confidence, so that a rule reads bounds of any level: at confidence c each end
is a one-sided bound at (1 + c) / 2."""

NOT_MEASURED = Interval(None, None, None, 0, "not measured")
LEAST_BEYOND = 5
"""So many resamples must lie beyond a bound for it to be read from them."""
_ONE_SIDED_95 = 0.90  # the two-sided confidence whose ends are one-sided 95 % bounds
_NORMAL = NormalDist()
_STEP = 0.002
# Sums of increments whose variances add up to 1, and their density before the first: all of it at 0.
_SUMS: Floats = np.asarray(np.arange(-4_000, 4_001) * _STEP, dtype=np.float64)
_NOTHING_YET: Floats = np.where(_SUMS == 0, 1 / _STEP, 0.0)


def not_measured(confidence: float) -> Interval:
    """Return the interval of what was not measured, whatever its confidence."""
    return NOT_MEASURED


@dataclass(frozen=True)
class InterimLook:
    """One look: how sure it has to be.

    :param number: from 1; ``planned`` is how many there are to be.
    :param level: one-sided error that the look is allowed; 0 while it is too early to tell.
    :param resampled: read the bounds from the resamples; False: from estimate and standard error, as resamples do not
        reach as far.
    :param promise: what error all looks together have, in words.
    """

    number: int
    planned: int
    level: float
    promise: str
    resampled: bool = True

    @property
    def too_early(self) -> bool:
        """Whether the look's share of the error is less than the resamples can show."""
        return self.level <= 0

    @property
    def words(self) -> str:
        """Which look it is, and what it and all looks promise."""
        place = f"look {self.number} of {self.planned}"
        if self.number > self.planned:
            place = f"look {self.number}, after the {self.planned} planned"
        if self.too_early:
            return f"{place}: too early to tell"
        return f"{place}, bounds at {percent(1 - self.level, 1)}: {self.promise}"

    def interval(self, bounds: Bounds) -> Interval:
        """Return the interval whose ends are one-sided bounds at this look's level; none while it is too early."""
        if self.too_early:
            return replace(bounds(_ONE_SIDED_95), low=None, high=None, reason=self.words)
        if self.resampled:
            return bounds(1 - 2 * self.level)
        near = bounds(_ONE_SIDED_95)
        if near.estimate is None or near.low is None or near.high is None:
            return near
        # The longer side, as the side without a surprise so far is short in small samples.
        error = max(near.high - near.estimate, near.estimate - near.low) / _NORMAL.inv_cdf((1 + _ONE_SIDED_95) / 2)
        reach = -_NORMAL.inv_cdf(self.level) * error
        return replace(near, low=near.estimate - reach, high=near.estimate + reach)


@dataclass(frozen=True)
class Looks:
    """How a one-sided test is repeated.

    :param way: alpha_spending shares the error among the planned looks, and adds as much again for all looks beyond
        them; anytime promises the error for looks without end; each lets every look err that often, for comparison.
    :param error: chance of a false signal.
    :param growing: each look adds about as many items as any other; False for figures of a frozen panel.
    :param independent: what each look adds is independent of what came before, so that the joint distribution of
        growing looks is known. False takes nothing to be known of how looks depend on each other.
    :param resamples: behind the bounds.
    """

    way: Way = "alpha_spending"
    error: float = 0.05
    growing: bool = True
    independent: bool = True
    resamples: int = 2_000

    def look(self, number: int, planned: int) -> InterimLook:
        """Return how sure a look has to be.

        :param number: from 1, ``planned`` of them foreseen, at least 1.
        """
        allowed = percent(self.error)
        if self.way == "each":
            so_far = percent(min(1.0, number * self.error))
            promise = f"a false signal by now has a chance of up to {so_far}" + (", so confirm it" * (number > 1))
            return InterimLook(number, planned, self.error, promise)
        if self.way == "alpha_spending" and number <= planned:
            joint = self.growing and self.independent
            level = spending_levels(planned, self.error, joint, self.resamples)[number - 1]
            promise = f"a false signal at any of the {planned} planned looks has a chance of at most {allowed}"
            return InterimLook(number, planned, level, promise)
        spent = planned if self.way == "alpha_spending" else 0
        level = anytime_level(number, planned, self.error) if self.growing else self.error / _pairs(number - spent)
        which = f"any look beyond the {planned} planned" if spent else "any look, however many there are,"
        return InterimLook(
            number, planned, level, f"a false signal at {which} has a chance of at most {allowed}", resampled=False
        )


def spent_error(planned: int, error: float) -> Floats:
    """Return the error spent up to each look, shape (planned,); the last has spent it all.

    2 - 2 Phi(z / sqrt(t)) with z = Phi^-1(1 - error / 2) and t = look / planned (Lan and DeMets 1983).
    """
    z = _NORMAL.inv_cdf(1 - error / 2)
    return np.array([2 * _NORMAL.cdf(-z / sqrt(look / planned)) for look in range(1, planned + 1)])


@lru_cache(maxsize=64)
def spending_levels(planned: int, error: float, joint: bool, resamples: int) -> tuple[float, ...]:
    """Return the one-sided level of each planned look.

    :param joint: take them from the joint normal distribution of looks with independent increments. Else they are the
        increments of the error spent, which are valid however the looks depend on each other.
    :param resamples: a look whose level they cannot show gets level 0 and leaves its error to the next.
    """
    least, unspent = LEAST_BEYOND / resamples, spent_error(planned, error)
    density, levels = _NOTHING_YET, []
    for look in range(1, planned + 1):
        free = level = float(unspent[look - 1])
        if joint:
            density = _one_more_look(density, planned)
            # Where the tail of what was not stopped before is what may be spent here.
            tails = density[::-1].cumsum()[::-1] * _STEP
            threshold = float(np.interp(free, tails[::-1], _SUMS[::-1] - _STEP / 2))
            level = _NORMAL.cdf(-threshold / sqrt(look / planned))
        if level < least:
            levels.append(0.0)
            continue
        levels.append(level)
        unspent = unspent - free
        if joint:
            density = np.where(threshold <= _SUMS, 0.0, density)
    return tuple(levels)


def anytime_level(number: int, planned: int, error: float) -> float:
    """Return the level at which a normal bound is the lower end of a one-sided asymptotic confidence sequence.

    Waudby-Smith et al., arXiv 2103.06476: estimate - se sqrt(2 (u + 1) / u log(1 + sqrt(u + 1) / (2 error))) with
    u = t rho^2, t the information so far, and rho chosen for the tightest bound at the last planned look.
    """
    most = -2 * log(2 * error)
    u = (most + log(most + 1)) * number / planned
    return _NORMAL.cdf(-sqrt(2 * (u + 1) / u * log(1 + sqrt(u + 1) / (2 * error))))


def _pairs(number: int) -> int:
    # 1 / (n (n + 1)) adds up to 1 over all looks, so levels in this proportion hold without end, whatever the looks'
    # dependence.
    return number * (number + 1)


def _one_more_look(density: Floats, planned: int) -> Floats:
    """Return the density, on ``_SUMS``, of the sum of normal increments with one more, of variance 1 / planned."""
    reach = ceil(6 / sqrt(planned) / _STEP)
    increment = np.arange(-reach, reach + 1) * _STEP
    chances = np.exp(-planned * increment**2 / 2) * sqrt(planned / (2 * np.pi)) * _STEP
    return np.convolve(density, chances, "same")
