"""Texts embedded shard by shard, on this machine or on many; a run that was killed goes on with what is missing."""

import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from upath import UPath

from al_assets.config import EmbeddingSettings, Policy
from al_assets.curation.checks import CurationError, check_at_least
from al_assets.curation.runner import THREADS, Runner
from al_assets.models.embedders import Embedder, make_embedder
from al_assets.storage.atomic import StorageError, move, temporary_name, write_bytes

_BLOCK = 4_096
_LOADING = Lock()
_LOADED: dict[tuple[str, str], Embedder] = {}


@dataclass(frozen=True)
class ParquetTexts:
    """Rows ``start`` to ``stop`` of a column of a Parquet file, read where they are embedded.

    :param path: reachable under this name from every node.
    """

    path: str
    column: str
    start: int
    stop: int

    def read(self) -> list[str]:
        """Return the texts."""
        rows = pl.scan_parquet(self.path).slice(self.start, self.stop - self.start).select(self.column).collect()
        return rows[self.column].to_list()


Shard = Sequence[str] | ParquetTexts


@dataclass(frozen=True)
class EmbeddedShards:
    """The vectors of all shards, one after the other.

    :param vectors: float16, shape (texts, dimensions), rows of length one within rounding: a memory map of ``path``.
    :param rows: of each shard; with them a ``RayRunner`` divides the pool as it was embedded.
    :param embedded_now: shards that this call embedded; the others were there.
    """

    vectors: NDArray[Any]
    path: Path
    rows: tuple[int, ...]
    embedded_now: int


def embed_shards(
    shards: Sequence[Shard],
    settings: EmbeddingSettings,
    policy: Policy,
    folder: Path,
    runner: Runner = THREADS,
) -> EmbeddedShards:
    """Embed every shard as a task of its own, and return all vectors as one memory map.

    Each shard becomes a file when it is complete, named after the embedder and the texts. Stopped at any moment and
    called again, it repeats at most the shards that were under way. When all are there they are made one file, for
    which there has to be room beside them, and removed.

    :param shards: texts, or where they are read; none may be empty.
    :param folder: seen by every node under the same path.
    :param runner: a process of it loads the embedder once, whatever the number of shards it gets.
    :raises CurationError: no shards, or an empty one.
    :raises EmbedderError: the model cannot be loaded or gives unusable vectors.
    :raises StorageError: a file cannot be written.
    """
    check_at_least("shards", len(shards), 1)
    folder = Path(folder).absolute()
    named = list(runner.map(_name_of, range(len(shards)), _Shards(shards), settings.fingerprint()))
    rows = tuple(count for _, count in named)
    if 0 in rows:
        raise CurationError(f"shards: number {rows.index(0)} of {len(rows)} holds no text; leave it out")
    files = [folder / name for name, _ in named]
    whole = folder / f"{settings.fingerprint()}-{_digest([name for name, _ in named])}.npy"
    missing = [number for number, file in enumerate(files) if not file.exists()]
    if whole.exists():
        missing = []
    else:
        work = [(number, str(files[number])) for number in missing]
        for _ in runner.map(_embed, work, _Shards(shards), settings, policy):
            pass
        _join(files, rows, whole)
    for file in files:
        file.unlink(missing_ok=True)
    return EmbeddedShards(np.load(whole, mmap_mode="r"), whole, rows, len(missing))


def text_shards(texts: Sequence[str] | pl.Series, count: int) -> list[list[str]]:
    """Return the texts in that many shards of about equal length, fewer if there are fewer texts."""
    check_at_least("count", count, 1)
    every = list(texts)
    edges = [len(every) * place // count for place in range(count + 1)]
    return [every[start:stop] for start, stop in zip(edges, edges[1:], strict=False) if stop > start]


def parquet_shards(path: str | Path, column: str, rows: int) -> list[ParquetTexts]:
    """Return the texts of a Parquet file in shards of so many rows, without reading them.

    :param column: of strings, without nulls.
    :raises CurationError: there is no such column; names those there are.
    """
    check_at_least("rows", rows, 1)
    frame = pl.scan_parquet(str(path))
    columns = frame.collect_schema().names()
    if column not in columns:
        raise CurationError(f"column: {str(path)!r} has no column {column!r}; it has {', '.join(columns) or 'none'}")
    total = frame.select(pl.len()).collect().item()
    return [ParquetTexts(str(path), column, start, min(start + rows, total)) for start in range(0, total, rows)]


@dataclass(frozen=True)
class _Shards:
    """All shards, so that a task takes its own from what was sent to its node once."""

    shards: Sequence[Shard]

    def texts(self, number: int) -> Sequence[str]:
        shard = self.shards[number]
        return shard.read() if isinstance(shard, ParquetTexts) else shard


def _name_of(number: int, shards: _Shards, fingerprint: str) -> tuple[str, int]:
    texts = shards.texts(number)
    return f"{fingerprint}-shard-{_digest(texts)}.npy", len(texts)


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:24]


def _embed(part: tuple[int, str], shards: _Shards, settings: EmbeddingSettings, policy: Policy) -> None:
    number, file = part
    texts = shards.texts(number)
    # Once each: pools hold copies.
    distinct = list(dict.fromkeys(texts))
    embedder = _embedder(settings, policy)
    vectors = np.concatenate(
        [
            embedder.embed(distinct[start : start + _BLOCK]).astype(np.float16)
            for start in range(0, len(distinct), _BLOCK)
        ]
    )
    place = {text: row for row, text in enumerate(distinct)}
    ordered = vectors[[place[text] for text in texts]]
    write_bytes(UPath(file), _header(ordered.shape) + ordered.tobytes())


def _embedder(settings: EmbeddingSettings, policy: Policy) -> Embedder:
    """Return this process's embedder, loaded once for all its shards."""
    key = (settings.model_dump_json(), policy.resolve_model(settings.model))
    with _LOADING:
        if key not in _LOADED:
            # Another model was wanted before; two would not fit everywhere.
            _LOADED.clear()
            embedder = make_embedder(settings, policy)
            # Threads that ask at once would each load it.
            _ = embedder.dimensions
            _LOADED[key] = embedder
        return _LOADED[key]


def _header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _join(files: Sequence[Path], rows: Sequence[int], whole: Path) -> None:
    """Write the shards' rows one after the other as one file, which appears when it is complete."""
    temporary = Path(str(temporary_name(UPath(whole))))
    dimensions = np.load(files[0], mmap_mode="r").shape[1]
    try:
        with temporary.open("wb") as stream:
            stream.write(_header((sum(rows), dimensions)))
            for file, count in zip(files, rows, strict=True):
                with file.open("rb") as source:
                    source.seek(len(_header((count, dimensions))))
                    shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        move(UPath(temporary), UPath(whole))
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"{whole}: cannot be written ({error.strerror or error}); free some space or fix the permissions, then run "
            "it again - the shards are kept"
        ) from error
