"""Content-addressed values: a text's vector or score, kept under the fingerprint of what computed it.

Each batch is one Parquet file, written atomically. A killed run therefore loses at most the batch it was computing, and
a text that was computed once is never computed again by the same model. A damaged file is set aside, and what it held
computed again.
"""

import io
import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from upath import UPath

from al_assets.config import fingerprint_of
from al_assets.storage.atomic import StorageError, move, read_table_file, write_bytes

_LOG = logging.getLogger(__name__)
_SUFFIX = ".parquet"


class ContentStore:
    """Values by text hash under one folder: scalars (n,) or vectors (n, d).

    :param folder: holds this store's batches and nothing else.
    :param dtype: what values are kept as; float64 for scores, float16 for vectors.
    """

    def __init__(self, folder: UPath, dtype: np.dtype[np.generic] | type[np.generic]) -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._read: set[str] = set()
        self._position: dict[str, tuple[int, int]] = {}
        self._blocks: list[NDArray[np.generic]] = []

    def known(self, hashes: Collection[str]) -> set[str]:
        """Return those of the hashes that have a value."""
        self._refresh()
        return {text for text in hashes if text in self._position}

    def get(self, hashes: Sequence[str]) -> NDArray[np.generic]:
        """Return the values of the hashes, in order, shape (n,) or (n, d).

        :raises KeyError: one has no value.
        :raises ValueError: vectors of several widths.
        """
        self._refresh()
        missing = [text for text in hashes if text not in self._position]
        if missing:
            raise KeyError(
                f"{len(missing)} of {len(hashes)} texts have no value in {self._folder}; first: {missing[0]}"
            )
        if not hashes:
            return np.empty((0,), dtype=self._dtype)
        places = [self._position[text] for text in hashes]
        widths = {self._blocks[block].shape[1:] for block, _ in places}
        if len(widths) > 1:
            raise ValueError(
                f"{self._folder}: holds vectors of {' and '.join(str(width[0]) for width in sorted(widths))} numbers; "
                "the model was exchanged under its old name: give it a new revision in the policy"
            )
        return np.stack([self._blocks[block][row] for block, row in places])

    def add(self, hashes: Sequence[str], values: ArrayLike) -> None:
        """Keep one batch of values; durable when this returns.

        :raises ValueError: as many values as hashes are needed, all finite.
        """
        array = np.asarray(values, dtype=self._dtype)
        if len(array) != len(hashes):
            raise ValueError(f"values: {len(array)} for {len(hashes)} texts")
        if not np.isfinite(array).all():
            raise ValueError(f"values: {int((~np.isfinite(array)).sum())} of a batch of {len(hashes)} are not finite")
        if not hashes:
            return
        name = f"{fingerprint_of(list(hashes))}{_SUFFIX}"
        buffer = io.BytesIO()
        pl.DataFrame({"text_hash": list(hashes), "value": pl.Series(array)}).write_parquet(buffer)
        write_bytes(self._folder / name, buffer.getvalue())
        self._index(name, hashes, array)

    def _refresh(self) -> None:
        if not self._folder.exists():
            return
        for path in sorted(self._folder.iterdir(), key=lambda path: path.name):
            if path.name in self._read or path.name.startswith(".") or path.suffix != _SUFFIX:
                continue
            try:
                frame = read_table_file(path, ("text_hash", "value"))
            except StorageError as error:
                _LOG.warning("%s; set aside as %s.damaged, what it held is computed again", error, path.name)
                # Another process may have been quicker.
                with suppress(FileNotFoundError):
                    move(path, path.parent / f"{path.name}.damaged")
                continue
            self._index(path.name, frame["text_hash"].to_list(), frame["value"].to_numpy())

    def _index(self, name: str, hashes: Iterable[str], values: NDArray[np.generic]) -> None:
        if name in self._read:
            return
        self._read.add(name)
        self._blocks.append(values)
        block = len(self._blocks) - 1
        for row, text in enumerate(hashes):
            self._position.setdefault(text, (block, row))
