"""Whether stratified audits say the truth about a pool, on a simulated pool whose every vote is known.

A pool with a weak labeler, experts who err independently, and audits drawn, weighted and judged by the loop's own
functions. The truth is what the experts would have said about every item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.population.population_figures import population_distributions
from al_assets.curation.queue.strata import StrataPlan, plan_strata
from benchmarks.statistics.kappa_coverage import NOMINAL, pattern_chances, share_held

FIGURES = ("prevalence", "model_precision", "model_recall", "model_expert_kappa", "expert_expert_kappa")
# The two that rest on few disagreements are reported, not promised.
PROMISED = FIGURES[:4]
_EXPERT_KAPPA = 0.8
# The labeler of the first round, and how much the students of the next two are better.
_AREAS = (0.85, 0.87, 0.89)
_COMMON_NOISE = 0.8
_BINS = 5


@dataclass(frozen=True)
class SimulatedPool:
    """A pool with what every labeler and both experts say about each item.

    :param votes: shape (items, 2).
    :param scores: by round, uncalibrated p_positive of that round's labeler, each shape (items,).
    :param labels: by round, that labeler's labels, as many positive as there are.
    """

    votes: Floats
    scores: tuple[Floats, ...]
    labels: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True)
class AuditCell:
    """How well audits of one kind estimate one figure.

    :param items: audit items a round; ``rounds`` rounds are combined.
    :param prevalence: the pool's share of positives.
    :param truth: the figure of the whole pool.
    :param bias: mean estimate minus truth; ``bias_error`` its standard error.
    :param coverage: share of the 95 % intervals given that hold the truth, with its standard error.
    :param given: share of the audits that allowed an interval.
    """

    figure: str
    items: int
    rounds: int
    prevalence: float
    truth: float
    bias: float
    bias_error: float
    deviation: float
    coverage: float | None
    coverage_error: float | None
    half_width: float | None
    given: float


def simulated_pool(size: int, prevalence: float, seed: int, rounds: int = 3) -> SimulatedPool:
    """Draw a pool: binormal scores with AUC .85, .87, .89 round by round, two experts of kappa .8.

    Scores are squeezed to low values, as an uncalibrated labeler's may be; thresholds match the prevalence.
    """
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < prevalence
    hit = prevalence + (1 - prevalence) * sqrt(_EXPERT_KAPPA)
    false_alarm = prevalence * (1 - sqrt(_EXPERT_KAPPA))
    votes = (rng.random((size, 2)) < np.where(truth, hit, false_alarm)[:, None]).astype(np.float64)
    common = rng.standard_normal(size)
    scores, labels = [], []
    for area in _AREAS[:rounds]:
        noise = sqrt(_COMMON_NOISE) * common + sqrt(1 - _COMMON_NOISE) * rng.standard_normal(size)
        raw = noise + sqrt(2) * NormalDist().inv_cdf(area) * truth
        threshold = np.quantile(raw, 1 - prevalence)
        scores.append(1 / (1 + np.exp(-1.5 * (raw - threshold - 2))))
        labels.append(raw >= threshold)
    return SimulatedPool(votes, tuple(scores), tuple(labels))


def true_figures(pool: SimulatedPool, rounds: int) -> dict[str, float]:
    """Return the figures of the whole pool, for the labeler of the last of some rounds."""
    model = pool.labels[rounds - 1].astype(np.float64)
    patterns, _ = pattern_chances(0.5, (0.5,) * 3)
    place = (model * 4 + pool.votes[:, 0] * 2 + pool.votes[:, 1]).astype(np.int64)
    counts = np.bincount(place, minlength=8).astype(np.float64)
    agreement = Panel(patterns[:, 1:], {"model": patterns[:, 0]}).figures(counts[None, :])
    share = pool.votes.mean(axis=1)
    hits = float((model * share).sum())
    return {
        "prevalence": float(share.mean()),
        "model_precision": hits / float(model.sum()),
        "model_recall": hits / float(share.sum()),
        "model_expert_kappa": float(agreement["model_expert_kappa"][0]),
        "expert_expert_kappa": float(agreement["expert_expert_kappa"][0]),
    }


def audit_coverage(
    pool: SimulatedPool, *, items: int, rounds: int, audits: int, resamples: int, seed: int
) -> list[AuditCell]:
    """Draw audits of a pool again and again, and count how often each figure's interval holds the truth.

    Each round is stratified by the scores of its own labeler; the last round's labeler is judged. Rounds are drawn
    independently of each other: in a pool this large hardly an item is drawn twice.

    :param items: audit items a round.
    """
    plans = [
        plan_strata(scores, labels, budget=items, bins=_BINS)
        for scores, labels in zip(pool.scores[:rounds], pool.labels[:rounds], strict=True)
    ]
    truth = true_figures(pool, rounds)
    rng = np.random.default_rng(seed)
    ends = np.full((audits, len(FIGURES), 3), np.nan)
    for number in range(audits):
        ends[number] = _one_audit(pool, plans, resamples, rng)
    return [_cell(figure, items, rounds, truth, ends[:, place]) for place, figure in enumerate(FIGURES)]


def _one_audit(
    pool: SimulatedPool, plans: Sequence[StrataPlan], resamples: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    rows = [plan.draw(rng) for plan in plans]
    asked = pl.concat(
        pl.DataFrame(
            {
                "item_id": [f"{number}-{row}" for row in picks],
                "iteration": f"{number:04d}",
                "reason": "audit",
                "stratum": plan.names[plan.member[picks]].tolist(),
                "stratum_size": plan.sizes[plan.member[picks]],
                "inclusion_probability": plan.inclusion_probability[picks],
            }
        )
        for number, (plan, picks) in enumerate(zip(plans, rows, strict=True))
    )
    drawn, ids = np.concatenate(rows), asked["item_id"].to_numpy().astype(np.str_)
    # A pool without end: what was asked before is none of it.
    sample = pool_design(asked).sample(ids, np.ones(len(ids), dtype=np.bool_))
    models = {"model": pool.labels[len(plans) - 1][drawn].astype(np.float64)}
    figures = population_distributions(
        sample, pool.votes[drawn], models, resamples=resamples, seed=int(rng.integers(2**32))
    )
    ends = []
    for figure in FIGURES:
        interval = figures[figure].interval(len(drawn), NOMINAL)
        interval = interval if figure.endswith("kappa") else interval.within_unit()
        values = (interval.estimate, interval.low, interval.high)
        ends.append(tuple(np.nan if value is None else value for value in values))
    return [(estimate, low, high) for estimate, low, high in ends]


def _cell(figure: str, items: int, rounds: int, truth: dict[str, float], ends: Floats) -> AuditCell:
    estimates = ends[~np.isnan(ends[:, 0]), 0]
    given = ~np.isnan(ends[:, 1])
    coverage = share_held(ends[:, 1], ends[:, 2], truth[figure])
    return AuditCell(
        figure=figure,
        items=items,
        rounds=rounds,
        prevalence=truth["prevalence"],
        truth=truth[figure],
        bias=float(estimates.mean()) - truth[figure],
        bias_error=float(estimates.std(ddof=1)) / sqrt(len(estimates)),
        deviation=float(estimates.std(ddof=1)),
        coverage=coverage,
        coverage_error=None if coverage is None else sqrt(coverage * (1 - coverage) / given.sum()),
        half_width=None if coverage is None else float((ends[given, 2] - ends[given, 1]).mean() / 2),
        given=float(given.mean()),
    )
