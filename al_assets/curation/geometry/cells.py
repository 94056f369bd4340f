"""Micro cells: spherical k-means of many small cells, trained on a sample, every row given to its nearest centroid."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import check_at_least
from al_assets.curation.geometry.vectors import Vectors, cosines
from al_assets.curation.runner import THREADS, Runner

_ROUNDS = 8
# More training rows for each centroid cost time and hardly move the cells.
_ROWS_PER_CELL = 48
_BLOCK = 4_096


def micro_cells(
    vectors: Vectors | ArrayLike,
    rows: NDArray[np.int64] | None = None,
    *,
    items_per_cell: int,
    seed: int,
    runner: Runner = THREADS,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the cell of each of the rows, the cells' centroids, and each row's distance from its centroid.

    There are about ``items / items_per_cell`` cells, but no more than ``2 sqrt(items)``; none is empty.

    :param vectors: shape (items, dimensions), rows of length one.
    :param rows: row numbers, shape (rows,); None is all.
    :return: cells (rows,), centroids of length one (cells, dimensions), distances 1 - cosine (rows,) in [0, 2].
    """
    vectors = Vectors.of(vectors)
    rows = np.arange(len(vectors)) if rows is None else rows
    check_at_least("items_per_cell", items_per_cell, 1)
    if not len(rows):
        return np.zeros(0, dtype=np.int32), vectors.take(rows), np.zeros(0, dtype=np.float32)
    wanted = max(1, min(len(rows) // items_per_cell, int(2 * np.sqrt(len(rows)))))
    centroids = train_centroids(vectors, rows, wanted, seed, runner)
    nearest, cosine = assign_cells(vectors, rows, centroids, runner)
    used, cells = np.unique(nearest, return_inverse=True)
    return cells.astype(np.int32), centroids[used], np.clip(1 - cosine, 0, 2).astype(np.float32)


def train_centroids(
    vectors: Vectors, rows: NDArray[np.int64], cells: int, seed: int, runner: Runner = THREADS
) -> NDArray[np.float32]:
    """Return the centroids of spherical k-means (Dhillon and Modha 2001) on a seeded sample of the rows.

    The first centroids are rows of the sample. A cell that lost all its rows takes the row that fits its own worst.

    :return: shape (cells, dimensions), each of length one.
    """
    rng = np.random.default_rng((seed, 6))
    sample = np.sort(rng.choice(rows, min(len(rows), cells * _ROWS_PER_CELL), replace=False))
    training = vectors.take(sample)
    centroids = training[np.sort(rng.choice(len(training), cells, replace=False))]
    blocks = [training[start : start + _BLOCK] for start in range(0, len(training), _BLOCK)]
    for _ in range(_ROUNDS):
        nearest, cosine = _joined(runner.map(_nearest, blocks, centroids))
        centroids = _means(training, nearest, cosine, cells)
    return centroids


def assign_cells(
    vectors: Vectors,
    rows: NDArray[np.int64],
    centroids: NDArray[np.float32],
    runner: Runner = THREADS,
    offsets: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the nearest centroid of each of the rows and the cosine to it, two arrays of shape (rows,).

    :param offsets: added to the cosine to each centroid before they are compared, shape (cells,).
    """
    parts = runner.divide(rows, np.ones(len(rows)))
    if not parts:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    return _joined(runner.map(_assign_part, parts, vectors, centroids, offsets))


def _assign_part(
    part: NDArray[np.int64], vectors: Vectors, centroids: NDArray[np.float32], offsets: NDArray[np.float32] | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return _joined(
        _nearest(vectors.take(part[start : start + _BLOCK]), centroids, offsets)
        for start in range(0, len(part), _BLOCK)
    )


def _joined(
    parts: Iterable[tuple[NDArray[np.int32], NDArray[np.float32]]],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    nearest, cosine = zip(*parts, strict=True)
    return np.concatenate(nearest), np.concatenate(cosine)


def _nearest(
    block: NDArray[np.float32], centroids: NDArray[np.float32], offsets: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    cosine = cosines(block, centroids)
    if offsets is not None:
        cosine += offsets
    nearest = cosine.argmax(axis=1)
    return nearest.astype(np.int32), cosine[np.arange(len(block)), nearest]


def _means(
    training: NDArray[np.float32], nearest: NDArray[np.int32], cosine: NDArray[np.float32], cells: int
) -> NDArray[np.float32]:
    from scipy.sparse import csr_array

    ones = np.ones(len(training), dtype=np.float32)
    member = csr_array((ones, (nearest, np.arange(len(training)))), shape=(cells, len(training)))
    sums = np.asarray(member @ training)
    lengths = np.linalg.norm(sums, axis=1)
    lost = np.flatnonzero(lengths < 1e-6)
    sums[lost] = training[np.argsort(cosine, kind="stable")[: len(lost)]]
    lengths[lost] = 1
    return np.asarray(sums / lengths[:, None], dtype=np.float32)
