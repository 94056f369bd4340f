"""Curves of studies whose answers are known: the labels, the seeds, and by how much each seed shifts them."""

from typing import Any

import numpy as np
import polars as pl

LABELS = (100, 200, 300, 400)
SIZES = (100, 1_000, 10_000)
SEEDS = range(6)
SHIFT = np.random.default_rng(0).normal(0, 0.02, 6)


def seeded(seed: int) -> float:
    return float(SHIFT[seed] - SHIFT.mean())


def by_log(seed: int, labels: float) -> float:
    """The crowd's kappa: .2, .3, .4 at 100, 1,000, 10,000."""
    return 0.1 * float(np.log10(labels)) + seeded(seed)


def only(found: pl.DataFrame, **names: str) -> dict[str, Any]:
    for name, value in names.items():
        found = found.filter(pl.col(name) == value)
    assert len(found) == 1
    return found.row(0, named=True)
