"""Atomic files: written under a temporary name and renamed, so that a reader never sees half a file."""

import io
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from upath import UPath

TEMPORARY_SUFFIX = ".tmp"


class StorageError(OSError):
    """A file cannot be written, or is damaged; the message names it and what to do."""


def temporary_name(path: UPath) -> UPath:
    """Return an unused name beside ``path``; names with this suffix are ignored by every reader."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"


def write_bytes(path: UPath, data: bytes) -> None:
    """Write a whole file or nothing.

    :raises StorageError: the disk is full or the place cannot be written; the old file, if any, is untouched.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            if is_local(path):
                stream.flush()
                os.fsync(stream.fileno())
        move(temporary, path)
    except OSError as error:
        if temporary.exists():
            temporary.unlink()
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or fix the permissions, "
            "then run the step again - nothing was changed"
        ) from error


def read_table_file(path: UPath, columns: Collection[str] = ()) -> pl.DataFrame:
    """Read a Parquet file.

    :param columns: what it must hold.
    :raises StorageError: it is damaged.
    :raises OSError: it cannot be read at all; a file on another machine may be readable later.
    """
    data = path.read_bytes()
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StorageError(f"{path}: is damaged ({error}); delete it and materialize it again") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise StorageError(f"{path}: is damaged (no column {', '.join(missing)}); delete it and materialize it again")
    return frame


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory that becomes ``path`` when the block ends without an error.

    A ``path`` that appeared in the meantime wins: two writers of the same content-addressed directory agree.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}"
    temporary.mkdir()
    try:
        yield temporary
        if not path.exists():
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_local(path: UPath) -> bool:
    """Tell whether a path is on this machine."""
    return path.protocol in ("", "file", "local")


def move(source: UPath, target: UPath) -> None:
    """Rename a file, over another if there is one; atomic on this machine's disks."""
    if is_local(target):
        os.replace(source.path, target.path)
    else:
        source.fs.mv(source.path, target.path)
