"""Small candidates with a known truth."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.strategies.base import Candidates
from al_assets_tests.support.pools import topic_pool, unit


def six(**others: Any) -> Candidates:
    """Items a to f; half of them positive."""
    scores = np.array([0.1, 0.9, 0.45, 0.7, 0.3, 0.55])
    return Candidates(pl.Series("item_id", list("abcdef")), scores, scores >= 0.5, **others)


def topics(items: int = 300, *, labels: int = 0, seed: int = 0, **others: Any) -> Candidates:
    """A pool of topics, some of its items labelled, with all that any strategy may look at."""
    pool = topic_pool(items, seed=seed)
    rng = np.random.default_rng(seed)
    known = np.full(items, np.nan)
    rows = rng.permutation(items)[:labels]
    known[rows] = pool.positive[rows]
    given = {
        "vectors": Vectors(pool.vectors),
        "labels": known,
        "disagreement": rng.random(items),
        "reference": np.clip(pool.scores + rng.normal(0, 0.2, items), 0, 1),
    }
    return Candidates(pl.Series("item_id", pool.item_ids), pool.scores, pool.positive, **{**given, **others})


def on_circle(*degrees: float) -> NDArray[np.float32]:
    """Vectors of length one at those angles."""
    angles = np.radians(degrees)
    return unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def plain(vectors: NDArray[np.float32], scores: list[float] | None = None, **others: Any) -> Candidates:
    """Items 0, 1, 2 ... with those vectors, all scored alike unless told otherwise."""
    given = np.full(len(vectors), 0.25) if scores is None else np.array(scores)
    ids = pl.Series("item_id", [str(row) for row in range(len(vectors))], dtype=pl.String)
    return Candidates(ids, given, given >= 0.5, Vectors(vectors), **others)
