"""What an iteration's report concludes: the loop's verdict, and whether the student becomes the incumbent."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.rules import CONTINUE, PRECEDENCE, Decision
from al_assets.formatting import decimal, interval

NO_RULE_FIRED = "no stopping rule fired"


@dataclass(frozen=True)
class Conclusion:
    """What a report concludes, as the columns of the table kappa_report that are the same in every row.

    :param verdict: continue, parity, plateau, stable, budget spent or guideline problem.
    :param promoted: whether the student becomes the incumbent.
    :param watermark: place in the ledger of the last change the report rests on; None where votes came from no ledger.
    """

    verdict: str
    verdict_reason: str
    promoted: bool
    promotion_reason: str
    watermark: int | None = None


def conclude(decisions: Sequence[Decision], gain: Interval) -> Conclusion:
    """Return what follows from the rules' decisions and from the student's gain over the incumbent.

    :param gain: student minus incumbent kappa with the experts, paired, as a 95 % interval.
    """
    return Conclusion(*verdict(decisions), *promotion(gain))


def conclusion_of(report: pl.DataFrame) -> Conclusion:
    """Return what a stored report concludes.

    :param report: a frame of the table kappa_report.
    :raises ValueError: it has no rows, or lacks the columns.
    """
    names = list(Conclusion.__dataclass_fields__)
    missing = [name for name in names if name not in report.columns]
    if missing or not report.height:
        lacks = f"no column {', '.join(missing)}" if missing else "no row"
        raise ValueError(f"report: {lacks}; expected a frame of the table kappa_report; make the report again")
    return Conclusion(**report.select(names).row(0, named=True))


def verdict(decisions: Sequence[Decision]) -> tuple[str, str]:
    """Return the verdict and its reason, which names every other rule that fired.

    If several rules fire, the first of these is given: guideline problem (labels of an unclear guideline measure
    nothing), parity (the goal is reached), budget spent (a hard limit), plateau, stable (the weakest evidence).
    Advisory rules never end the loop.
    """
    fired = sorted((decision for decision in decisions if decision.fired), key=lambda d: PRECEDENCE.index(d.verdict))
    ending = [decision for decision in fired if not decision.advisory]
    name, reason = (ending[0].verdict, ending[0].reason) if ending else (CONTINUE, NO_RULE_FIRED)
    others = [decision for decision in fired if not ending or decision is not ending[0]]
    if others:
        named = ", ".join(f"{rule.name} (advice only)" if rule.advisory else rule.name for rule in others)
        reason = f"{reason}; also fired: {named}"
    return name, reason


def promotion(gain: Interval) -> tuple[bool, str]:
    """Return whether a student becomes the incumbent, and why: it does if it agrees with the experts no less.

    The paired estimate decides, not its significance: with the few dozen evaluation items of early rounds hardly any
    student is significantly worse, so that rule would hand the pool to students that are plainly so. What cannot be
    compared is not promoted.

    :param gain: student minus incumbent kappa with the experts, paired, as a 95 % interval.
    """
    if gain.estimate is None:
        return False, f"student and incumbent cannot be compared: {gain.reason}"
    compared = f"student minus incumbent kappa {decimal(gain.estimate, sign=True)} on {gain.items} evaluation items"
    if gain.high is None or gain.low is None:
        return gain.estimate >= 0, f"{compared}; {gain.reason}"
    sureness = "better" if gain.low > 0 else "worse" if gain.high < 0 else "not significantly different"
    ends = interval(gain.low, gain.high, sign=True)
    return gain.estimate >= 0, f"{compared}, 95 % interval {ends}: {sureness}"
