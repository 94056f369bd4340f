"""What the selection library is given: item ids, vectors and pseudo-labels in one order."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors

_ROWS_IN_MEMORY = 100_000
_ROWS_AT_ONCE = 50_000


class Sides(NamedTuple):
    """Items of the pool in the order of the embeddings.

    :param vectors: shape (items, dimensions), of length one.
    :param positive: shape (items,), the pseudo-labels.
    """

    item_ids: pl.Series
    vectors: Vectors
    positive: NDArray[np.bool_]


@contextmanager
def sides_of(pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame) -> Iterator[Sides]:
    """Yield pseudo-labels and vectors by item; those of a large pool are mapped from a temporary file, not held."""
    labels = dict(pseudo_labels.select("item_id", "label").iter_rows())
    ids = embeddings.select("item_id").collect()["item_id"]
    if len(ids) <= _ROWS_IN_MEMORY:
        yield _matched(ids, embeddings.select("vector").collect()["vector"].to_numpy(), labels)
        return
    with tempfile.TemporaryDirectory(prefix="al-vectors-") as folder:
        yield _matched(ids, _mapped(embeddings, len(ids), Path(folder) / "vectors.npy"), labels)


def _matched(ids: pl.Series, vectors: NDArray[Any], labels: dict[str, bool]) -> Sides:
    known = np.flatnonzero(ids.is_in(list(labels)).to_numpy())
    items = ids.gather(known)
    every = Vectors(vectors)
    positive = np.array([labels[item] for item in items], dtype=np.bool_)
    return Sides(items, every if len(known) == len(ids) else every.view(known), positive)


def _mapped(embeddings: pl.LazyFrame, rows: int, path: Path) -> NDArray[Any]:
    """Write the vectors into a file, some at a time, and return it as a memory map."""
    width = embeddings.select(pl.col("vector").head(1)).collect()["vector"].to_numpy().shape[1]
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, width))
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = embeddings.select("vector").slice(start, _ROWS_AT_ONCE).collect()["vector"]
        target[start : start + len(some)] = some.to_numpy()
    target.flush()
    mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    return mapped
