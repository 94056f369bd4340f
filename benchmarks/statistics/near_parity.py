"""How often parity is declared where it is not so, and how often where it is, by how the rule looks and at what."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from al_assets.agreement.stopping.looks import Way, not_measured
from al_assets.agreement.stopping.rules import Evidence, StoppingRules
from benchmarks.statistics.simulated_loop import LoopSize, Scenario, parity_evidence, simulated_loops
from benchmarks.statistics.stopping_rules import ITERATIONS, curve, first_firing

# Students as good as they will ever be from the first round on, so that every look could end the loop.
NEAR_PARITY = (
    Scenario("at the margin", curve(0.75)),
    Scenario("at the margin, pool at parity", curve(0.75), pool_shift=0.05),
    Scenario("at parity, pool at the margin", curve(0.80), pool_shift=-0.05),
    Scenario("half the margin below", curve(0.775)),
    Scenario("at parity", curve(0.80)),
)


@dataclass(frozen=True)
class ParityDeclared:
    """In what share of a scenario's loops parity is declared by the last planned look.

    :param way: how the rule stays sure while it looks, see ``Looks``.
    :param test: boundary, pool or both, which is the rule.
    :param false: the model is not at parity in what the test is about, so that every stop is false.
    """

    scenario: str
    way: Way
    test: str
    declared: float
    false: bool


@dataclass(frozen=True)
class NearParityBench:
    """The simulation's outcome and what it was run with."""

    declared: tuple[ParityDeclared, ...]
    size: LoopSize
    iterations: int
    replicates: int
    resamples: int
    seed: int
    seconds: float


def bench_near_parity(
    *,
    replicates: int = 200,
    resamples: int = 1_000,
    size: LoopSize | None = None,
    scenarios: Sequence[Scenario] = NEAR_PARITY,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> NearParityBench:
    """Run simulated loops to their last planned look and count where parity is declared.

    :raises ValueError: fewer than 1 replicate.
    """
    if replicates < 1:
        raise ValueError(f"replicates: {replicates}; expected at least 1")
    started, size = time.perf_counter(), size or LoopSize()
    rules = StoppingRules(max_iterations=iterations, max_labels=size.budget * iterations, resamples=resamples)
    declared: list[ParityDeclared] = []
    for scenario in scenarios:
        loops = [
            parity_evidence(loop, resamples=resamples, seed=place)
            for place, loop in enumerate(simulated_loops(scenario, size, iterations, replicates, seed))
        ]
        declared.extend(parity_declared(scenario, rules, loops))
    seconds = time.perf_counter() - started
    return NearParityBench(tuple(declared), size, iterations, replicates, resamples, seed, seconds)


def parity_declared(
    scenario: Scenario, rules: StoppingRules, loops: Sequence[Sequence[Evidence]]
) -> list[ParityDeclared]:
    """Return how often parity is declared, by each way of looking and by boundary, pool and both."""
    found = []
    for way in get_args(Way):
        rule = replace(rules, looks=way).parity
        for test, (seen, truth) in {
            "boundary": (_boundary_alone, [0.0]),
            "pool": (_pool_alone, [scenario.pool_shift]),
            "both": (_as_it_is, [0.0, scenario.pool_shift]),
        }.items():
            declared = np.mean([first_firing(rule, [seen(each) for each in loop]) >= 0 for loop in loops])
            reached = max(scenario.model_kappa[:ITERATIONS]) + min(truth) - scenario.expert_kappa
            found.append(
                ParityDeclared(scenario.name, way, test, float(declared), reached <= -rules.parity_margin + 1e-9)
            )
    return found


def _as_it_is(evidence: Evidence) -> Evidence:
    return evidence


def _pool_alone(evidence: Evidence) -> Evidence:
    return replace(evidence, boundary_parity=None)


def _boundary_alone(evidence: Evidence) -> Evidence:
    # Where nothing was chosen by rule one test decides alone; here it is the boundary's.
    return replace(evidence, boundary_parity=None, population_parity=evidence.boundary_parity or not_measured)


def parity_table(bench: NearParityBench) -> str:
    """Return in what share of the loops parity is declared as a Markdown table, in %; false ones are marked with *."""
    columns = list(dict.fromkeys((row.way, row.test) for row in bench.declared))
    cells = {(row.scenario, row.way, row.test): row for row in bench.declared}
    heads = " | ".join(f"{way}: {test}" for way, test in columns)
    lines = [f"| scenario | {heads} |", f"|---|{'---|' * len(columns)}"]
    for scenario in dict.fromkeys(row.scenario for row in bench.declared):
        shown = [cells[scenario, way, test] for way, test in columns]
        shares = " | ".join(f"{100 * each.declared:.1f}{'*' * each.false}" for each in shown)
        lines.append(f"| {scenario} | {shares} |")
    return "\n".join(lines)
