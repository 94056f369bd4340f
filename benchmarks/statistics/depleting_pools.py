"""Whether the loop's figures of the pool hold their truths while the pool is used up, or grows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_assets.agreement.core.bootstrap import Distribution
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.population_figures import population_distributions
from benchmarks.statistics.estimates import EstimateCell, Estimates
from benchmarks.statistics.simulated_rounds import Round, RoundsSetting, simulated_rounds

SHARES = ("prevalence", "model_precision", "model_recall")
KAPPAS = ("expert_expert_kappa", "model_expert_kappa", "student_gain")
FIGURES = (*SHARES, *KAPPAS)
# Figures that no model has a part in rest on all labelled items, the others on those that no student learnt from.
_OF_EXPERTS = ("prevalence", "expert_expert_kappa")
SMALL, MIDDLE, LARGE = (
    RoundsSetting(items=1_000, audit=30),
    RoundsSetting(items=3_000, audit=60),
    RoundsSetting(items=10_000, audit=100),
)
JUDGED_ROUNDS = (1, 3, 5, 8, 10)


@dataclass(frozen=True)
class PoolCell:
    """What the figures are worth after one of the rounds of one setting."""

    setting: RoundsSetting
    round: int
    figures: tuple[EstimateCell, ...]


def depleting_pools() -> list[RoundsSetting]:
    """Return the settings: sizes by prevalences, and what else may go wrong on the middle one."""
    sizes = [replace(size, prevalence=prevalence) for size in (SMALL, MIDDLE, LARGE) for prevalence in (0.05, 0.15)]
    others = [
        replace(MIDDLE, matched=False),
        replace(MIDDLE, growth=0.5),
        replace(MIDDLE, lost=0.2),
        replace(MIDDLE, uneven=0.6),
        replace(MIDDLE, raters=10),
        replace(LARGE, prevalence=0.01),
    ]
    return sizes + others


def pool_coverage(
    setting: RoundsSetting,
    *,
    loops: int,
    resamples: int,
    seed: int | tuple[int, ...],
    judged: Sequence[int] = JUDGED_ROUNDS,
    progress: Callable[[str], None] = lambda _: None,
) -> list[PoolCell]:
    """Run loops, and hold the figures after some of their rounds against the truth of the pool as it is then."""
    rng = np.random.default_rng(seed)
    found = {place: Estimates() for place in judged if place <= setting.rounds}
    for _ in range(loops):
        for state in simulated_rounds(setting, rng, prevalence_of):
            if state.number in found:
                truth, figures = state.truth(), round_figures(state, resamples, int(rng.integers(2**32)))
                for figure in FIGURES:
                    interval = figures[figure].interval(len(state.rows))
                    interval = interval.within_unit() if figure in SHARES else interval
                    found[state.number].add(figure, truth[figure], interval)
    progress(str(setting))
    return [PoolCell(setting, place, each.cells(f"{setting}, round {place}")) for place, each in found.items()]


def prevalence_of(state: Round) -> float:
    """Return the pool's share of positives as the items asked so far show it."""
    return sample_of(state).mean(np.nanmean(state.pool.asked[state.rows], axis=1))


def sample_of(state: Round, *, held_out: bool = False) -> PoolSample:
    """Return the items asked so far, or those of them that no student learnt from, weighted to the pool."""
    usable = state.held_out if held_out else np.ones(len(state.rows), dtype=np.bool_)
    sample = pool_design(state.asked, state.frame).sample(state.asked["item_id"].to_numpy().astype(np.str_), usable)
    return sample.by_others() if held_out and state.pool.fold_of else sample


def round_figures(state: Round, resamples: int, seed: int) -> dict[str, Distribution]:
    """Return the figures of the pool after a round, by the report's own functions."""
    votes = state.pool.asked[state.rows]
    models = {name: labels[state.rows] for name, labels in state.judged.items()}
    every = population_distributions(sample_of(state), votes, {}, resamples=resamples, seed=seed)
    kept = state.held_out
    held = {name: labels[kept] for name, labels in models.items()}
    of_models = population_distributions(
        sample_of(state, held_out=True), votes[kept], held, resamples=resamples, seed=seed
    )
    return {**of_models, **{figure: every[figure] for figure in _OF_EXPERTS}}
