"""When the loop ends: each rule looks at the evidence and says whether it fires, and why; and their settings."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from statistics import fmean
from typing import Protocol

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.stopping.ceiling import PLACES, CeilingOutcome, items_until, judge_ceiling
from al_assets.agreement.stopping.looks import NOT_MEASURED, Bounds, InterimLook, Looks, Way, not_measured
from al_assets.formatting import decimal, percent

CONTINUE = "continue"
GUIDELINE_PROBLEM = "guideline problem"
PARITY = "parity"
BUDGET_SPENT = "budget spent"
PLATEAU = "plateau"
STABLE = "stable"
PRECEDENCE = (GUIDELINE_PROBLEM, PARITY, BUDGET_SPENT, PLATEAU, STABLE)
PARITY_ERROR = 0.05
PLATEAU_ERROR = 0.10


@dataclass(frozen=True)
class Evidence:
    """What the rules look at, after an iteration's labels were learned.

    :param iterations: iterations finished, this one included.
    :param labels: labels bought so far, over all iterations.
    :param boundary_parity: model-expert kappa minus expert-expert kappa on the same held-out items that were chosen by
        rule; None where nothing was chosen by rule.
    :param population_parity: the same for the pool as a whole, estimated from random items.
    :param panel_gain: kappa of this student minus that of the student ``window`` iterations before, paired, on the
        panel.
    :param expert_kappa: expert-expert kappa on everything labelled so far, as a 90 % interval.
    :param population_kappa: the same for the pool as a whole, estimated from the audits.
    :param stop_set_agreements: kappa between each student and the one before it on the unlabelled stop set, oldest
        first; None where it could not be measured.
    :param stop_set_changes: ``predicted_f_change`` between the same students, likewise.
    """

    iterations: int
    labels: int
    boundary_parity: Bounds | None = not_measured
    population_parity: Bounds = not_measured
    panel_gain: Bounds = not_measured
    expert_kappa: Interval = NOT_MEASURED
    population_kappa: Interval = NOT_MEASURED
    stop_set_agreements: tuple[float | None, ...] = ()
    stop_set_changes: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Decision:
    """A rule's answer: the verdict it stands for, whether it fired, and the figures it rests on in words.

    :param rule: the rule's name where several rules stand for one verdict; empty means the verdict's name.
    :param advisory: supporting evidence only; it is reported but never ends the loop.
    :param remark: what the loop's verdict has to say although the rule has not fired; empty for nothing.
    """

    verdict: str
    fired: bool
    reason: str
    rule: str = ""
    advisory: bool = False
    remark: str = ""

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule or self.verdict


class Rule(Protocol):
    """A stopping rule."""

    def decide(self, evidence: Evidence) -> Decision:
        """Say whether the loop should end."""
        ...


@dataclass(frozen=True)
class GuidelineProblem:
    """Fires when the experts surely agree too little among themselves: more labels do not help, a new guideline does.

    On all labels the one-sided 95 % upper bound lies below the minimum, ``min_items`` items have two votes, and the
    audit does not contradict: labels bought at the boundary are hard by choice, so the estimate for the pool, where
    there is one, must lie below the minimum too. A lower bound below the minimum would not do, as any small sample
    has one, nor would the estimate, which stops too many loops with good guidelines (docs/stopping.md).
    """

    min_kappa: float = 0.6
    min_items: int = 30

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when the upper bound of expert-expert kappa is below the minimum."""
        kappa, population = evidence.expert_kappa, evidence.population_kappa.estimate
        if kappa.estimate is None or kappa.low is None or kappa.high is None:
            return Decision(GUIDELINE_PROBLEM, False, f"expert-expert kappa not known: {kappa.reason}")
        measured = (
            f"expert-expert kappa {decimal(kappa.estimate)} (at least {decimal(kappa.low)}, at most "
            f"{decimal(kappa.high)}, each with 95 % confidence) on {kappa.items} items, "
            f"{decimal(population, missing='unknown')} in the pool, minimum {self.min_kappa:g}"
        )
        if kappa.items < self.min_items:
            return Decision(GUIDELINE_PROBLEM, False, f"{measured}; judged from {self.min_items} items on")
        if kappa.high >= self.min_kappa:
            state = "undecided" if kappa.estimate < self.min_kappa else "good enough"
            return Decision(GUIDELINE_PROBLEM, False, f"{measured}: {state}")
        if population is not None and population >= self.min_kappa:
            return Decision(GUIDELINE_PROBLEM, False, f"{measured}: only the chosen items are hard to agree on")
        return Decision(GUIDELINE_PROBLEM, True, f"{measured}; the guideline needs work")


