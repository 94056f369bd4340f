"""From the rules' decisions to the loop's verdict, and whether a student becomes the incumbent."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.evidence import CONTINUE, PRECEDENCE, Decision, Evidence
from al_assets.agreement.stopping.predictions import PredictedChange, Stabilised
from al_assets.agreement.stopping.rules import Budget, GuidelineProblem, Parity, Plateau, Rule


@dataclass(frozen=True)
class StoppingRules:
    """All rules with the policy's settings; names as in the policy file's section ``stopping``."""

    parity_margin: float = 0.05
    min_gain: float = 0.05
    window: int = 3
    min_iterations: int = 3
    max_iterations: int = 8
    max_labels: int = 1_000
    min_expert_kappa: float = 0.6
    stable_agreement: float = 0.97
    predicted_change: float = 0.05
    rules: tuple[Rule, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the rule objects."""
        rules: tuple[Rule, ...] = (
            GuidelineProblem(self.min_expert_kappa),
            Parity(self.parity_margin),
            Budget(self.max_labels, self.max_iterations),
            Plateau(self.min_gain, self.window, self.min_iterations),
            Stabilised(self.stable_agreement, min_iterations=self.min_iterations),
            PredictedChange(self.predicted_change, min_iterations=self.min_iterations),
        )
        object.__setattr__(self, "rules", rules)

    def decide(self, evidence: Evidence) -> list[Decision]:
        """Return every rule's decision, in order of precedence."""
        return [rule.decide(evidence) for rule in self.rules]


def verdict(decisions: Sequence[Decision]) -> tuple[str, str]:
    """Return the verdict and its reason, which names every other rule that fired.

    If several rules fire, the first of these is given: guideline problem (labels of an unclear guideline measure
    nothing), parity (the goal is reached), budget spent (a hard limit), plateau, stable (the weakest evidence).
    Advisory rules never end the loop.
    """
    fired = sorted((decision for decision in decisions if decision.fired), key=lambda d: PRECEDENCE.index(d.verdict))
    ending = [decision for decision in fired if not decision.advisory]
    found, reason = (ending[0].verdict, ending[0].reason) if ending else (CONTINUE, "no stopping rule fired")
    others = [decision for decision in fired if not ending or decision is not ending[0]]
    if others:
        named = ", ".join(f"{each.name} (advice only)" if each.advisory else each.name for each in others)
        reason = f"{reason}; also fired: {named}"
    return found, reason


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
