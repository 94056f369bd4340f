"""How often each stopping rule stops right, early, late or never, on simulated loops whose truth is known."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.stopping.conclusion import verdict
from al_assets.agreement.stopping.looks import Way
from al_assets.agreement.stopping.rules import (
    GUIDELINE_PROBLEM,
    Decision,
    Evidence,
    GuidelineProblem,
    PredictedChange,
    Rule,
    Stabilised,
    StoppingRules,
)
from benchmarks.statistics.simulated_loop import (
    LoopSize,
    Scenario,
    between_kinds,
    loop_evidence,
    simulated_loops,
)

ITERATIONS = 8
WORTH = 0.05
GRACE = 1
_OTHERS: tuple[Way, ...] = ("each", "anytime")
_WORDS: dict[Way, str] = {"alpha_spending": "alpha spending", "anytime": "anytime-valid", "each": "each look alone"}


def curve(*start: float, rise: float = 0.0) -> tuple[float, ...]:
    """Continue a learning curve to half as many iterations again as a loop has."""
    return (*start, *(start[-1] + rise * (step + 1) for step in range(12 - len(start))))


# All raters know an item's kind, so kappa on the panel rises by less than within the kinds.
_ON_THE_PANEL = 1 - between_kinds(LoopSize())
SCENARIOS = (
    Scenario("rising", curve(0.20, rise=0.045 / _ON_THE_PANEL)),
    Scenario("rising slowly", curve(0.20, rise=0.03 / _ON_THE_PANEL)),
    Scenario("rising, steady", curve(0.20, rise=0.045 / _ON_THE_PANEL), churn=0.002),
    Scenario("flat", curve(0.45)),
    Scenario("rising, then flat", curve(0.30, 0.42, 0.52, 0.58, 0.60)),
    Scenario("parity reached", curve(0.45, 0.62, 0.73, 0.78, 0.80)),
    Scenario("noisy experts", curve(0.30, 0.38, 0.45, 0.50, 0.52), expert_kappa=0.61),
    Scenario("bad guideline", curve(0.20, 0.24, 0.26), expert_kappa=0.37),
    Scenario("settled", curve(0.45, 0.60), churn=0.002),
)


@dataclass(frozen=True)
class Variant:
    """A rule with its settings, and the first iteration at which a scenario makes it right to stop."""

    name: str
    rule: Rule
    due: Callable[[Scenario], int | None]
    window: int = 2


@dataclass(frozen=True)
class GuidelineByEstimate:
    """What ``GuidelineProblem`` would be if the estimate decided instead of its upper bound, for comparison."""

    min_kappa: float

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when the estimates on all labels and for the pool are below the minimum."""
        known = (evidence.expert_kappa.estimate, evidence.population_kappa.estimate)
        fired = known[0] is not None and all(value is None or value < self.min_kappa for value in known)
        return Decision(GUIDELINE_PROBLEM, fired, f"estimates {known[0]} and {known[1]}")


@dataclass(frozen=True)
class RuleOutcome:
    """How often a rule did what in one scenario, as shares of the replicates that add up to 1.

    :param due: iteration (from 1) at which stopping becomes right; None if the rule should keep silent.
    :param right: fired at ``due`` or one iteration later, or kept silent where it should.
    :param early: fired before ``due``, or where it never should.
    :param never: should have fired, but did not in the iterations that a loop has.
    :param median_fired: median iteration (from 1) among those that fired; None if none did.
    """

    scenario: str
    rule: str
    due: int | None
    right: float
    early: float
    late: float
    never: float
    median_fired: float | None


@dataclass(frozen=True)
class LoopEnding:
    """How the loops of a scenario end under ``StoppingRules()``: share by verdict, and the mean iteration."""

    scenario: str
    verdicts: dict[str, float]
    mean_iterations: float


@dataclass(frozen=True)
class StoppingBench:
    """The simulation's outcome and everything it was run with.

    :param settings: the rules' settings under which the loops ended.
    :param gain_half_width: by scenario, mean half-width of the panel gain's 80 % interval; None if none was measured.
    :param stop_set_kappa: by scenario, mean kappa of the last student with the one before it on the stop set.
    """

    outcomes: tuple[RuleOutcome, ...]
    endings: tuple[LoopEnding, ...]
    size: LoopSize
    settings: dict[str, float | str]
    panel_items: int
    iterations: int
    replicates: int
    resamples: int
    worth: float
    seed: int
    gain_half_width: dict[str, float | None]
    stop_set_kappa: dict[str, float | None]
    seconds: float


