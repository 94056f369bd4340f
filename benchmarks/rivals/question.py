"""What every system is asked, and how it gets to the process that asks: as files, never pickled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.strategies.by_score import implied_threshold
from benchmarks.pools.bench_pool import BenchPool

LABELLED_PER_SIDE = 10
"""Items of each pseudo-label whose true label is known from the start: most libraries cannot begin without."""
FULL_BUDGET = 250
_ITEMS_PER_PICK = 40
_BLOCK_ROWS = 65_536
# Scores of exactly 0 or 1 have no logit.
_LEAST_SCORE = 1e-12
_VECTORS, _COLUMNS, _ITEM_IDS = "vectors.npy", "columns.npz", "item_ids.arrow"


@dataclass(frozen=True)
class Question:
    """A pool as a system may see it: the truth is left out.

    :param vectors: shape (items, dimensions), as the pool keeps them; a memory map where read from files.
    :param scores: p_positive, shape (items,), on a scale where the pseudo-label changes at .5.
    :param positive: the pseudo-labels, shape (items,).
    :param labels: 1 (positive), 0 (negative) or NaN (not labelled), shape (items,).
    :param budget: how many of the unlabelled items to pick.
    """

    item_ids: pl.Series
    vectors: NDArray[Any]
    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    labels: NDArray[np.float64]
    budget: int
    seed: int

    @property
    def labelled_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items whose label is known."""
        return np.flatnonzero(~np.isnan(self.labels))

    @property
    def open_rows(self) -> NDArray[np.int64]:
        """Row numbers of the items that may be picked."""
        return np.flatnonzero(np.isnan(self.labels))

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The scores as other libraries want them: negative and positive, shape (items, 2)."""
        return np.stack((1 - self.scores, self.scores), axis=1)

    def dense(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the vectors of those rows, or all, as float32 in memory: the rivals take no float16."""
        return np.array(self.vectors if rows is None else self.vectors[rows], dtype=np.float32)


def pose(pool: BenchPool, budget: int, seed: int) -> Question:
    """Return the question that all systems are asked about a pool.

    Ten items of each pseudo-label, or all of a side that has fewer, are drawn by lot and labelled with their truth.
    """
    rng = np.random.default_rng((seed, 20))
    labels = np.full(len(pool.item_ids), np.nan)
    for side in (pool.positive, ~pool.positive):
        rows = np.flatnonzero(side)
        drawn = rng.choice(rows, min(LABELLED_PER_SIDE, len(rows)), replace=False)
        labels[drawn] = pool.truth[drawn]
    scores = centred_scores(pool.scores, pool.positive)
    return Question(pool.item_ids, pool.vectors, scores, pool.positive, labels, budget, seed)


def budget_for(items: int) -> int:
    """Return 250 for pools of 10,000 items or more, one for each 40 items of smaller ones, and at least 1."""
    return max(1, min(FULL_BUDGET, items // _ITEMS_PER_PICK))


def centred_scores(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the scores shifted on the logit scale so that .5 is where the pseudo-label changes.

    Other libraries take .5 for the boundary. Left as they are, scores whose threshold was matched to a prevalence would
    send them somewhere else, and only our own strategies would be told where the boundary is. The order is kept.
    """
    threshold = implied_threshold(scores, positive)
    if np.isnan(threshold):
        return scores
    clipped = np.clip(np.append(scores, threshold), _LEAST_SCORE, 1 - _LEAST_SCORE)
    logits = np.log(clipped) - np.log1p(-clipped)
    shifted: NDArray[np.float64] = 1 / (1 + np.exp(logits[-1] - logits[:-1]))
    return shifted


def write_question(question: Question, folder: Path) -> None:
    """Write the arrays of a question; the vectors are copied block by block, never all in memory."""
    vectors = np.lib.format.open_memmap(
        folder / _VECTORS, mode="w+", dtype=question.vectors.dtype, shape=question.vectors.shape
    )
    for start in range(0, len(vectors), _BLOCK_ROWS):
        vectors[start : start + _BLOCK_ROWS] = question.vectors[start : start + _BLOCK_ROWS]
    vectors.flush()
    np.savez(folder / _COLUMNS, scores=question.scores, positive=question.positive, labels=question.labels)
    question.item_ids.rename("item_id").to_frame().write_ipc(folder / _ITEM_IDS)


def read_question(folder: Path, budget: int, seed: int) -> Question:
    """Return a question from its files, the vectors as a memory map."""
    with np.load(folder / _COLUMNS) as columns:
        scores, positive, labels = columns["scores"], columns["positive"], columns["labels"]
    ids = pl.read_ipc(folder / _ITEM_IDS, memory_map=False)["item_id"]
    vectors = np.load(folder / _VECTORS, mmap_mode="r")
    return Question(ids, vectors, scores, positive, labels, budget, seed)
