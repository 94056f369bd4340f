"""The ceiling test: whether the model agrees with the experts as well as they do with each other, on the same items."""

from dataclasses import dataclass
from math import ceil

from al_assets.agreement.core.bootstrap import Interval
from al_assets.formatting import decimal, percent

PARITY = "parity"
BELOW = "below"
UNDECIDED = "undecided"
ON_THE_MARGIN = 1e-9
PLACES = {
    "boundary": ("boundary", "at the boundary", "boundary items"),
    "audit": ("pool", "in the pool", "audit items"),
}
"""What a scope of the test stands for, where that is, and the items that it takes more of."""


@dataclass(frozen=True)
class CeilingOutcome:
    """What a difference between model-expert and expert-expert kappa says.

    :param outcome: parity, below or undecided; None if the difference could not be measured.
    :param further_labels: further items, each with the votes that items have now, after which the test would decide if
        the difference stays; 0 if it has decided; None if it sits on the margin or was not measured.
    :param items: that the difference rests on.
    :param standing: the outcome and what would decide in words; ``text`` has the figures too.
    """

    outcome: str | None
    further_labels: int | None
    items: int
    standing: str
    text: str


def judge_ceiling(
    difference: Interval, margin: float = 0.05, level: float = 0.05, counted: str = "evaluation items"
) -> CeilingOutcome:
    """Say whether a model has reached the experts: a non-inferiority test with both directions named.

    Parity if the lower bound lies above -margin, below if the upper bound lies below -margin, else undecided, with the
    further items foreseen from half-widths that shrink as 1 / sqrt(items).

    :param difference: model-expert minus expert-expert kappa; each end is a one-sided bound at 1 - ``level``.
    :param counted: what the items are called.
    """
    outcome, further, standing = _outcome(difference, margin, counted)
    if outcome is None or difference.low is None:
        return CeilingOutcome(outcome, further, difference.items, standing, standing)
    measured = (
        f"model-expert minus expert-expert kappa {decimal(difference.estimate, sign=True)}, {percent(1 - level, 1)} "
        f"lower bound {decimal(difference.low, sign=True)}, margin -{margin:g}, {difference.items} {counted}"
    )
    return CeilingOutcome(outcome, further, difference.items, standing, f"{measured}: {standing}")


def _outcome(difference: Interval, margin: float, counted: str) -> tuple[str | None, int | None, str]:
    if difference.estimate is None or difference.low is None or difference.high is None:
        return None, None, f"not measured: {difference.reason}"
    if difference.low > -margin:
        return PARITY, 0, "on a par with the experts"
    if difference.high < -margin:
        return BELOW, 0, f"{BELOW} the experts"
    nearer = difference.low if difference.estimate > -margin else difference.high
    total = items_until(difference.estimate, nearer, -margin, difference.items)
    if total is None:
        return UNDECIDED, None, f"undecided: no number of {counted} would decide while it sits on the margin"
    # The bound may equal the margin, which does not decide yet.
    further = max(total - difference.items, 1)
    likely = "" if difference.estimate > -margin else f", as {BELOW} the experts"
    return (
        UNDECIDED,
        further,
        f"undecided: about {further} more {counted} would decide{likely}, if the difference stays",
    )


def items_until(estimate: float, bound: float, target: float, items: int) -> int | None:
    """Return how many items it takes, in all, until a bound reaches a target, if the estimate stays where it is.

    A bound's distance from its estimate shrinks with the square root of the items:
    items * ((bound - estimate) / (target - estimate))^2, rounded up.

    :param bound: the end of the interval on the target's side, from ``items`` items.
    :return: None if the estimate sits on the target, so no number of items would do.
    """
    if abs(target - estimate) < ON_THE_MARGIN:
        return None
    # Rounded first, because a distance that is exactly twice another is not so in binary.
    return ceil(round(items * ((bound - estimate) / (target - estimate)) ** 2, 6))