def bench_stopping(
    *,
    replicates: int = 200,
    resamples: int = 1_000,
    size: LoopSize | None = None,
    scenarios: Sequence[Scenario] = SCENARIOS,
    iterations: int = ITERATIONS,
    rules: StoppingRules | None = None,
    seed: int = 0,
) -> StoppingBench:
    """Run simulated loops and count for each rule and scenario how often it stops right, early, late or never.

    The rules and their intervals are those of the kappa report, computed after every iteration on the votes so far.
    Each rule is followed alone to its first firing, and all together with the loop's settings to the loop's verdict.

    :param rules: the settings whose verdicts are counted, and which are among those compared; by default those of
        ``StoppingRules`` with a budget for exactly these iterations.
    :raises ValueError: fewer than 1 replicate, or a scenario shorter than the loop.
    """
    if replicates < 1:
        raise ValueError(f"replicates: {replicates}; expected at least 1")
    short = [scenario.name for scenario in scenarios if len(scenario.model_kappa) <= iterations]
    if short:
        raise ValueError(f"scenarios: {', '.join(short)}: model_kappa must go on beyond {iterations} iterations")
    started, size = time.perf_counter(), size or LoopSize()
    rules = rules or StoppingRules(max_iterations=iterations, max_labels=size.budget * iterations, resamples=resamples)
    variants = rule_variants(rules)
    windows = tuple(sorted({variant.window for variant in variants}))
    outcomes: list[RuleOutcome] = []
    endings: list[LoopEnding] = []
    widths, stability = {}, {}
    for scenario in scenarios:
        loops = [
            loop_evidence(loop, size, windows=windows, resamples=resamples, seed=place)
            for place, loop in enumerate(simulated_loops(scenario, size, iterations, replicates, seed))
        ]
        for variant in variants:
            due = variant.due(scenario)
            fired = np.array([first_firing(variant.rule, evidence[variant.window]) for evidence in loops])
            within = due if due is not None and due < iterations else None
            outcomes.append(outcome(scenario.name, variant.name, within, fired))
        seen = [evidence[rules.window] for evidence in loops]
        endings.append(_ending(scenario.name, rules, seen, iterations))
        widths[scenario.name], stability[scenario.name] = _mean_half_width(seen), _last_agreement(seen)
    return StoppingBench(
        outcomes=tuple(outcomes),
        endings=tuple(endings),
        size=size,
        settings=asdict(rules),
        panel_items=sum(size.evaluation_per_round) * size.panel_rounds,
        iterations=iterations,
        replicates=replicates,
        resamples=resamples,
        worth=WORTH,
        seed=seed,
        gain_half_width=widths,
        stop_set_kappa=stability,
        seconds=time.perf_counter() - started,
    )


def rule_variants(rules: StoppingRules) -> tuple[Variant, ...]:
    """Return the settings to compare, those of ``rules`` among them."""
    least, minimum = rules.min_iterations, rules.min_expert_kappa

    def doubted(scenario: Scenario) -> int | None:
        return guideline_due(scenario, minimum)

    def learned(scenario: Scenario) -> int | None:
        return plateau_due(scenario, least)

    def looking(way: Way) -> StoppingRules:
        return replace(rules, looks=way)

    margins = sorted({rules.parity_margin, 0.05, 0.10})
    gains = sorted({(rules.min_gain, rules.window), (0.05, 3), (0.10, 3)})
    levels = sorted({rules.stable_agreement, 0.99, 0.97, 0.95}, reverse=True)
    changes = sorted({rules.predicted_change, 0.05, 0.10})
    return (
        Variant(f"guideline problem, kappa {minimum:g}", GuidelineProblem(minimum), doubted),
        Variant(f"guideline problem by the estimate, kappa {minimum:g}", GuidelineByEstimate(minimum), doubted),
        *(Variant(f"parity, margin {margin:g}", replace(rules, parity_margin=margin).parity, parity_due(margin))
          for margin in margins),
        *(Variant(f"plateau, gain {gain:g}, window {window}",
                  replace(rules, min_gain=gain, window=window).plateau, learned, window) for gain, window in gains),
        *(Variant(f"plateau, {_WORDS[way]}", looking(way).plateau, learned, rules.window) for way in _OTHERS),
        *(Variant(f"stable, kappa {level:g}", Stabilised(level, min_iterations=least), learned) for level in levels),
        *(Variant(f"predicted change, {change:g}", PredictedChange(change, min_iterations=least), learned)
          for change in changes),
    )  # fmt: skip


def guideline_due(scenario: Scenario, min_kappa: float) -> int | None:
    """Return 0 if the experts truly agree less than the minimum, else None."""
    return 0 if scenario.expert_kappa < min_kappa else None


