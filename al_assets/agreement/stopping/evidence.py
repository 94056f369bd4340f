"""What the stopping rules look at, and what they answer."""

from dataclasses import dataclass

from al_assets.agreement.core.bootstrap import Interval

CONTINUE = "continue"
GUIDELINE_PROBLEM = "guideline problem"
PARITY = "parity"
BUDGET_SPENT = "budget spent"
PLATEAU = "plateau"
STABLE = "stable"
PRECEDENCE = (GUIDELINE_PROBLEM, PARITY, BUDGET_SPENT, PLATEAU, STABLE)

NOT_MEASURED = Interval(None, None, None, 0, "not measured")


@dataclass(frozen=True)
class Evidence:
    """What the rules look at, after an iteration's labels were learned.

    :param iterations: iterations finished, this one included.
    :param labels: labels bought so far, over all iterations.
    :param parity: mean model-expert kappa minus mean expert-expert kappa on the same evaluation items, as a 90 %
        interval: its low end is the one-sided 95 % lower bound.
    :param panel_gain: kappa of this student minus that of the student ``window`` iterations before, paired, on the
        panel, as an 80 % interval: its high end is the one-sided 90 % upper bound.
    :param expert_kappa: mean expert-expert kappa on everything labelled so far, as a 90 % interval.
    :param population_kappa: the same for the pool as a whole, estimated from the audits.
    :param stop_set_agreements: kappa between each student and the one before it on the unlabelled stop set, oldest
        first; None where it could not be measured.
    :param stop_set_changes: ``predicted_f_change`` between the same students, likewise.
    """

    iterations: int
    labels: int
    parity: Interval = NOT_MEASURED
    panel_gain: Interval = NOT_MEASURED
    expert_kappa: Interval = NOT_MEASURED
    population_kappa: Interval = NOT_MEASURED
    stop_set_agreements: tuple[float | None, ...] = ()
    stop_set_changes: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Decision:
    """A rule's answer: the verdict it stands for, whether it fired, and the figures it rests on in words.

    :param rule: the rule's name where several rules stand for one verdict; empty means the verdict's name.
    :param advisory: supporting evidence only; it is reported but never ends the loop.
    """

    verdict: str
    fired: bool
    reason: str
    rule: str = ""
    advisory: bool = False

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule or self.verdict
