"""Dividing a budget of items by shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_assets.curation.checks import CurationError, check_at_least, check_share

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Budget:
    """How many items a round asks for, by share."""

    boundary: int
    audit: int
    control: int


def divide_budget(budget: int, shares: tuple[float, float, float]) -> Budget:
    """Divide a round's budget.

    :param budget: items, at least 0.
    :param shares: boundary, audit, control; they add up to 1.
    :raises CurationError: a share is out of range, or they do not add up.
    """
    check_shares(("boundary", "audit", "control"), shares)
    return Budget(*largest_remainder(budget, shares))


def check_shares(names: Sequence[str], shares: Sequence[float]) -> None:
    """Do nothing if these are shares that add up to 1.

    :raises CurationError: one is out of range, or they do not add up.
    """
    for name, share in zip(names, shares, strict=True):
        check_share(f"shares.{name}", share)
    if abs(sum(shares) - 1) > _SUM_TOLERANCE:
        raise CurationError(f"shares: {' + '.join(names)} is {sum(shares):g}; they must add up to 1")


def largest_remainder(budget: int, shares: Sequence[float]) -> list[int]:
    """Return whole items for each share, adding up to the budget; of equal remainders the first is rounded up first.

    :param shares: adding up to 1.
    :raises CurationError: the budget is below 0.
    """
    check_at_least("budget", budget, 0)
    # Rounded, because .6 of 10 is a hair below 6 in binary.
    exact = np.round(np.array(shares) / sum(shares) * budget, 9)
    counts = np.floor(exact).astype(np.int64)
    most_left_over = np.argsort(counts - exact, kind="stable")
    counts[most_left_over[: budget - int(counts.sum())]] += 1
    return [int(count) for count in counts]