def plateau_due(scenario: Scenario, min_iterations: int, worth: float = WORTH) -> int | None:
    """Return the first iteration (from 0) after which the loop would gain less than ``worth`` for ever; None if none.

    A scenario goes on beyond what a loop runs; its last value alone is no plateau.
    """
    kappas = scenario.model_kappa
    for place in range(min_iterations - 1, ITERATIONS):
        if max(kappas[place + 1 :], default=np.inf) - kappas[place] < worth:
            return place
    return None


def first_firing(rule: Rule, evidence: Sequence[Evidence]) -> int:
    """Return the first iteration (from 0) at which a rule fires, -1 if it never does."""
    return next((place for place, seen in enumerate(evidence) if rule.decide(seen).fired), -1)


def outcome(scenario: str, rule: str, due: int | None, fired: NDArray[np.int64]) -> RuleOutcome:
    """Return how often a rule that fired at these iterations (from 0, -1 never) was right, early, late or silent."""
    silent = fired < 0
    if due is None:
        right, early, late, never = silent, ~silent, np.zeros_like(silent), np.zeros_like(silent)
    else:
        early = ~silent & (fired < due)
        right = ~silent & (fired >= due) & (fired <= due + GRACE)
        late, never = fired > due + GRACE, silent
    median = None if silent.all() else float(np.median(fired[~silent])) + 1
    return RuleOutcome(
        scenario,
        rule,
        None if due is None else due + 1,
        float(right.mean()),
        float(early.mean()),
        float(late.mean()),
        float(never.mean()),
        median,
    )


def stopping_table(bench: StoppingBench) -> str:
    """Return the outcomes as a Markdown table: a row a rule, a column a scenario, right / early / late / never in %."""
    scenarios = list(dict.fromkeys(row.scenario for row in bench.outcomes))
    cells = {(row.rule, row.scenario): row for row in bench.outcomes}
    lines = [f"| rule | {' | '.join(scenarios)} |", f"|---|{'---|' * len(scenarios)}"]
    for rule in dict.fromkeys(row.rule for row in bench.outcomes):
        lines.append(f"| {rule} | {' | '.join(_cell(cells[rule, scenario]) for scenario in scenarios)} |")
    return "\n".join(lines)


def endings_table(bench: StoppingBench) -> str:
    """Return the loops' verdicts as a Markdown table, in % of the loops."""
    verdicts = list(dict.fromkeys(name for ending in bench.endings for name in ending.verdicts))
    lines = [f"| scenario | {' | '.join(verdicts)} | mean iterations |", f"|---|{'---|' * (len(verdicts) + 1)}"]
    for ending in bench.endings:
        shares = " | ".join(f"{100 * ending.verdicts.get(name, 0):.0f}" for name in verdicts)
        lines.append(f"| {ending.scenario} | {shares} | {ending.mean_iterations:.1f} |")
    return "\n".join(lines)


def _cell(outcome: RuleOutcome) -> str:
    shares = " / ".join(f"{100 * share:.0f}" for share in (outcome.right, outcome.early, outcome.late, outcome.never))
    return f"{shares} (due {outcome.due})" if outcome.due else f"{shares} (silent)"


def parity_due(margin: float) -> Callable[[Scenario], int | None]:
    """Return what gives the first iteration (from 0) at which a scenario is at parity; None if none."""

    def due(scenario: Scenario) -> int | None:
        lower = min(0.0, scenario.pool_shift)
        reached = [place for place, kappa in enumerate(scenario.model_kappa[:ITERATIONS])
                   if kappa + lower - scenario.expert_kappa > -margin + 1e-9]  # fmt: skip
        return reached[0] if reached else None

    return due


def _ending(scenario: str, rules: StoppingRules, loops: Sequence[Sequence[Evidence]], iterations: int) -> LoopEnding:
    counts: dict[str, int] = {}
    ended = []
    for evidence in loops:
        for seen in evidence:
            reached, _ = verdict(rules.decide(seen))
            if reached != "continue" or seen.iterations == iterations:
                counts[reached] = counts.get(reached, 0) + 1
                ended.append(seen.iterations)
                break
    shares = {name: count / len(loops) for name, count in sorted(counts.items())}
    return LoopEnding(scenario, shares, float(np.mean(ended)))


def _mean_half_width(loops: Sequence[Sequence[Evidence]]) -> float | None:
    gains = [each.panel_gain(0.8) for loop in loops for each in loop]
    widths = [(each.high - each.low) / 2 for each in gains if each.low is not None and each.high is not None]
    return float(np.mean(widths)) if widths else None


def _last_agreement(loops: Sequence[Sequence[Evidence]]) -> float | None:
    last = [value for loop in loops for value in loop[-1].stop_set_agreements[-1:] if value is not None]
    return float(np.mean(last)) if last else None
