"""Pools drawn from labelled texts: their labels answer only when asked, and a part is never asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.study.draw import draw_rows


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
    drawn = draw_rows(truth, pool=items, held_out=held_out, prevalence=prevalence, seed=seed)
    pool, held = drawn.pool, drawn.held_out
    return HiddenPool(vectors[pool], truth[pool], scores[pool], vectors[held], truth[held], scores[held])
