"""What a way to choose finds, and what it teaches, on a pool whose labels are known but hidden."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, cohen_kappa
from al_assets.agreement.population.thresholds import average_precision
from al_assets.curation.budget import divide_budget
from al_assets.curation.queue.cold_start import promising_share
from al_assets.curation.strategies.base import Ranked
from al_assets.curation.strategies.by_score import TopScored
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs
from al_assets.models.students.linear import fit_linear
from al_assets.study.draw import draw_rows
from al_assets.study.learner import Scores
from al_assets.study.loop import (
    ChooseStrategy,
    LoopPool,
    LoopRound,
    LoopSettings,
    OfflineLoop,
    RoundLabeler,
    rows_of,
)


@dataclass(frozen=True)
class HiddenPool:
    """A pool, held-out items that are never asked for, and what LLM-0 says of both.

    :param vectors: shape (items, dimensions), of length one; ``held_vectors`` likewise.
    :param truth: what an expert answers, shape (items,).
    :param scores: LLM-0's p_positive, shape (items,).
    """

    vectors: NDArray[np.float32]
    truth: NDArray[np.bool_]
    scores: Floats
    held_vectors: NDArray[np.float32]
    held_truth: NDArray[np.bool_]
    held_scores: Floats


def draw_pool(
    vectors: NDArray[np.float32],
    truth: NDArray[np.bool_],
    scores: Floats,
    *,
    items: int,
    held_out: int,
    prevalence: float | None,
    seed: int,
) -> HiddenPool:
    """Draw a pool and held-out items of the same positive share, all without replacement.

    :param prevalence: the positive share to thin to, in (0, 1); None leaves it as it is.
    :raises StudyError: there are not enough positive or negative items.
    """
    pool, held = draw_rows(truth, pool=items, held_out=held_out, prevalence=prevalence, seed=seed)
    return HiddenPool(vectors[pool], truth[pool], scores[pool], vectors[held], truth[held], scores[held])


@dataclass(frozen=True)
class RoundFigures:
    """One round of one loop.

    :param promising: the part of the boundary share that went to top-scored items; ``positive``: its positive share.
    :param expected_pairs: the positive share that the cold start's curve expected of pairs alone, and in
        ``expected_promising`` of top-scored items alone; ``pairs_positive`` and ``promising_positive`` are what they
        would have held. None where there were none.
    :param average_precision: of the round's student on the held-out items; ``kappa``: of its labels at the threshold
        matched to the pool's prevalence. Likewise of who labels the next round.
    """

    round: int
    promising: float
    positive: float | None
    expected_pairs: float | None
    expected_promising: float | None
    pairs_positive: float | None
    promising_positive: float | None
    average_precision: float
    kappa: float
    incumbent_precision: float
    incumbent_kappa: float


@dataclass(frozen=True)
class _FromNothing:
    """A linear student without a head start."""

    pool: HiddenPool
    start: None = None

    def __call__(self, rows: NDArray[np.int64], labels: Floats, folds: NDArray[np.int64] | None = None) -> Scores:
        head = fit_linear(self.pool.vectors[rows], labels)
        return Scores(head.probability(self.pool.vectors), head.probability(self.pool.held_vectors))

    def taught_by(self, scores: Floats, prevalence: float) -> "_FromNothing":
        return self


def run_loop(pool: HiddenPool, arm: ChooseStrategy, settings: LoopSettings, seed: int) -> list[RoundFigures]:
    """Run the loop: curate, let the hidden labels answer, train a student on the fine-tuning items, promote or not.

    The student is logistic regression on the vectors, both classes weighted alike. Thresholds are matched to the pool's
    true prevalence.
    """
    prevalence = float(pool.truth.mean())
    hidden = LoopPool(pool.vectors, pool.truth[:, None].astype(np.float64), pool.scores, pool.held_scores, prevalence)
    how = replace(settings, prior_strength=np.inf, evaluation="held_out")
    loop = OfflineLoop(hidden, _FromNothing(pool), how, seed)
    return [_figures(loop.next_round(arm), pool, settings, seed) for _ in range(settings.rounds)]


def _figures(loop_round: LoopRound, pool: HiddenPool, settings: LoopSettings, seed: int) -> RoundFigures:
    budget = divide_budget(settings.budget, settings.shares).boundary
    picked = loop_round.picked
    expected = promising_share(loop_round.evidence, settings.target)
    pairs, promising = (
        _positive(pool, rows_of(each.pick(loop_round.candidates, budget, 1_000 * seed + loop_round.number)))
        for each in (BoundaryPairs(), Ranked(TopScored()))
    )
    (precision, kappa), (incumbent_precision, incumbent_kappa) = (
        _quality(pool, each) for each in (loop_round.student, loop_round.incumbent)
    )
    return RoundFigures(
        round=loop_round.number,
        promising=float((picked["reason"] == "promising").sum()) / max(picked.height, 1),
        positive=_positive(pool, rows_of(picked)),
        expected_pairs=expected.expected_pairs,
        expected_promising=expected.expected_promising,
        pairs_positive=pairs,
        promising_positive=promising,
        average_precision=precision,
        kappa=kappa,
        incumbent_precision=incumbent_precision,
        incumbent_kappa=incumbent_kappa,
    )


def _quality(pool: HiddenPool, labeler: RoundLabeler | None) -> tuple[float, float]:
    """Return average precision and kappa on the held-out items."""
    truth = pool.held_truth.astype(np.float64)
    if labeler is None:
        # A student that was shown one class only is worth what chance is.
        return float(truth.mean()), 0.0
    held_out = labeler.scores.held_out
    called = (held_out >= labeler.threshold).astype(np.float64)
    return float(average_precision(held_out, truth, np.ones((1, len(truth))))[0]), cohen_kappa(called, truth)


def _positive(pool: HiddenPool, rows: NDArray[np.int64]) -> float | None:
    return float(pool.truth[rows].mean()) if len(rows) else None
