"""Whether intervals hold the student's truths where every label teaches and is judged by students of other folds.

The truth is that of the student which learnt from every label, in the pool as it is. Each fold student learnt from a
part, is a little worse, and errs mostly on the same items. Beside it the same loops with items held out, whose student
learnt from fewer labels: the same pools and budgets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.statistics.depleting_pools import LARGE, MIDDLE, prevalence_of, round_figures
from benchmarks.statistics.estimates import EstimateCell, Estimates
from benchmarks.statistics.simulated_rounds import RoundsSetting, simulated_rounds

FOLDS = 5
FIGURES = ("model_precision", "model_recall", "model_expert_kappa", "student_gain", "parity_difference")
_SHARES = FIGURES[:2]


@dataclass(frozen=True)
class CrossfitCell:
    """What the figures of a student are worth after a round, with items held out and by cross-fitting."""

    setting: RoundsSetting
    round: int
    held_out: tuple[EstimateCell, ...]
    crossfit: tuple[EstimateCell, ...]


def crossfit_settings() -> list[RoundsSetting]:
    """Return the pools that are simulated with either."""
    return [
        *(replace(MIDDLE, prevalence=prevalence) for prevalence in (0.05, 0.1, 0.15)),
        replace(LARGE, prevalence=0.1),
    ]


def crossfit_coverage(
    setting: RoundsSetting,
    *,
    loops: int,
    resamples: int,
    seed: tuple[int, ...],
    judged: Sequence[int],
    progress: Callable[[str], None] = lambda _: None,
) -> list[CrossfitCell]:
    """Run loops of both kinds and hold the figures after some of their rounds against the truth of the pool then."""
    found = []
    for folds in (0, FOLDS):
        kind, rng = replace(setting, learning=True, folds=folds), np.random.default_rng((*seed, folds))
        estimates = {place: Estimates() for place in judged if place <= setting.rounds}
        for _ in range(loops):
            for state in simulated_rounds(kind, rng, prevalence_of):
                if state.number not in estimates:
                    continue
                truth, figures = state.truth(), round_figures(state, resamples, int(rng.integers(2**32)))
                truth["parity_difference"] = truth["model_expert_kappa"] - truth["expert_expert_kappa"]
                for figure in FIGURES:
                    interval = figures[figure].interval(len(state.rows))
                    interval = interval.within_unit() if figure in _SHARES else interval
                    estimates[state.number].add(figure, truth[figure], interval)
        progress(str(kind))
        found.append({place: each.cells(f"{kind}, round {place}") for place, each in estimates.items()})
    held_out, crossfit = found
    return [CrossfitCell(setting, place, held_out[place], crossfit[place]) for place in held_out]
