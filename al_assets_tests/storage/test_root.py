from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from al_assets.storage.atomic import StorageError
from al_assets.storage.root import CACHE_VARIABLE, RunRoot, cache_directory, check_table, data_version, text_hash
from al_assets.tables import SchemaError

FRAME = pl.DataFrame({"item_id": ["a", "b"], "p": [0.25, 0.5]})


@pytest.fixture(params=["folder", "memory", "file"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> RunRoot:
    urls = {"folder": str(tmp_path), "memory": f"memory://{tmp_path.name}", "file": f"file://{tmp_path}"}
    return RunRoot(urls[request.param])


def test_tables_by_iteration(root: RunRoot) -> None:
    assert root.table_keys("scores") == []
    for key in ("0001", "0000"):
        root.write_table(root.table_path("scores", key), FRAME)
    assert root.table_keys("scores") == ["0000", "0001"]
    assert root.has_table("scores", "0001")
    assert not root.has_table("scores", "0002")
    assert root.read_table("scores", "0001").equals(FRAME)


def test_a_table_that_was_never_written(root: RunRoot) -> None:
    with pytest.raises(FileNotFoundError, match=r"scores\[0003\]: not materialized yet; materialize it first"):
        root.read_table("scores", "0003")


def test_a_damaged_table(root: RunRoot) -> None:
    path = root.table_path("scores", "0000")
    root.write_table(path, FRAME)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match=r"scores/0000.parquet: is damaged .*; delete it and materialize it again"):
        root.read_table("scores", "0000")


def test_a_half_written_table_is_no_iteration(root: RunRoot) -> None:
    root.write_table(root.table_path("scores", "0000"), FRAME)
    (root.base / "scores" / ".0001.parquet.12345678.tmp").write_bytes(b"half")
    assert root.table_keys("scores") == ["0000"]


def test_stores_are_kept_apart_by_model(root: RunRoot) -> None:
    root.scores("aaa").add(["h"], [0.5])
    root.vectors("aaa").add(["h"], np.ones((1, 4)))
    assert root.scores("bbb").known(["h"]) == set()
    assert root.scores("aaa").get(["h"]).tolist() == [0.5]
    assert root.vectors("aaa").get(["h"]).shape == (1, 4)


def test_label_models_are_kept_by_labeler(root: RunRoot) -> None:
    path = root.label_model_path("aaa")
    assert path.parent.parent == root.base
    assert path.name == "aaa.json"
    assert path != root.label_model_path("bbb")


def test_a_checkpoint_is_found_again(root: RunRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_CACHE", str(tmp_path / "cache of one machine"))
    made = root.local_path("checkpoints/abc")
    (made / "deep").mkdir(parents=True)
    (made / "weights").write_text("w")
    (made / "deep" / "more").write_text("m")
    root.upload_directory(made, root.checkpoint_path("abc"))
    assert (root.checkpoint_path("abc") / "weights").read_text() == "w"
    monkeypatch.setenv("AL_CACHE", str(tmp_path / "cache of another"))
    found = root.local_checkpoint("abc")
    assert (found / "weights").read_text() == "w"
    assert (found / "deep" / "more").read_text() == "m"
    assert root.local_checkpoint("abc") == found


def test_a_checkpoint_that_is_gone(root: RunRoot) -> None:
    with pytest.raises(FileNotFoundError, match="checkpoint nope: not found at .*; materialize sft_checkpoint again"):
        root.local_checkpoint("nope")


def test_checks_by_table_name() -> None:
    with pytest.raises(SchemaError, match="^pseudo_labels: missing columns"):
        check_table("pseudo_labels", FRAME)
    assert check_table("a_mart", FRAME) is FRAME


def test_a_data_version_follows_the_contents() -> None:
    version = data_version(FRAME)
    assert len(version) == 16
    assert data_version(FRAME.clone()) == version
    assert data_version(FRAME.select("p", "item_id")) == version
    assert data_version(pl.concat([FRAME[:1], FRAME[1:]])) == version
    assert data_version(FRAME.rechunk()) == version
    others = [
        FRAME.reverse(),
        FRAME.rename({"p": "q"}),
        FRAME.with_columns(pl.col("p").cast(pl.Float32)),
        FRAME.with_columns(p=pl.Series([0.25, np.nextafter(0.5, 1)])),
        FRAME.with_columns(p=pl.Series([0.25, None])),
        FRAME[:1],
    ]
    assert len({version, *map(data_version, others)}) == 7
    timed = FRAME.with_columns(seconds=1.5)
    assert data_version(timed, ignore=("seconds",)) == version
    assert data_version(timed.with_columns(seconds=9.9), ignore=("seconds",)) == version


def test_a_data_version_of_nested_and_empty_frames() -> None:
    nested = pl.DataFrame({"v": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float16, 2)), "l": [["a", "b"]]})
    assert data_version(nested) == data_version(nested.clone())
    assert data_version(nested.clear()) != data_version(nested)
    sliced = pl.concat([nested, nested]).slice(1, 1)
    assert data_version(sliced) == data_version(nested)
    assert data_version(pl.DataFrame({"t": [datetime(2026, 1, 1, tzinfo=UTC)]}))


def test_a_text_has_one_address() -> None:
    assert text_hash("größe") == text_hash("größe")
    assert len({text_hash(text) for text in ("", " ", "a", "A", "a ", "ä", "a\u0308", "\ud800")}) == 8
    assert len(text_hash("x")) == 16


def test_the_cache_is_in_the_home_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "/somewhere")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_directory() == Path.home() / ".cache" / "al_assets"