@dataclass(frozen=True)
class BudgetSpent:
    """Fires when the labels or the iterations that were granted are used up."""

    max_labels: int = 1_000
    max_iterations: int = 8

    def decide(self, evidence: Evidence) -> Decision:
        """Fire at the first of the two limits."""
        measured = (
            f"{evidence.labels} of {self.max_labels} labels, "
            f"{evidence.iterations} of {self.max_iterations} iterations used"
        )
        spent = evidence.labels >= self.max_labels or evidence.iterations >= self.max_iterations
        return Decision(BUDGET_SPENT, spent, measured)

    def iterations_granted(self, evidence: Evidence) -> int:
        """Return how many iterations the budget is enough for, at the labels that an iteration has taken so far."""
        return min(self.max_iterations, ceil(self.max_labels * evidence.iterations / max(evidence.labels, 1)))


@dataclass(frozen=True)
class Parity:
    """Fires when the model agrees with the experts as well as they do with each other, up to a margin.

    The ceiling test, at the boundary and in the pool: the lower bounds of both differences must lie above -margin, as
    sure as the look has to be. The pool decides alone where nothing was chosen by rule.

    :param budget: it says how many looks there will be.
    """

    margin: float = 0.05
    looks: Looks = Looks(error=PARITY_ERROR)
    budget: BudgetSpent = BudgetSpent()

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when both lower bounds of model-expert minus expert-expert kappa are above -margin."""
        look, tests = self._look(evidence, evidence.iterations), self.ceilings(evidence)
        alone = "" if len(tests) > 1 else "nothing was chosen by rule, so the pool alone decides; "
        measured = "; ".join(f"{PLACES[scope][0]}: {test.text}" for scope, test in tests.items())
        reached = [scope for scope, test in tests.items() if test.outcome == PARITY]
        fired = len(reached) == len(tests) and not look.too_early
        remark = ""
        if reached and not fired and not look.too_early:
            (other,) = tests.keys() - reached
            remark = f"parity {PLACES[reached[0]][1]}, {PLACES[other][0]} {tests[other].standing}"
        return Decision(PARITY, fired, f"{alone}{measured}; {look.words}", remark=remark)

    def ceilings(self, evidence: Evidence) -> dict[str, CeilingOutcome]:
        """Return the ceiling test of each scope, at this look's level; at the last look's while it is too early.

        :return: scope boundary, unless nothing was chosen by rule, and scope audit.
        """
        look = self._look(evidence, evidence.iterations)
        look = self._look(evidence, look.planned) if look.too_early else look
        places = {"boundary": evidence.boundary_parity, "audit": evidence.population_parity}
        return {
            scope: judge_ceiling(look.interval(bounds), self.margin, look.level, PLACES[scope][2])
            for scope, bounds in places.items()
            if bounds is not None
        }

    def _look(self, evidence: Evidence, number: int) -> InterimLook:
        # Two tests that must both pass leave room for looks that depend on each other less than assumed; one does not.
        looks = self.looks if evidence.boundary_parity is not None else replace(self.looks, independent=False)
        return looks.look(number, self.budget.iterations_granted(evidence))


@dataclass(frozen=True)
class Plateau:
    """Fires when kappa on the frozen panel surely gained less than ``min_gain`` over the last ``window`` iterations.

    The upper bound of the paired gain must lie below min_gain, as sure as the look has to be. Never before
    ``min_iterations``; looks count from the first iteration at which it can fire.
    """

    min_gain: float = 0.05
    window: int = 3
    min_iterations: int = 3
    looks: Looks = Looks(error=PLATEAU_ERROR, growing=False)
    budget: BudgetSpent = BudgetSpent()

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when the upper bound of the panel gain is below min_gain."""
        waited = max(self.min_iterations, self.window + 1) - 1
        if evidence.iterations <= waited:
            return Decision(PLATEAU, False, f"{evidence.iterations} of at least {waited + 1} iterations done")
        planned = max(1, self.budget.iterations_granted(evidence) - waited)
        look = self.looks.look(evidence.iterations - waited, planned)
        gain = look.interval(evidence.panel_gain)
        if gain.estimate is None:
            return Decision(PLATEAU, False, f"panel gain not measured: {gain.reason}")
        measured = f"panel kappa {decimal(gain.estimate, sign=True)} over {self.window} iterations"
        if gain.low is None or gain.high is None:
            return Decision(PLATEAU, False, f"{measured}; {gain.reason}")
        bound = f"{percent(1 - look.level, 1)} upper bound {decimal(gain.high, sign=True)}"
        measured = f"{measured}, {bound}, least gain {self.min_gain:g}, {gain.items} items"
        fired = gain.high < self.min_gain
        outlook = "" if fired else f": {self._outlook(gain.estimate, gain.low, gain.high, gain.items)}"
        return Decision(PLATEAU, fired, f"{measured}{outlook}; {look.words}")

    def _outlook(self, estimate: float, low: float, high: float, items: int) -> str:
        if low >= self.min_gain:
            return "still rising"
        needed = None if estimate >= self.min_gain else items_until(estimate, high, self.min_gain, items)
        if needed is None:
            return "undecided, probably rising"
        return f"undecided, would take about {needed} panel items if the gain stays"


