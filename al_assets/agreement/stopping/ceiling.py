"""The ceiling test: whether the model agrees with the experts as well as they do with each other, on the same items."""

from dataclasses import dataclass
from math import ceil

from al_assets.agreement.core.bootstrap import Interval
from al_assets.formatting import decimal

PARITY = "parity"
BELOW = "below"
UNDECIDED = "undecided"
ONE_SIDED_95 = 0.90
"""The two-sided confidence whose ends are one-sided 95 % bounds."""
ON_THE_MARGIN = 1e-9


@dataclass(frozen=True)
class CeilingOutcome:
    """What a difference between model-expert and expert-expert kappa says.

    :param outcome: parity, below or undecided; None if the difference could not be measured.
    :param further_labels: further evaluation items, each with the votes that items have now, after which the test
        would decide if the difference stays; 0 if it has decided; None if it sits on the margin or was not measured.
    """

    outcome: str | None
    further_labels: int | None
    text: str


def judge_ceiling(difference: Interval, margin: float = 0.05) -> CeilingOutcome:
    """Say whether a model has reached the experts: a non-inferiority test with both directions named.

    Parity if the one-sided 95 % lower bound lies above -margin, below if the upper bound lies below -margin, else
    undecided, with the further labels foreseen from half-widths that shrink as 1 / sqrt(items).

    :param difference: model-expert minus expert-expert kappa as a 90 % interval.
    """
    if difference.estimate is None or difference.low is None or difference.high is None:
        return CeilingOutcome(None, None, f"not measured: {difference.reason}")
    measured = (
        f"model-expert minus expert-expert kappa {decimal(difference.estimate, sign=True)}, 95 % lower bound "
        f"{decimal(difference.low, sign=True)}, margin -{margin:g}, {difference.items} items"
    )
    if difference.low > -margin:
        return CeilingOutcome(PARITY, 0, f"{measured}: on a par with the experts")
    if difference.high < -margin:
        return CeilingOutcome(BELOW, 0, f"{measured}: below the experts")
    nearer = difference.low if difference.estimate > -margin else difference.high
    total = items_until(difference.estimate, nearer, -margin, difference.items)
    if total is None:
        return CeilingOutcome(
            UNDECIDED, None, f"{measured}: undecided, and no number of labels would decide while it sits on the margin"
        )
    # The bound may equal the margin, which does not decide yet.
    further = max(total - difference.items, 1)
    likely = PARITY if difference.estimate > -margin else f"{BELOW} the experts"
    return CeilingOutcome(
        UNDECIDED,
        further,
        f"{measured}: undecided; about {further} more evaluation labels would show {likely} if the difference stays",
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
