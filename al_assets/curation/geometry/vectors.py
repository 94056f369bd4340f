"""Vectors read from where they lie: memory maps and arrays of float16 or float32, never copied whole."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import CurationError

# A vector kept as float16 has a length off by up to 1e-3; one that was never normalised is off by far more.
LENGTH_TOLERANCE = 0.01
BLOCK_ROWS = 16_384
"""Rows in memory as float32 at a time: 25 MB of 384 numbers each."""

_CACHED_ROWS = 1_024
_SIGN_EXPONENT_MANTISSA = np.int32(0x8FFFE000 - (1 << 32))
_EXPONENT_SHIFT = np.float32(2.0**112)
_NOT_FINITE = 65_536

Shape = tuple[int, int, int]
"""Rows of the first, rows of the second, dimensions of both."""

_logs: list[list[Shape]] = []


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
        self._rows: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, vectors: "Vectors | ArrayLike", items: int | None = None) -> Self:
        """Return the vectors as such, checked once.

        :param items: how many rows there must be.
        :raises CurationError: as the constructor, or another number of rows.
        """
        found = vectors if isinstance(vectors, cls) else cls(vectors)  # type: ignore[arg-type]
        if items is not None and len(found) != items:
            raise CurationError(f"vectors: shape {found.shape}; expected ({items}, dimensions), one row for each item")
        return found

    def view(self, rows: NDArray[np.int64]) -> "Vectors":
        """Return some of the rows, or all in another order, without copying any."""
        other = copy(self)
        other._rows = rows if self._rows is None else self._rows[rows]
        return other

    def __len__(self) -> int:
        return len(self._source) if self._rows is None else len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Items and dimensions."""
        return len(self), self._source.shape[1]

    @property
    def dimensions(self) -> int:
        """Numbers in each row."""
        return self.shape[1]

    def take(self, rows: NDArray[np.integer[Any]] | NDArray[np.bool_] | slice) -> NDArray[np.float32]:
        """Return those rows as float32 of length one, shape (rows, dimensions), in a new array."""
        if isinstance(rows, np.ndarray) and rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        there = rows if self._rows is None else self._rows[rows]
        scale = self._scale[there]
        picked = np.empty((len(scale), self.dimensions), dtype=np.float32)
        for start in range(0, len(scale), _CACHED_ROWS):
            stop = min(start + _CACHED_ROWS, len(scale))
            source = self._source[there][start:stop] if isinstance(there, slice) else self._source[there[start:stop]]
            _widen(source, scale[start:stop], picked[start:stop])
        return picked

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield all rows in their order, ``size`` at a time, each with its place."""
        for start in range(0, len(self), size):
            place = slice(start, min(start + size, len(self)))
            yield place, self.take(place)

    def __getstate__(self) -> dict[str, Any]:
        """Let a memory map travel as the name of its file: whoever gets it reads the same file."""
        source = self._source
        whole: Any = source.base
        # A part of a map, such as every other row, would be read as the whole.
        if isinstance(source, np.memmap) and source.filename is not None and isinstance(whole, mmap.mmap):
            mapped = _Mapped(source.dtype, source.shape, str(source.filename), source.offset)
            return {**self.__dict__, "_source": mapped}
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._source, _Mapped):
            self._source = self._source.open()


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


@dataclass(frozen=True)
class _Mapped:
    """Where a memory map is."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    filename: str
    offset: int

    def open(self) -> NDArray[Any]:
        return np.memmap(self.filename, dtype=self.dtype, mode="r", offset=self.offset, shape=self.shape)


def _widen(source: NDArray[Any], scale: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write rows times their scale as float32.

    numpy converts float16 number by number. Shifting the bits into place, sign and all, and multiplying by the
    difference of the exponents' biases gives the same numbers six times faster; infinity and NaN become 65,536 or more.
    """
    if source.dtype != np.float16:
        np.multiply(source, scale[:, None], out=out)
        return
    bits = out.view(np.int32)
    np.copyto(bits, source.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _SIGN_EXPONENT_MANTISSA, out=bits)
    np.multiply(out, (scale * _EXPONENT_SHIFT)[:, None], out=out)


def _scales(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return one over the length of each row, which undoes the rounding of float16."""
    scale = np.empty(len(rows), dtype=np.float32)
    ones = np.ones(_CACHED_ROWS, dtype=np.float32)
    buffer = np.empty((_CACHED_ROWS, rows.shape[1]), dtype=np.float32)
    broken = wrong = 0
    for start in range(0, len(rows), _CACHED_ROWS):
        source = rows[start : start + _CACHED_ROWS]
        block = buffer[: len(source)]
        _widen(source, ones[: len(source)], block)
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        # A row of length one holds no number above one; 65,536 stands for what is not finite in float16.
        finite = np.isfinite(length) & (length < _NOT_FINITE if rows.dtype == np.float16 else True)
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
