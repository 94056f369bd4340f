"""Simulated loops whose true kappas are known: what experts and students answer, at a loop's real label counts.

Latent classes: an item is truly positive or not, and everybody errs independently given that. A rater of reliability
r in a kind of item with prevalence p calls p + (1 - p) r of its true positives positive and p (1 - r) of its true
negatives, so all call equally many items positive and two raters agree with kappa r1 r2 within the kind. Kinds are the
boundary and random items, which stand for the pool.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Interval, Statistic, agreement_leverage
from al_assets.agreement.core.kappa import Floats, Panel, cohen_kappa, pooled_kappa
from al_assets.agreement.population.stop_set import predicted_f_change
from al_assets.agreement.report.panel_gain import differing_items
from al_assets.agreement.report.scopes import PSEUDO_ITEMS, discordant_items
from al_assets.agreement.stopping.looks import Bounds
from al_assets.agreement.stopping.rules import Evidence
from benchmarks.statistics.counted_resamples import counted_groups, uniform_rounds

BOUNDARY, CONTROL, AUDIT = 0, 1, 2


@dataclass(frozen=True)
class LoopSize:
    """How many labels a round brings and where they go; the defaults are those of the policy file.

    :param budget: items a round; boundary items come in pairs.
    :param evaluation_share: share of boundary and control groups held out; audit items always are.
    :param experts: votes per item, each by another expert.
    :param panel_rounds: rounds whose evaluation items form the frozen panel; 1 in the loop.
    :param boundary_prevalence: positives among boundary items; ``pool_prevalence`` among control, audit and stop set.
    """

    budget: int = 120
    boundary: float = 0.6
    audit: float = 0.25
    evaluation_share: float = 0.3
    experts: int = 2
    stop_set: int = 2_000
    panel_rounds: int = 1
    boundary_prevalence: float = 0.4
    pool_prevalence: float = 0.1

    @property
    def per_round(self) -> tuple[int, int, int]:
        """Boundary (an even number), control and audit items of a round."""
        boundary = 2 * round(self.budget * self.boundary / 2)
        audit = round(self.budget * self.audit)
        return boundary, self.budget - boundary - audit, audit

    @property
    def evaluation_per_round(self) -> tuple[int, int]:
        """Boundary items, and control and audit items, that a round adds to the evaluation items."""
        boundary, control, audit = self.per_round
        return 2 * round(boundary / 2 * self.evaluation_share), round(control * self.evaluation_share) + audit


@dataclass(frozen=True)
class Scenario:
    """A loop's truth.

    :param model_kappa: true kappa between each iteration's student and an expert at the boundary; it goes on beyond the
        iterations a loop has, so that what a loop would still have gained is known.
    :param expert_kappa: true kappa between two experts, at the boundary and in the pool.
    :param pool_shift: true kappa between student and expert in the pool less that at the boundary.
    :param churn: how much the first retraining changes predictions, 0 to 1; it falls as 1 / iterations.
    """

    name: str
    model_kappa: tuple[float, ...]
    expert_kappa: float = 0.80
    pool_shift: float = 0.0
    churn: float = 0.3


@dataclass(frozen=True)
class SimulatedLoop:
    """One simulated loop, every array with one entry for each labelled item or stop-set item.

    :param votes: shape (items, experts).
    :param students: shape (iterations, items), each student's label of every item.
    :param stop_set: shape (iterations, stop-set items).
    :param iteration: shape (items,), the round that brought the item; ``kind`` and ``evaluation`` likewise.
    """

    votes: Floats
    students: Floats
    stop_set: Floats
    iteration: NDArray[np.int64]
    kind: NDArray[np.int64]
    group: NDArray[np.int64]
    evaluation: NDArray[np.bool_]


def simulate_loop(scenario: Scenario, size: LoopSize, iterations: int, generator: np.random.Generator) -> SimulatedLoop:
    """Draw one loop.

    :raises ValueError: a kappa that no rater can have with these prevalences.
    """
    iteration, kind, group, evaluation = _items(size, iterations)
    chosen = kind == BOUNDARY
    prevalence = np.where(chosen, size.boundary_prevalence, size.pool_prevalence)
    truth = generator.random(len(kind)) < prevalence
    expert = reliability(scenario.expert_kappa)
    votes = np.stack(
        [_answers(generator.random(len(kind)), truth, prevalence, expert) for _ in range(size.experts)], axis=1
    )
    pool = np.full(size.stop_set, size.pool_prevalence)
    everyone = np.concatenate([prevalence, pool])
    truths = np.concatenate([truth, generator.random(size.stop_set) < pool])
    shift = np.where(np.concatenate([chosen, np.zeros(size.stop_set, np.bool_)]), 0.0, scenario.pool_shift)
    places = _drifting_places(len(everyone), iterations, scenario.churn, generator)
    labels = np.empty((iterations, len(everyone)))
    for step, kappa in enumerate(scenario.model_kappa[:iterations]):
        skills = {added: reliability(kappa + added, expert) for added in np.unique(shift)}
        labels[step] = _answers(places[step], truths, everyone, np.array([skills[added] for added in shift]))
    return SimulatedLoop(votes, labels[:, : len(kind)], labels[:, len(kind) :], iteration, kind, group, evaluation)


def simulated_loops(
    scenario: Scenario, size: LoopSize, iterations: int, replicates: int, seed: int
) -> Iterator[SimulatedLoop]:
    """Yield a scenario's loops; they are the same whichever other scenarios are run."""
    stream = crc32(scenario.name.encode())
    for replicate in range(replicates):
        yield simulate_loop(scenario, size, iterations, np.random.default_rng([seed, stream, replicate]))


