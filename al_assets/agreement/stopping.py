"""When the loop ends: each rule a small object that looks at the evidence and says whether it fires, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol

from al_assets.agreement.bootstrap import Interval

CONTINUE = "continue"
GUIDELINE_PROBLEM = "guideline problem"
PARITY = "parity"
BUDGET_SPENT = "budget spent"
PLATEAU = "plateau"
STABLE = "stable"
PRECEDENCE = (GUIDELINE_PROBLEM, PARITY, BUDGET_SPENT, PLATEAU, STABLE)

_NOTHING = Interval(None, None, None, 0, "not measured")


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
    """

    iterations: int
    labels: int
    parity: Interval = _NOTHING
    panel_gain: Interval = _NOTHING
    expert_kappa: Interval = _NOTHING
    population_kappa: Interval = _NOTHING
    stop_set_agreements: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Decision:
    """A rule's answer: the verdict it stands for, whether it fired, and the figures it rests on in words."""

    verdict: str
    fired: bool
    reason: str


class Rule(Protocol):
    """A stopping rule."""

    def decide(self, evidence: Evidence) -> Decision:
        """Say whether the loop should end."""
        ...


@dataclass(frozen=True)
class GuidelineProblem:
    """Fires when the experts agree too little among themselves for more labels to help: fix the guideline first.

    The lower bound alone would fire on any small sample, and labels bought at the boundary are hard by choice: experts
    differ there under the best guideline. So everything here must hold: on all labels the one-sided 95 % lower bound
    and the estimate lie below the minimum, ``min_items`` items have two votes, and the audit does not contradict,
    that is its estimate for the pool, where there is one, lies below the minimum too.
    """

    min_kappa: float = 0.6
    min_items: int = 30

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when expert-expert kappa is below the minimum."""
        kappa, population = evidence.expert_kappa, evidence.population_kappa.estimate
        if kappa.estimate is None or kappa.low is None:
            return Decision(GUIDELINE_PROBLEM, False, f"expert-expert kappa not known: {kappa.reason}")
        found = (
            f"expert-expert kappa {kappa.estimate:.2f} (at least {kappa.low:.2f} with 95 % confidence) on "
            f"{kappa.items} items, {'unknown' if population is None else format(population, '.2f')} in the pool, "
            f"minimum {self.min_kappa:g}"
        )
        if kappa.items < self.min_items:
            return Decision(GUIDELINE_PROBLEM, False, f"{found}; judged from {self.min_items} items on")
        if kappa.estimate >= self.min_kappa or kappa.low >= self.min_kappa:
            return Decision(GUIDELINE_PROBLEM, False, found)
        if population is not None and population >= self.min_kappa:
            return Decision(GUIDELINE_PROBLEM, False, f"{found}: only the chosen items are hard to agree on")
        return Decision(GUIDELINE_PROBLEM, True, f"{found}; the guideline needs work")


@dataclass(frozen=True)
class Parity:
    """Fires when the model agrees with the experts as well as they do with each other, up to a margin.

    A non-inferiority test: the one-sided 95 % lower bound of the difference must lie above -margin.
    """

    margin: float = 0.05

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when the lower bound of model-expert minus expert-expert kappa is above -margin."""
        difference = evidence.parity
        if difference.estimate is None or difference.low is None or difference.high is None:
            return Decision(PARITY, False, f"parity not measured: {difference.reason}")
        found = (
            f"model-expert minus expert-expert kappa {difference.estimate:+.2f}, 95 % lower bound "
            f"{difference.low:+.2f}, margin -{self.margin:g}, {difference.items} items"
        )
        if difference.low > -self.margin:
            return Decision(PARITY, True, found)
        state = "below the experts" if difference.high < -self.margin else "undecided, more evaluation items would tell"
        return Decision(PARITY, False, f"{found}: {state}")


