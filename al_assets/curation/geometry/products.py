"""The matrix products that selection is made of, in one place, so that a benchmark can ask which there were."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""Rows of the first, rows of the second, dimensions of both."""

_logs: list[list[Shape]] = []


def cosines(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of each row with each of the others, shape (rows, others)."""
    for log in _logs:
        log.append((len(rows), len(others), rows.shape[1]))
    product: NDArray[np.float32] = rows @ others.T
    return product


@contextmanager
def logged_products() -> Iterator[list[Shape]]:
    """Yield a list to which the shape of every product is added while the block runs, in this process."""
    log: list[Shape] = []
    _logs.append(log)
    try:
        yield log
    finally:
        _logs.remove(log)
