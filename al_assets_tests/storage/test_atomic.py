import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from upath import UPath

from al_assets.storage.atomic import StorageError, move, new_directory, read_table_file, temporary_name, write_bytes


def local(path: Path) -> UPath:
    return UPath(str(path))


def test_a_file_appears_with_its_folders(tmp_path: Path) -> None:
    write_bytes(local(tmp_path / "a" / "b" / "c.bin"), b"hello")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"hello"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.bin"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for content in (b"old and longer", b"new"):
        write_bytes(local(tmp_path / "c.bin"), content)
    assert (tmp_path / "c.bin").read_bytes() == b"new"


def test_a_file_on_another_file_system() -> None:
    path = UPath("memory://atomic-test/deep/c.bin")
    for content in (b"old", b"new"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["c.bin"]


def test_temporary_names_differ_and_are_hidden(tmp_path: Path) -> None:
    path = local(tmp_path / "c.parquet")
    names = {temporary_name(path).name for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith(".c.parquet.") and name.endswith(".tmp") for name in names)


def test_readers_see_the_old_file_or_the_new_one_never_a_part(tmp_path: Path) -> None:
    path = local(tmp_path / "c.bin")
    contents = {bytes([each]) * 200_000 for each in b"abc"}
    write_bytes(path, b"a" * 200_000)
    seen, ended = set(), threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add(Path(path.path).read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for content in sorted(contents):
            write_bytes(path, content)
    ended.set()
    reader.join()
    assert seen <= contents


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_file_and_no_remains(full_disk: Path) -> None:
    path = local(full_disk / "table.parquet")
    write_bytes(path, b"old" * 1000)
    with pytest.raises(StorageError, match=r"table.parquet: cannot be written \(No space left on device\); free some"):
        write_bytes(path, os.urandom(400_000))
    assert path.read_bytes() == b"old" * 1000
    assert [each.name for each in full_disk.iterdir()] == ["table.parquet"]
    # What was freed can be written to again.
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_half_way_is_said_so_where_no_disk_can_be_mounted(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from upath import UPath\n"
        "from al_assets.storage.atomic import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write_bytes(UPath(sys.argv[1]), b'x' * 300_000)\n"
    )
    write_bytes(local(tmp_path / "table.parquet"), b"old")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "table.parquet")], capture_output=True, text=True, check=False
    )
    assert f"StorageError: {tmp_path}/table.parquet: cannot be written ({os.strerror(errno.EFBIG)})" in done.stderr
    assert "nothing was changed" in done.stderr
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("table.parquet", b"old")]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"cannot be written \((Not a directory|File exists)\)"):
        write_bytes(local(tmp_path / "file" / "c.bin"), b"x")


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "models" / "one"
    with new_directory(target) as folder:
        (folder / "weights").write_text("w")
        assert not target.exists()
    assert [each.name for each in target.iterdir()] == ["weights"]
    assert [each.name for each in target.parent.iterdir()] == ["one"]


def test_a_directory_whose_making_failed_never_appears(tmp_path: Path) -> None:
    def make() -> None:
        with new_directory(tmp_path / "one") as folder:
            (folder / "weights").write_text("w")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        make()
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_of_a_directory_wins(tmp_path: Path) -> None:
    with new_directory(tmp_path / "one") as slow:
        (slow / "weights").write_text("slow")
        with new_directory(tmp_path / "one") as quick:
            (quick / "weights").write_text("quick")
    assert (tmp_path / "one" / "weights").read_text() == "quick"
    assert [each.name for each in tmp_path.iterdir()] == ["one"]


def damaged(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
        "another kind": b"id,text\n1,a\n",
    }


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "another kind"])
def test_a_damaged_table_is_named_with_a_way_out(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "pool.parquet"
    pl.DataFrame({"a": range(100)}).write_parquet(path)
    path.write_bytes(damaged(path.read_bytes())[damage])
    with pytest.raises(StorageError, match=r"pool.parquet: is damaged \(.*\); delete it and materialize it again"):
        read_table_file(local(path))


def test_a_table_without_a_wanted_column_is_damaged(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "x.parquet")
    assert read_table_file(local(tmp_path / "x.parquet"), ["a"]).height == 1
    with pytest.raises(StorageError, match="no column b"):
        read_table_file(local(tmp_path / "x.parquet"), ["a", "b"])


@pytest.mark.parametrize("root", ["memory://move-test", None])
def test_move_replaces(tmp_path: Path, root: str | None) -> None:
    folder: Any = UPath(root or str(tmp_path))
    for name in ("a", "b"):
        write_bytes(folder / name, name.encode())
    move(folder / "a", folder / "b")
    assert (folder / "b").read_bytes() == b"a"
    assert not (folder / "a").exists()