@dataclass(frozen=True)
class Stabilised:
    """Fires when successive students label the unlabelled stop set alike (Bloodgood and Vijay-Shanker 2009).

    The mean kappa of the last ``window`` comparisons must be AT OR ABOVE the threshold. Never before
    ``min_iterations``. See ``f_change_bound`` for what a threshold promises.
    """

    threshold: float = 0.97
    window: int = 3
    min_iterations: int = 3

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when predictions no longer change."""
        recent, waiting = _latest(evidence.stop_set_agreements, evidence, self.window, self.min_iterations)
        if waiting:
            return Decision(STABLE, False, waiting)
        mean = fmean(recent)
        fired = mean >= self.threshold - 1e-12
        measured = (
            f"successive students agree on the stop set with kappa {decimal(mean, 3)} over the last {self.window}"
        )
        bound = f_change_bound(min(recent))
        # Above 1 the bound says nothing, as an F measure cannot change by more.
        meaning = f": F changed by at most {decimal(bound, 3)} an iteration" if bound is not None and bound < 1 else ""
        return Decision(STABLE, fired, f"{measured}, needed {self.threshold:g}{meaning}")


@dataclass(frozen=True)
class PredictedChange:
    """Fires when the predicted change of F between successive students is small (Altschuler and Bloodgood 2019).

    The mean of the last ``window`` predicted changes must be BELOW the threshold. Supporting evidence only unless
    ``advisory`` is False: stopping.md shows how early it fires.
    """

    threshold: float = 0.05
    window: int = 3
    min_iterations: int = 3
    advisory: bool = True

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when F is predicted to change little."""
        recent, waiting = _latest(evidence.stop_set_changes, evidence, self.window, self.min_iterations)
        if waiting:
            return Decision(STABLE, False, waiting, "predicted change", self.advisory)
        mean = fmean(recent)
        measured = (
            f"predicted change of F between successive students {decimal(mean, 3)} over the last {self.window}, "
            f"needed below {self.threshold:g}"
        )
        return Decision(STABLE, mean < self.threshold, measured, "predicted change", self.advisory)


def f_change_bound(agreement: float) -> float | None:
    """Return by how much F can differ between two models that agree with kappa ``agreement`` on the whole population.

    4 (1 - T) / T (Bloodgood and Grothendieck 2013). Kappa measured on a sample of the population adds its own error.

    :return: None where agreement is not above 0, as there the bound does not hold.
    """
    return 4 * (1 - agreement) / agreement if agreement > 0 else None


def _latest(
    values: tuple[float | None, ...], evidence: Evidence, window: int, min_iterations: int
) -> tuple[list[float], str]:
    if evidence.iterations < min_iterations:
        return [], f"{evidence.iterations} of at least {min_iterations} iterations done"
    known = [value for value in values[-window:] if value is not None]
    return known, "" if len(known) == window else f"{len(known)} of {window} latest stop-set comparisons known"


@dataclass(frozen=True)
class StoppingRules:
    """All rules with the policy's settings; names as in the policy file's section ``stopping``.

    :param looks: how parity and plateau stay sure while they look every iteration, see ``Looks``.
    :param resamples: behind the bounds they read.
    """

    parity_margin: float = 0.05
    min_gain: float = 0.05
    window: int = 3
    min_iterations: int = 3
    max_iterations: int = 8
    max_labels: int = 1_000
    min_expert_kappa: float = 0.6
    stable_agreement: float = 0.97
    predicted_change: float = 0.05
    looks: Way = "alpha_spending"
    resamples: int = 2_000

    @cached_property
    def budget(self) -> BudgetSpent:
        """The rule of the budget, which says how often the others will look."""
        return BudgetSpent(self.max_labels, self.max_iterations)

    @cached_property
    def parity(self) -> Parity:
        """The rule of parity, whose ceiling tests the report shows."""
        return Parity(self.parity_margin, Looks(self.looks, PARITY_ERROR, resamples=self.resamples), self.budget)

    @cached_property
    def plateau(self) -> Plateau:
        """The rule of the plateau."""
        looks = Looks(self.looks, PLATEAU_ERROR, growing=False, resamples=self.resamples)
        return Plateau(self.min_gain, self.window, self.min_iterations, looks, self.budget)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, in order of precedence."""
        return (
            GuidelineProblem(self.min_expert_kappa),
            self.parity,
            self.budget,
            self.plateau,
            Stabilised(self.stable_agreement, min_iterations=self.min_iterations),
            PredictedChange(self.predicted_change, min_iterations=self.min_iterations),
        )

    def decide(self, evidence: Evidence) -> list[Decision]:
        """Return every rule's decision, in order of precedence."""
        return [rule.decide(evidence) for rule in self.rules]
