import logging
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from al_assets.storage.atomic import StorageError
from al_assets.storage.content_store import ContentStore
from al_assets.storage.root import text_hash
from al_assets_tests.storage.test_atomic import damaged, full_disk

__all__ = ["full_disk"]
HASHES = [f"{number:016x}" for number in range(100)]
SCORES = np.random.default_rng(0).random(100)


def open_store(folder: Path | str, dtype: type[np.generic] = np.float64) -> ContentStore:
    return ContentStore(UPath(str(folder)), dtype)


def test_scores_come_back_exactly_in_the_order_asked_for(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(HASHES[:60], SCORES[:60])
    store.add(HASHES[60:], SCORES[60:])
    order = np.random.default_rng(1).permutation(100)
    for each in (store, open_store(tmp_path)):
        found = each.get([HASHES[place] for place in order])
        assert found.dtype == np.float64
        assert (found == SCORES[order]).all()
        assert each.get([HASHES[3]] * 2).tolist() == [SCORES[3]] * 2


def test_vectors_are_kept_in_half_precision(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    open_store(tmp_path, np.float16).add(HASHES[:5], vectors)
    found = open_store(tmp_path, np.float16).get(HASHES[:5])
    assert found.shape == (5, 8)
    assert (found == vectors.astype(np.float16)).all()


def test_only_what_was_added_is_known(tmp_path: Path) -> None:
    store = open_store(tmp_path / "not there yet")
    assert store.known(HASHES) == set()
    store.add(HASHES[:3], SCORES[:3])
    assert store.known(HASHES[1:5]) == set(HASHES[1:3])
    with pytest.raises(KeyError, match=f"1 of 2 texts have no value in .*; first: {HASHES[9]}"):
        store.get([HASHES[0], HASHES[9]])
    assert store.get([]).shape == (0,)


def test_what_another_process_added_is_seen(tmp_path: Path) -> None:
    first, second = open_store(tmp_path), open_store(tmp_path)
    assert first.known(HASHES) == set()
    second.add(HASHES[:2], SCORES[:2])
    assert first.known(HASHES) == set(HASHES[:2])


def test_a_value_once_computed_is_not_replaced(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(HASHES[:2], [0.1, 0.2])
    store.add([HASHES[1], HASHES[2]], [0.9, 0.3])
    assert store.get(HASHES[:3]).tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.1], "values: 1 for 2 texts"),
        ([0.1, np.nan], "1 of a batch of 2 are not finite"),
        ([np.inf, 1], "not finite"),
    ],
)
def test_wrong_values_are_refused_and_nothing_is_written(tmp_path: Path, values: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_store(tmp_path).add(HASHES[:2], values)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_batch_is_no_file(tmp_path: Path) -> None:
    open_store(tmp_path).add([], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "another kind"])
def test_a_damaged_batch_is_set_aside_and_computed_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    store.add(HASHES[:2], SCORES[:2])
    (first,) = tmp_path.iterdir()
    store.add(HASHES[2:4], SCORES[2:4])
    first.write_bytes(damaged(first.read_bytes())[damage])
    again = open_store(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert again.known(HASHES) == set(HASHES[2:4])
    assert "is damaged" in caplog.text
    assert f"set aside as {first.name}.damaged" in caplog.text
    again.add(HASHES[:2], SCORES[:2])
    assert (open_store(tmp_path).get(HASHES[:4]) == SCORES[:4]).all()
    assert first.with_name(f"{first.name}.damaged").exists()


def test_other_files_in_the_folder_are_not_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(HASHES[:2], SCORES[:2])
    for name in (".x.parquet.1234abcd.tmp", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"?")
    assert open_store(tmp_path).known(HASHES) == set(HASHES[:2])
    assert len(list(tmp_path.iterdir())) == 4


def test_a_model_exchanged_under_its_old_name_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path, np.float16)
    store.add(HASHES[:2], np.ones((2, 8)))
    store.add(HASHES[2:4], np.ones((2, 4)))
    with pytest.raises(
        ValueError, match="holds vectors of 4 and 8 numbers; the model was exchanged under its old name"
    ):
        store.get(HASHES[:4])
    assert store.get(HASHES[:2]).shape == (2, 8)


def test_a_full_disk_is_said_so_and_loses_nothing(full_disk: Path) -> None:
    store = open_store(full_disk)
    store.add(HASHES, SCORES)
    many = [text_hash(str(number)) for number in range(20_000)]
    with pytest.raises(StorageError, match=r"cannot be written \(No space left on device\); free some space"):
        store.add(many, np.random.default_rng(0).random(len(many)))
    again = open_store(full_disk)
    assert (again.get(HASHES) == SCORES).all()
    assert again.known(many[:10]) == set()
    # A smaller batch still fits.
    again.add(many[:10], SCORES[:10])
    assert open_store(full_disk).known(many[:10]) == set(many[:10])


def test_a_store_on_another_file_system() -> None:
    store = open_store("memory://content-store-test/scores")
    store.add(HASHES[:2], SCORES[:2])
    again = open_store("memory://content-store-test/scores")
    assert (again.get(HASHES[:2]) == SCORES[:2]).all()
