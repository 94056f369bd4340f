"""Pools drawn from labelled texts: their labels answer only when asked, and a part is never asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.kappa import Floats


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
    :raises ValueError: there are not enough positive or negative items.
    """
    rng = np.random.default_rng((seed, 11))
    if prevalence is None:
        chosen = rng.permutation(len(truth))[: items + held_out]
    else:
        wanted = round(prevalence * (items + held_out)), items + held_out - round(prevalence * (items + held_out))
        sides = [rng.permutation(np.flatnonzero(truth == side)) for side in (True, False)]
        chosen = rng.permutation(np.concatenate([side[:count] for side, count in zip(sides, wanted, strict=True)]))
    if len(chosen) < items + held_out:
        raise ValueError(
            f"items {items}, held_out {held_out}: only {len(chosen)} of {len(truth)} items have that positive share; "
            "ask for fewer items"
        )
    pool, held = chosen[:items], chosen[items:]
    return HiddenPool(vectors[pool], truth[pool], scores[pool], vectors[held], truth[held], scores[held])