@dataclass(frozen=True)
class Plateau:
    """Fires when kappa on the frozen panel surely gained less than ``min_gain`` over the last ``window`` iterations.

    The one-sided 90 % upper bound of the paired gain must lie below min_gain. Never before ``min_iterations``.
    """

    min_gain: float = 0.03
    window: int = 2
    min_iterations: int = 3

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when the upper bound of the panel gain is below min_gain."""
        if evidence.iterations < self.min_iterations:
            return Decision(PLATEAU, False, f"{evidence.iterations} of at least {self.min_iterations} iterations done")
        gain = evidence.panel_gain
        if gain.estimate is None or gain.low is None or gain.high is None:
            return Decision(PLATEAU, False, f"panel gain not measured: {gain.reason}")
        found = (
            f"panel kappa {gain.estimate:+.2f} over {self.window} iterations, 90 % upper bound {gain.high:+.2f}, "
            f"least gain {self.min_gain:g}, {gain.items} items"
        )
        if gain.high < self.min_gain:
            return Decision(PLATEAU, True, found)
        return Decision(PLATEAU, False, f"{found}: {self._outlook(gain.estimate, gain.low, gain.high, gain.items)}")

    def _outlook(self, estimate: float, low: float, high: float, items: int) -> str:
        if low >= self.min_gain:
            return "still rising"
        if estimate >= self.min_gain:
            return "undecided, probably rising"
        # The bound's distance shrinks with the square root of the items.
        needed = items * ((high - estimate) / (self.min_gain - estimate)) ** 2
        return f"undecided, would take about {needed:.0f} panel items if the gain stays"


@dataclass(frozen=True)
class Stabilised:
    """Fires when successive students label the unlabelled stop set alike (Bloodgood and Vijay-Shanker 2009).

    The mean kappa of the last ``window`` comparisons must be AT OR ABOVE the threshold. If kappa > T the F measure
    moved by at most 4 (1 - T) / T (Bloodgood and Grothendieck 2013). Never before ``min_iterations``.
    """

    threshold: float = 0.99
    window: int = 3
    min_iterations: int = 3

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when predictions no longer change."""
        if evidence.iterations < self.min_iterations:
            return Decision(STABLE, False, f"{evidence.iterations} of at least {self.min_iterations} iterations done")
        recent = [value for value in evidence.stop_set_agreements[-self.window :] if value is not None]
        if len(recent) < self.window:
            return Decision(STABLE, False, f"{len(recent)} of {self.window} latest stop-set comparisons known")
        mean = fmean(recent)
        found = f"successive students agree on the stop set with kappa {mean:.3f} over the last {self.window}"
        return Decision(STABLE, mean >= self.threshold - 1e-12, f"{found}, needed {self.threshold:g}")


@dataclass(frozen=True)
class Budget:
    """Fires when the labels or the iterations that were granted are used up."""

    max_labels: int = 1_000
    max_iterations: int = 8

    def decide(self, evidence: Evidence) -> Decision:
        """Fire at the first of the two limits."""
        found = (
            f"{evidence.labels} of {self.max_labels} labels, "
            f"{evidence.iterations} of {self.max_iterations} iterations used"
        )
        spent = evidence.labels >= self.max_labels or evidence.iterations >= self.max_iterations
        return Decision(BUDGET_SPENT, spent, found)


@dataclass(frozen=True)
class StoppingRules:
    """All rules with the policy's settings; names as in the policy file's section ``stopping``."""

    parity_margin: float = 0.05
    min_gain: float = 0.03
    window: int = 2
    min_iterations: int = 3
    max_iterations: int = 8
    max_labels: int = 1_000
    min_expert_kappa: float = 0.6
    stable_agreement: float = 0.99
    rules: tuple[Rule, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the rule objects."""
        rules: tuple[Rule, ...] = (
            GuidelineProblem(self.min_expert_kappa),
            Parity(self.parity_margin),
            Budget(self.max_labels, self.max_iterations),
            Plateau(self.min_gain, self.window, self.min_iterations),
            Stabilised(self.stable_agreement, min_iterations=self.min_iterations),
        )
        object.__setattr__(self, "rules", rules)

    def decide(self, evidence: Evidence) -> list[Decision]:
        """Return every rule's decision, in order of precedence."""
        return [rule.decide(evidence) for rule in self.rules]


def verdict(decisions: Sequence[Decision]) -> tuple[str, str]:
    """Return the verdict and its reason.

    If several rules fire, the first of these is given: guideline problem (labels of an unclear guideline measure
    nothing), parity (the goal is reached), budget spent (a hard limit), plateau, stable (the weakest evidence).
    """
    fired = sorted((decision for decision in decisions if decision.fired), key=lambda d: PRECEDENCE.index(d.verdict))
    if fired:
        return fired[0].verdict, fired[0].reason
    return CONTINUE, "no stopping rule fired"


def promotion(gain: Interval) -> tuple[bool, str]:
    """Return whether a student becomes the incumbent, and why: it does if it agrees with the experts no less.

    The paired estimate decides, not its significance: with the few dozen evaluation items of early rounds hardly any
    student is significantly worse, so that rule would hand the pool to students that are plainly so. What cannot be
    compared is not promoted.

    :param gain: student minus incumbent mean kappa with the experts, paired, as a 95 % interval.
    """
    if gain.estimate is None:
        return False, f"student and incumbent cannot be compared: {gain.reason}"
    found = f"student minus incumbent kappa {gain.estimate:+.2f} on {gain.items} evaluation items"
    if gain.high is None or gain.low is None:
        return gain.estimate >= 0, f"{found}; {gain.reason}"
    sureness = "better" if gain.low > 0 else "worse" if gain.high < 0 else "not significantly different"
    return gain.estimate >= 0, f"{found}, 95 % interval {gain.low:+.2f} to {gain.high:+.2f}: {sureness}"
