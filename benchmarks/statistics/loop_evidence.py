"""What the stopping rules would see in a simulated loop: the kappa report's figures, computed after every iteration."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel, cohen_kappa, mean_pairwise_kappa
from al_assets.agreement.report.parity_difference import parity_distribution
from al_assets.agreement.report.scopes import agreement_leverage
from al_assets.agreement.stopping import Evidence, predicted_f_change
from benchmarks.statistics.simulated_loop import AUDIT, LoopSize, SimulatedLoop

_NOT_YET = Interval(None, None, None, 0, "no student that many iterations ago")


def loop_evidence(
    loop: SimulatedLoop, size: LoopSize, *, windows: tuple[int, ...], resamples: int, seed: int
) -> dict[int, list[Evidence]]:
    """Return what the rules see after each iteration, by the window of the panel gain."""
    found: dict[int, list[Evidence]] = {window: [] for window in windows}
    agreements: list[float | None] = []
    changes: list[float | None] = []
    for now in range(len(loop.students)):
        so_far = loop.iteration <= now
        if now:
            kappa = cohen_kappa(loop.stop_set[now], loop.stop_set[now - 1])
            agreements.append(None if np.isnan(kappa) else kappa)
            changes.append(predicted_f_change(loop.stop_set[now], loop.stop_set[now - 1]))
        evidence = Evidence(
            iterations=now + 1,
            labels=int(so_far.sum()),
            parity=_parity(loop, so_far & loop.evaluation, now, resamples, seed),
            expert_kappa=_expert_kappa(loop, so_far, resamples, seed),
            population_kappa=_population_kappa(loop, so_far),
            stop_set_agreements=tuple(agreements),
            stop_set_changes=tuple(changes),
        )
        panel = so_far & loop.evaluation & (loop.iteration < size.panel_rounds)
        gains = _panel_gains(loop, panel, now, windows, resamples, seed)
        for window in windows:
            found[window].append(replace(evidence, panel_gain=gains.get(window, _NOT_YET)))
    return found


def _parity(loop: SimulatedLoop, items: NDArray[np.bool_], now: int, resamples: int, seed: int) -> Interval:
    found = parity_distribution(
        loop.votes[items], loop.students[now, items], loop.group[items], resamples=resamples, seed=seed
    )
    return found.interval(int(items.sum()), 0.9)


def _expert_kappa(loop: SimulatedLoop, items: NDArray[np.bool_], resamples: int, seed: int) -> Interval:
    found = _distributions(loop, items, Panel(loop.votes[items]).kappas, resamples, seed)
    return found["expert_expert_kappa"].interval(int(items.sum()), 0.9)


def _population_kappa(loop: SimulatedLoop, so_far: NDArray[np.bool_]) -> Interval:
    # The audit is drawn uniformly here, so its items weigh alike; the guideline rule reads the estimate only.
    audit = so_far & (loop.kind == AUDIT)
    kappa = mean_pairwise_kappa(loop.votes[audit])
    return Interval(None if np.isnan(kappa) else kappa, None, None, int(audit.sum()), "estimate only")


def _panel_gains(
    loop: SimulatedLoop, items: NDArray[np.bool_], now: int, windows: tuple[int, ...], resamples: int, seed: int
) -> dict[int, Interval]:
    reached = [window for window in windows if window <= now]
    if not reached:
        return {}
    models = {f"at {step}": loop.students[now - step, items] for step in (0, *reached)}
    agreement = Panel(loop.votes[items], models)

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = agreement.kappas(weights)
        return {str(step): figures["at 0_expert_kappa"] - figures[f"at {step}_expert_kappa"] for step in reached}

    found = _distributions(loop, items, statistics, resamples, seed)
    # The report bounds a panel gain by this leverage where the resamples do not vary; here its name is the window.
    leverage = agreement_leverage(loop.votes[items].mean(axis=1)).get("panel_gain", float("nan"))
    return {step: replace(found[str(step)], leverage=leverage).interval(int(items.sum()), 0.8) for step in reached}


def _distributions(
    loop: SimulatedLoop,
    items: NDArray[np.bool_],
    statistics: Callable[[Floats], dict[str, Floats]],
    resamples: int,
    seed: int,
) -> dict[str, Distribution]:
    leverage = agreement_leverage(loop.votes[items].mean(axis=1))
    return grouped_distributions(statistics, loop.group[items], resamples=resamples, seed=seed, leverage=leverage)
