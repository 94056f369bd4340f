"""Vectors read from where they lie: memory maps and arrays of float16 or float32, never copied whole."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import LENGTH_TOLERANCE, CurationError

BLOCK_ROWS = 16_384
"""Rows in memory as float32 at a time: 25 MB of 384 numbers each."""


class Vectors:
    """Rows of length one, whatever they are kept as; only the rows asked for are brought into memory.

    :param source: shape (items, dimensions), each row of length 1 within 0.01: an array or a memory map of float16,
        float32 or float64. It is kept, not copied, and must not change.
    :raises CurationError: wrong shape, or rows that are not finite or not of length one; names how many.
    """

    def __init__(self, source: ArrayLike) -> None:
        rows = source if isinstance(source, np.ndarray) else np.asarray(source)
        if rows.ndim != 2:
            raise CurationError(f"vectors: shape {rows.shape}; expected (items, dimensions), one row for each item")
        if rows.dtype not in (np.float16, np.float32):
            rows = rows.astype(np.float32)
        self._source: NDArray[Any] = rows
        self._scale = _scales(rows)

    @classmethod
    def of(cls, vectors: "Vectors | ArrayLike", items: int | None = None) -> Self:
        """Return the vectors as such, checked once.

        :param items: how many rows there must be.
        :raises CurationError: as the constructor, or another number of rows.
        """
        found = vectors if isinstance(vectors, cls) else cls(vectors)  # type: ignore[arg-type]
        if items is not None and len(found) != items:
            raise CurationError(
                f"vectors: shape {found.shape}; expected ({items}, dimensions), one row for each item"
            )
        return found

    def __len__(self) -> int:
        return len(self._source)

    @property
    def shape(self) -> tuple[int, int]:
        """Items and dimensions."""
        return self._source.shape[0], self._source.shape[1]

    @property
    def dimensions(self) -> int:
        """Numbers in each row."""
        return self.shape[1]

    def take(self, rows: NDArray[np.integer[Any]] | NDArray[np.bool_] | slice) -> NDArray[np.float32]:
        """Return those rows as float32 of length one, shape (rows, dimensions), in a new array."""
        picked = self._source[rows].astype(np.float32)
        picked *= self._scale[rows][:, None]
        return picked

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield all rows in their order, ``size`` at a time, each with its place."""
        for start in range(0, len(self), size):
            place = slice(start, min(start + size, len(self)))
            yield place, self.take(place)

    def __getstate__(self) -> dict[str, Any]:
        """A memory map travels as the name of its file: whoever gets it reads the same file."""
        source = self._source
        if isinstance(source, np.memmap) and source.filename is not None:
            return {
                "file": str(source.filename), "dtype": source.dtype, "shape": source.shape, "offset": source.offset,
                "scale": self._scale,
            }  # fmt: skip
        return {"source": source, "scale": self._scale}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._scale = state["scale"]
        if "source" in state:
            self._source = state["source"]
            return
        self._source = np.memmap(
            state["file"], dtype=state["dtype"], mode="r", offset=state["offset"], shape=state["shape"]
        )


def _scales(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return one over the length of each row, which undoes the rounding of float16."""
    scale = np.empty(len(rows), dtype=np.float32)
    broken = wrong = 0
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS].astype(np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        finite = np.isfinite(length)
        off = finite & (np.abs(length - 1) > LENGTH_TOLERANCE)
        broken += int((~finite).sum())
        wrong += int(off.sum())
        scale[start : start + len(block)] = 1 / np.where(finite & ~off, length, 1)
    if broken:
        raise CurationError(
            f"vectors: {broken} of {len(rows)} rows hold NaN or infinity; embed those items again or leave them out"
        )
    if wrong:
        raise CurationError(
            f"vectors: {wrong} of {len(rows)} rows are not of length 1; divide each row by its Euclidean length"
        )
    return scale
