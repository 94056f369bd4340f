"""Vectors that arrive in blocks and are kept as float16, in memory or in a file, never all as float32."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class VectorSink:
    """Takes blocks of rows in order; after the last, :attr:`vectors` holds them all.

    :param folder: where ``name``.npy appears, complete, when the sink is closed without an error; None: in memory.
    """

    def __init__(self, items: int, dimensions: int, folder: Path | None, name: str) -> None:
        self._shape = (items, dimensions)
        self._folder = folder
        self._name = name
        self._blocks: list[NDArray[np.float16]] = []

    def __enter__(self) -> Self:
        """Open the file."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            number, path = tempfile.mkstemp(prefix=f".{self._name}-", dir=self._folder)
            # Written as a stream and not through a memory map, whose dirty pages would count as this process's memory.
            self._file, self._partial = os.fdopen(number, "wb"), Path(path)
            header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": self._shape}
            np.lib.format.write_array_header_1_0(self._file, header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the complete file its name, or remove what there is of it."""
        if self._folder is None:
            return
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink()

    def add(self, rows: NDArray[np.float32]) -> None:
        """Keep the next rows."""
        block = rows.astype(np.float16)
        if self._folder is None:
            self._blocks.append(block)
        else:
            self._file.write(block.tobytes())

    @property
    def vectors(self) -> NDArray[Any]:
        """All rows, float16, shape (items, dimensions); a memory map if there is a folder."""
        if self._folder is None:
            return np.concatenate(self._blocks)
        return np.asanyarray(np.load(self._path, mmap_mode="r"))

    @property
    def _path(self) -> Path:
        return Path(self._folder or ".") / f"{self._name}.npy"
