"""The layout of everything one policy's loop keeps, under one folder or URL."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from upath import UPath

from al_assets.storage.atomic import is_local, new_directory, read_table_file, write_bytes
from al_assets.storage.content_store import ContentStore
from al_assets.tables import TABLES

CACHE_VARIABLE = "AL_CACHE"


def cache_directory() -> Path:
    """Return this user's folder for what can be fetched again: ``AL_CACHE``, or ``~/.cache/al_assets``."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/al_assets").expanduser().absolute()


class RunRoot:
    """Where tables, stores, checkpoints and the inbox of one policy live.

    :param url: a folder or any fsspec URL.
    """

    def __init__(self, url: str) -> None:
        self.base = UPath(url)

    def table_path(self, name: str, key: str | None = None) -> UPath:
        """Return where a table is, or one iteration of it."""
        return self.base / name / f"{key}.parquet" if key is not None else self.base / f"{name}.parquet"

    def has_table(self, name: str, key: str) -> bool:
        """Tell whether an iteration of a table was written."""
        return self.table_path(name, key).exists()

    def table_keys(self, name: str) -> list[str]:
        """Return the iterations of a table that were written, in order."""
        folder = self.base / name
        if not folder.exists():
            return []
        return sorted(path.stem for path in folder.iterdir() if path.name.endswith(".parquet") and path.name[0] != ".")

    def read_table(self, name: str, key: str) -> pl.DataFrame:
        """Read an iteration of a table.

        :raises FileNotFoundError: it was never written.
        :raises StorageError: the file is damaged.
        """
        path = self.table_path(name, key)
        if not path.exists():
            raise FileNotFoundError(f"{name}[{key}]: not materialized yet; materialize it first ({path})")
        return read_table_file(path)

    def write_table(self, path: UPath, frame: pl.DataFrame) -> None:
        """Write a frame atomically."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd")
        write_bytes(path, buffer.getvalue())

    def vectors(self, embedder_fingerprint: str) -> ContentStore:
        """Return the vectors computed by an embedder."""
        return ContentStore(self.base / "vectors" / embedder_fingerprint, np.float16)

    def scores(self, labeler_fingerprint: str) -> ContentStore:
        """Return the scores given by a labeler."""
        return ContentStore(self.base / "scores" / labeler_fingerprint, np.float64)

    def label_model_path(self, labeler_fingerprint: str) -> UPath:
        """Return where the label model of a combination of labelers is kept."""
        return self.base / "label_models" / f"{labeler_fingerprint}.json"

    def checkpoint_path(self, fingerprint: str) -> UPath:
        """Return the directory of a student."""
        return self.base / "checkpoints" / fingerprint

    def local_path(self, relative: str) -> Path:
        """Return where a thing under the root is, or is cached, on this machine."""
        if self.is_local:
            return Path(self.base.path) / relative
        return cache_directory() / "roots" / text_hash(str(self.base)) / relative

    def local_checkpoint(self, fingerprint: str) -> Path:
        """Return a checkpoint as a local directory, downloaded once when the root is remote.

        :raises FileNotFoundError: there is no such checkpoint.
        """
        source, local = self.checkpoint_path(fingerprint), self.local_path(f"checkpoints/{fingerprint}")
        if not self.is_local and not local.exists() and source.exists():
            with new_directory(local) as directory:
                source.fs.get(source.path.rstrip("/") + "/", str(directory), recursive=True)
        if not local.exists():
            raise FileNotFoundError(
                f"checkpoint {fingerprint}: not found at {source}; materialize sft_checkpoint again"
            )
        return local

    def upload_directory(self, local: Path, target: UPath) -> None:
        """Copy a finished local directory to a remote root; a local root has it already."""
        if not self.is_local:
            target.fs.put(f"{local}/", target.path, recursive=True)

    @property
    def is_local(self) -> bool:
        """Tell whether the root is a folder of this machine."""
        return is_local(self.base)

    @property
    def inbox(self) -> UPath:
        """Return the folder into which files of votes are dropped."""
        return self.base / "inbox"


def check_table(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Check a frame against the declared columns of its table; a table without a declaration passes."""
    return TABLES[name].check(frame) if name in TABLES else frame


def data_version(frame: pl.DataFrame, *, ignore: tuple[str, ...] = ()) -> str:
    """Return 16 hex digits of a frame's contents: the same rows in the same order give the same version.

    :param ignore: columns that say how the frame came about rather than what it holds.
    """
    digest = hashlib.sha256()
    for name in sorted(set(frame.columns) - set(ignore)):
        column: Any = frame[name]
        digest.update(f"{name}:{column.dtype}".encode())
        buffer = io.BytesIO()
        pl.DataFrame({"c": column}).write_ipc(buffer, compression="uncompressed")
        digest.update(buffer.getvalue())
    return digest.hexdigest()[:16]


def text_hash(text: str) -> str:
    """Return the address of a text: 16 hex digits of the SHA-256 of its UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