def reliability(kappa: float, other: float | None = None) -> float:
    """Return the reliability of a rater who agrees with another with a given true kappa within each kind of items.

    :param other: the other rater's reliability; None if it is the same.
    :raises ValueError: the kappa is out of reach.
    """
    result = sqrt(max(kappa, 0.0)) if other is None else kappa / other
    if not 0 <= result <= 1:
        raise ValueError(f"kappa: {kappa:g} is out of reach; expected at least 0 and a reliability up to 1")
    return result


def between_kinds(size: LoopSize) -> float:
    """Return the share of the variance of the evaluation items' truth that lies between their kinds.

    All raters know the kinds, so over all evaluation items, and on the panel, kappa is b + (1 - b) times that within.
    """
    counts = np.array(size.evaluation_per_round, dtype=np.float64)
    prevalence = np.array([size.boundary_prevalence, size.pool_prevalence])
    mean = float(np.average(prevalence, weights=counts))
    return float(np.average((prevalence - mean) ** 2, weights=counts)) / (mean * (1 - mean))


def _items(
    size: LoopSize, iterations: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    boundary, control, audit = size.per_round
    held_boundary, held_others = size.evaluation_per_round
    kind = np.repeat([BOUNDARY, CONTROL, AUDIT], [boundary, control, audit])
    held = np.zeros(len(kind), dtype=np.bool_)
    held[:held_boundary] = True
    held[boundary : boundary + held_others - audit] = True
    held[boundary + control :] = True
    group = np.concatenate([np.arange(boundary) // 2, boundary + np.arange(control + audit)])
    rounds = np.repeat(np.arange(iterations), len(kind))
    return rounds, np.tile(kind, iterations), np.tile(group, iterations) + rounds * len(kind), np.tile(held, iterations)


def _answers(place: Floats, truth: NDArray[np.bool_], prevalence: Floats, skill: Floats | float) -> Floats:
    return (place < prevalence + (truth - prevalence) * skill).astype(np.float64)


def _drifting_places(items: int, iterations: int, churn: float, generator: np.random.Generator) -> Sequence[Floats]:
    # Where an item stands among its like in a student's eyes, uniform for each student and correlated from one
    # student to the next, the more so the smaller the share of labels that is new.
    from scipy.special import ndtr

    state = generator.standard_normal(items)
    places = [ndtr(state)]
    for number in range(1, iterations):
        kept = 1 - churn / number
        state = kept * state + sqrt(1 - kept**2) * generator.standard_normal(items)
        places.append(ndtr(state))
    return places


def _not_yet(confidence: float) -> Interval:
    return Interval(None, None, None, 0, "no student that many iterations ago")


def loop_evidence(
    loop: SimulatedLoop, size: LoopSize, *, windows: tuple[int, ...], resamples: int, seed: int
) -> dict[int, list[Evidence]]:
    """Return what the rules see after each iteration, by the window of the panel gain."""
    seen: dict[int, list[Evidence]] = {window: [] for window in windows}
    agreements: list[float | None] = []
    changes: list[float | None] = []
    for now, parity in enumerate(parity_evidence(loop, resamples=resamples, seed=seed)):
        so_far = loop.iteration <= now
        if now:
            kappa = cohen_kappa(loop.stop_set[now], loop.stop_set[now - 1])
            agreements.append(None if np.isnan(kappa) else kappa)
            changes.append(predicted_f_change(loop.stop_set[now], loop.stop_set[now - 1]))
        evidence = replace(
            parity,
            expert_kappa=_expert_kappa(loop, so_far, resamples, seed),
            population_kappa=_population_kappa(loop, so_far),
            stop_set_agreements=tuple(agreements),
            stop_set_changes=tuple(changes),
        )
        panel = so_far & loop.evaluation & (loop.iteration < size.panel_rounds)
        for window in windows:
            gain = _panel_gain(loop, panel, now, window, resamples, seed)
            seen[window].append(replace(evidence, panel_gain=gain))
    return seen


def parity_evidence(loop: SimulatedLoop, *, resamples: int, seed: int) -> list[Evidence]:
    """Return what the parity rule sees after each iteration."""
    return [
        Evidence(
            iterations=now + 1,
            labels=int((loop.iteration <= now).sum()),
            boundary_parity=_boundary_parity(loop, loop.iteration <= now, now, resamples, seed),
            population_parity=_population_parity(loop, loop.iteration <= now, now, resamples, seed),
        )
        for now in range(len(loop.students))
    ]


def _boundary_parity(loop: SimulatedLoop, so_far: NDArray[np.bool_], now: int, resamples: int, seed: int) -> Bounds:
    items = so_far & loop.evaluation & (loop.kind == BOUNDARY)
    counted = counted_groups(np.column_stack([loop.votes[items], loop.students[now, items]]), loop.group[items])
    pseudo = np.column_stack(discordant_items(loop.votes.shape[1]))
    distribution = counted.smoothed(_parity_difference, pseudo, PSEUDO_ITEMS, resamples=resamples, seed=seed)
    return cache(partial(distribution.interval, int(items.sum())))


def _population_parity(loop: SimulatedLoop, so_far: NDArray[np.bool_], now: int, resamples: int, seed: int) -> Bounds:
    items = so_far & loop.evaluation & (loop.kind != BOUNDARY)
    labels = np.column_stack([loop.votes[items], loop.students[now, items]])
    distribution = uniform_rounds(labels, loop.iteration[items], _parity_difference, resamples=resamples, seed=seed)
    return cache(partial(distribution.interval, int(items.sum())))


def _parity_difference(labels: Floats) -> Statistic:
    agreement = Panel(labels[:, :-1], {"model": labels[:, -1]})

    def difference(weights: Floats) -> Floats:
        kappas = agreement.kappas(weights)
        return kappas["model_expert_kappa"] - kappas["expert_expert_kappa"]

    return difference


def _expert_kappa(loop: SimulatedLoop, items: NDArray[np.bool_], resamples: int, seed: int) -> Interval:
    leverage = agreement_leverage(loop.votes[items].mean(axis=1)).get("expert_expert_kappa", float("nan"))
    distribution = counted_groups(loop.votes[items], loop.group[items]).distribution(
        lambda labels: lambda weights: Panel(labels).kappas(weights)["expert_expert_kappa"],
        resamples=resamples,
        seed=seed,
        leverage=leverage,
    )
    return distribution.interval(int(items.sum()), 0.9)


def _population_kappa(loop: SimulatedLoop, so_far: NDArray[np.bool_]) -> Interval:
    # Random items are drawn uniformly here, so they weigh alike; the guideline rule reads the estimate only.
    audit = so_far & (loop.kind != BOUNDARY)
    kappa = pooled_kappa(loop.votes[audit])
    return Interval(None if np.isnan(kappa) else kappa, None, None, int(audit.sum()), "estimate only")


def _panel_gain(
    loop: SimulatedLoop, items: NDArray[np.bool_], now: int, window: int, resamples: int, seed: int
) -> Bounds:
    if window > now:
        return _not_yet
    labels = np.column_stack([loop.votes[items], loop.students[now, items], loop.students[now - window, items]])
    votes, later = differing_items(loop.votes.shape[1])
    gain = counted_groups(labels, loop.group[items]).smoothed(
        _gain, np.column_stack([votes, later, 1 - later]), PSEUDO_ITEMS, resamples=resamples, seed=seed
    )
    return cache(partial(gain.interval, int(items.sum())))


def _gain(labels: Floats) -> Statistic:
    agreement = Panel(labels[:, :-2], {"now": labels[:, -2], "earlier": labels[:, -1]})

    def difference(weights: Floats) -> Floats:
        kappas = agreement.kappas(weights)
        return kappas["now_expert_kappa"] - kappas["earlier_expert_kappa"]

    return difference
