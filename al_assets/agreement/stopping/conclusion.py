"""What an iteration's report concludes: the loop's verdict, who selects next, and which model to take."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.ceiling import items_until
from al_assets.agreement.stopping.rules import CONTINUE, PRECEDENCE, Decision
from al_assets.formatting import decimal, interval

LLM_0 = "LLM-0"
STUDENT, RECOMMENDED, UNDECIDED = "student", "recommended", "undecided"
NO_RULE_FIRED = "no stopping rule fired"
MIN_RANDOM_ITEMS = 60
"""How many items drawn at random it takes to call one model better in the pool: from 24 of them 12 % of the students
that were no better were called so, from 48 of them 5 %, later 2.8 %, where 2.5 are meant (docs/replication.md)."""


@dataclass(frozen=True)
class Conclusion:
    """What a report concludes, as the columns of the table kappa_report that are the same in every row.

    :param verdict: continue, parity, plateau, stable, budget spent or guideline problem.
    :param promoted: whether the student selects next, as the incumbent.
    :param better: which of student and the model recommended before is surely better in the pool: student,
        recommended, or undecided.
    :param recommended: whom to take: the iteration whose student it is, or LLM-0.
    :param watermark: place in the ledger of the last change the report rests on; None where votes came from no ledger.
    """

    verdict: str
    verdict_reason: str
    promoted: bool
    promotion_reason: str
    better: str
    better_reason: str
    recommended: str
    watermark: int | None = None


def conclude(
    decisions: Sequence[Decision],
    in_pool: Interval,
    alike: Interval,
    over_recommended: Interval,
    *,
    iteration: str,
    recommended: str,
) -> Conclusion:
    """Return what follows from the rules' decisions and from the student's gains.

    :param in_pool: student minus incumbent kappa with the experts in the pool, paired, as a 95 % interval.
    :param alike: the same on the evaluation items, each counting once.
    :param over_recommended: the same in the pool over the model recommended so far, ``recommended``.
    """
    return Conclusion(
        *verdict(decisions), *promotion(in_pool, alike), *better(over_recommended, iteration, recommended)
    )


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
    Advisory rules never end the loop. What a rule remarks without firing follows.
    """
    fired = sorted((decision for decision in decisions if decision.fired), key=lambda d: PRECEDENCE.index(d.verdict))
    ending = [decision for decision in fired if not decision.advisory]
    name, reason = (ending[0].verdict, ending[0].reason) if ending else (CONTINUE, NO_RULE_FIRED)
    others = [decision for decision in fired if not ending or decision is not ending[0]]
    if others:
        named = ", ".join(f"{rule.name} (advice only)" if rule.advisory else rule.name for rule in others)
        reason = f"{reason}; also fired: {named}"
    return name, "; ".join([reason, *(decision.remark for decision in decisions if decision.remark)])


def promotion(in_pool: Interval, alike: Interval) -> tuple[bool, str]:
    """Return whether a student selects next, and why: it does if it agrees with the experts no less in the pool.

    Where no random item tells of the pool, the evaluation items decide, each counting once; most were chosen by rule.
    This is not whether it is better, see ``better``: the paired estimate decides, not its significance. With the few
    dozen random items of early rounds hardly any student is significantly worse, so that rule would hand the pool to
    students that are plainly so. What cannot be compared is not promoted.

    :param in_pool: student minus incumbent kappa with the experts in the pool, paired, as a 95 % interval.
    :param alike: the same on the evaluation items, each counting once.
    """
    gain, where, items = (in_pool, "kappa in the pool", "random items")
    if in_pool.estimate is None:
        gain, where, items = (alike, "kappa", "evaluation items counted alike, no sample of the pool")
    if gain.estimate is None:
        return False, f"student and incumbent cannot be compared: {gain.reason}"
    compared = f"student minus incumbent, {where} {decimal(gain.estimate, sign=True)}, on {gain.items} {items}"
    if gain.high is None or gain.low is None:
        return gain.estimate >= 0, f"{compared}; {gain.reason}"
    sureness = "surely more" if gain.low > 0 else "surely less" if gain.high < 0 else "not told apart"
    ends = interval(gain.low, gain.high, sign=True)
    return gain.estimate >= 0, f"{compared}, 95 % interval {ends}: {sureness}"


def better(gain: Interval, iteration: str, recommended: str) -> tuple[str, str, str]:
    """Return which model is better in the pool, why, and which to take.

    The student is taken if its gain is surely above 0, see ``sign``. Else the model recommended so far stays, better
    or not told apart: it was sure once.

    :param gain: student minus recommended model, kappa with the experts in the pool, paired, as a 95 % interval.
    :param recommended: ``LLM_0`` or the iteration whose student has been recommended so far.
    """
    other = name_of(recommended)
    if gain.estimate is None or gain.low is None or gain.high is None:
        return UNDECIDED, f"student and {other} cannot be compared in the pool: {gain.reason}", recommended
    ends = interval(gain.low, gain.high, sign=True)
    compared = (
        f"student minus {other}, kappa in the pool {decimal(gain.estimate, sign=True)}, 95 % interval {ends}, "
        f"{gain.items} random items"
    )
    if gain.items < MIN_RANDOM_ITEMS:
        return UNDECIDED, f"{compared}: too few to tell, it takes at least {MIN_RANDOM_ITEMS}", recommended
    if sign(gain) > 0:
        return STUDENT, f"{compared}: the student is better", iteration
    if sign(gain) < 0:
        return RECOMMENDED, f"{compared}: the student is worse", recommended
    total = items_until(gain.estimate, gain.low if gain.estimate > 0 else gain.high, 0.0, gain.items)
    outlook = "" if total is None else f"; about {max(total - gain.items, 1)} more random items would tell"
    return UNDECIDED, f"{compared}: not told apart{outlook}", recommended


def sign(gain: Interval) -> int:
    """Return 1 if a model's gain in the pool is surely above 0, -1 if surely below, else 0.

    Surely: its 95 % interval leaves 0 out, and rests on at least ``MIN_RANDOM_ITEMS`` random items.
    """
    if gain.low is None or gain.high is None or gain.items < MIN_RANDOM_ITEMS:
        return 0
    return int(gain.low > 0) - int(gain.high < 0)


def name_of(recommended: str) -> str:
    """Return what a recommended model is called in a sentence."""
    return LLM_0 if recommended == LLM_0 else f"the student of {recommended}"
