"""What is said of students that miss a kind of positives which the selection never shows.

LLM-0 chooses all rounds. At the boundary a student that misses a kind far from it looks better than it is: only items
drawn by lot show what it misses. Four students are judged in the same loops: one as good as an expert but for a fifth
of the positives, which LLM-0 does not see either; and three that miss a part of what LLM-0 sees, and whose gain over it
in the pool is -.18, 0 and +.05.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.population.population_figures import population_distributions
from al_assets.agreement.report.scopes import parity_distribution
from benchmarks.statistics.depleting_pools import prevalence_of, sample_of
from benchmarks.statistics.simulated_rounds import Round, RoundsPool, RoundsSetting, make_pool, simulated_rounds

GAINS = (-0.18, 0.0, 0.05)
UNSEEN = 0.2
MARGIN = 0.05
SETTING = RoundsSetting(rounds=8, matched=False, signals=(2.2,), unseen=UNSEEN)
# The students of known gain tell the positives that they do see far better than LLM-0.
_STUDENT_SIGNAL = 3.2
_CALIBRATION = 40_000


@dataclass(frozen=True)
class SaidOfStudent:
    """How often something was said of a student after a round.

    :param gain: true, over LLM-0 in the pool, mean over the loops; ``gap`` its true kappa with the experts less theirs
        among each other.
    :param better: share of the loops in which the 95 % interval of the population gain lay above 0.
    :param boundary_parity: share in which the lower one-sided 95 % bound of the difference lay above -.05 on the
        held-out items chosen by rule; ``population_parity`` the same for the pool, and ``parity`` both.
    """

    student: str
    round: int
    gain: float
    gap: float
    better: float
    boundary_parity: float
    population_parity: float
    parity: float
    loops: int


def one_sided_students(
    *,
    loops: int,
    resamples: int,
    seed: int,
    judged: Sequence[int] = (1, 3, 8),
    setting: RoundsSetting = SETTING,
    progress: Callable[[str], None] = lambda _: None,
) -> list[SaidOfStudent]:
    """Run loops and count what is said of each student after some of their rounds."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for loop in range(loops):
        students: dict[str, Floats] = {}
        for state in simulated_rounds(setting, rng, prevalence_of):
            students = students or _students(state.pool, setting, rng)
            if state.number in judged:
                for name, labels in students.items():
                    said = _said(state, labels, resamples, int(rng.integers(2**32)))
                    found.setdefault((name, state.number), []).append(said)
        progress(f"one-sided students, loop {loop + 1}")
    return [_summary(name, place, np.array(said)) for (name, place), said in found.items()]


def _summary(student: str, place: int, said: Floats) -> SaidOfStudent:
    gain, gap, better, boundary, pool, both = (float(each) for each in said.mean(axis=0))
    return SaidOfStudent(student, place, gain, gap, better, boundary, pool, both, len(said))


@cache
def missed_share(gain: float, setting: RoundsSetting = SETTING) -> float:
    """Return the share of the positives LLM-0 sees that a student misses if its gain over LLM-0 is that."""
    pool = make_pool(
        RoundsSetting(items=_CALIBRATION, rounds=1, prevalence=setting.prevalence, unseen=setting.unseen),
        np.random.default_rng(0),
    )
    incumbent = _cut(pool.noise[0] + setting.signal(0) * pool.chance * (pool.kind >= setting.unseen), pool)
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        kappas = Panel(pool.votes, {"student": _student(pool, middle, setting), "incumbent": incumbent}).kappas(
            np.ones((1, len(pool.ids)))
        )
        found = float(kappas["student_expert_kappa"][0] - kappas["incumbent_expert_kappa"][0])
        low, high = (middle, high) if found > gain else (low, middle)
    return (low + high) / 2


def _students(pool: RoundsPool, setting: RoundsSetting, rng: np.random.Generator) -> dict[str, Floats]:
    answers = (rng.random(len(pool.ids)) < pool.chance) & (pool.kind >= setting.unseen)
    known = {f"gain {gain:+g}": _student(pool, missed_share(gain, setting), setting) for gain in GAINS}
    return {"an expert who misses a fifth": answers.astype(np.float64), **known}


def _student(pool: RoundsPool, missed: float, setting: RoundsSetting) -> Floats:
    # Of the kinds that LLM-0 sees, the upper ones are missed.
    sees = (pool.kind >= setting.unseen) & (pool.kind < 1 - missed * (1 - setting.unseen))
    return _cut(pool.noise[1] + _STUDENT_SIGNAL * pool.chance * sees, pool)


def _cut(scores: Floats, pool: RoundsPool) -> Floats:
    return np.asarray(scores >= np.quantile(scores, 1 - float(pool.votes.mean())), dtype=np.float64)


def _said(state: Round, labels: Floats, resamples: int, seed: int) -> tuple[float, ...]:
    kept = state.held_out
    votes, own = state.pool.asked[state.rows], labels[state.rows]
    models = {"model": own[kept], "incumbent": state.models["incumbent"][state.rows][kept]}
    sample = sample_of(state, held_out=True)
    figures = population_distributions(sample, votes[kept], models, resamples=resamples, seed=seed)
    chosen = kept & ~state.random
    boundary = parity_distribution(
        votes[chosen], own[chosen], np.arange(int(chosen.sum())), resamples=resamples, seed=seed
    )
    gain = figures["student_gain"].interval(len(own)).low
    lows = [each.interval(len(own), 0.9).low for each in (boundary, figures["parity_difference"])]
    at_boundary, in_pool = (low is not None and low > -MARGIN for low in lows)
    now = state.now
    truth = Panel(state.pool.votes[now], {"model": labels[now], "incumbent": state.models["incumbent"][now]}).kappas(
        np.ones((1, len(now)))
    )
    true = {name: float(value[0]) for name, value in truth.items()}
    return (
        true["model_expert_kappa"] - true["incumbent_expert_kappa"],
        true["model_expert_kappa"] - true["expert_expert_kappa"],
        float(gain is not None and gain > 0),
        float(at_boundary),
        float(in_pool),
        float(at_boundary and in_pool),
    )
