"""Rows drawn for a pool and for held-out items that are never in it, thinned to a positive share if wanted."""

import numpy as np
from numpy.typing import NDArray

from al_assets.study import StudyError

Rows = NDArray[np.int64]


def draw_rows(
    truth: NDArray[np.bool_], *, pool: int | None, held_out: int, prevalence: float | None, seed: int
) -> tuple[Rows, Rows]:
    """Draw the rows of a pool and of held-out items from one population, in random order, without replacement.

    Together they have the positive share asked for, to the nearest item; each alone has it up to the luck of the draw.

    :param truth: shape (items,).
    :param pool: None for all that are left beside the held-out items, of that positive share.
    :param prevalence: the positive share to thin to, in (0, 1); None leaves it as it is.
    :raises StudyError: a number is out of range, or there are not enough positive or negative items.
    """
    _check(pool, held_out, prevalence)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    most = len(truth) if prevalence is None else _most(positives, negatives, prevalence)
    items = most if pool is None else pool + held_out
    # Without a pool size, at least one item must be left for the pool.
    if max(items, held_out + 1) > most:
        share = f" at a positive share of {prevalence:g}" if prevalence is not None else ""
        raise StudyError(
            f"pool {'all' if pool is None else pool}, held_out {held_out}: only {most} of {len(truth)} items can be had"
            f"{share} ({positives} are positive, {negatives} negative); ask for fewer items"
            + (", or for another positive share" if share else "")
        )
    rng = np.random.default_rng((seed, 11))
    if prevalence is None:
        chosen = rng.permutation(len(truth))[:items]
    else:
        wanted = _sides(items, prevalence)
        sides = [rng.permutation(np.flatnonzero(truth == side)) for side in (True, False)]
        chosen = rng.permutation(np.concatenate([side[:count] for side, count in zip(sides, wanted, strict=True)]))
    return chosen[: items - held_out], chosen[items - held_out :]


def _check(pool: int | None, held_out: int, prevalence: float | None) -> None:
    if pool is not None and pool < 1:
        raise StudyError(f"pool: {pool} is too few; give at least 1, or leave it out for all items")
    if held_out < 0:
        raise StudyError(f"held_out: {held_out} is negative; give 0 or more")
    if prevalence is not None and not 0 < prevalence < 1:
        raise StudyError(
            f"prevalence: {prevalence} is out of range; give a share above 0 and below 1, or leave it out to keep the "
            "natural one"
        )


def _sides(items: int, prevalence: float) -> tuple[int, int]:
    positive = round(prevalence * items)
    return positive, items - positive


def _most(positives: int, negatives: int, prevalence: float) -> int:
    """Return the largest number of items of that positive share, rounded as in ``_sides``."""
    # Rounding gains less than one item of a side, which is less than 1 / share items in all.
    items = min(int((positives + 1) / prevalence), int((negatives + 1) / (1 - prevalence)))
    while items > 0:
        positive, negative = _sides(items, prevalence)
        if positive <= positives and negative <= negatives:
            break
        items -= 1
    return items
