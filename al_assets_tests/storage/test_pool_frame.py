from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.storage.pool_frame import asked_so_far, pool_frame
from al_assets.storage.root import RunRoot
from al_assets.tables import TABLES


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    return RunRoot(str(tmp_path))


def write(root: RunRoot, name: str, key: str, *rows: dict[str, Any]) -> None:
    """Write rows of a table; columns that are not given hold null, or nothing in particular."""
    fillers: dict[Any, Any] = {pl.String: "-", pl.Int64: 0, pl.Float64: 0.5}
    columns = TABLES[name].columns
    missing = {column: None if each.nullable else fillers.get(each.dtype) for column, each in columns.items()}
    frame = pl.DataFrame([{**missing, **row} for row in rows], schema=TABLES[name].schema)
    root.write_table(root.table_path(name, key), TABLES[name].check(frame))


def test_everything_asked_is_told_once_by_the_iteration_that_asked_first(root: RunRoot) -> None:
    audit = {"reason": "audit", "stratum": "all", "stratum_size": 9, "inclusion_probability": 0.1}
    write(root, "review_queue", "0000", {"item_id": "a", **audit}, {"item_id": "b", "reason": "boundary"},
          {"item_id": "g", "reason": "gold"}, {"item_id": "r", "reason": "repeat"})  # fmt: skip
    write(
        root, "review_queue", "0001", {"item_id": "b", "reason": "boundary"}, {"item_id": "c", **audit, "revision": 1}
    )
    write(root, "review_queue", "0002", {"item_id": "d", **audit})
    found = asked_so_far(root, "0001")
    assert found.select("item_id", "iteration", "reason", "revision").rows() == [
        ("a", "0000", "audit", 0), ("b", "0000", "boundary", 0), ("c", "0001", "audit", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("read_again", [False, True])
def test_check_items_are_a_revision_of_their_own(root: RunRoot, read_again: bool) -> None:
    check = {"item_id": "b", "stratum": "they differ", "stratum_size": 4, "inclusion_probability": 0.2, "revision": 2}
    # A queue that is read again after the check holds its items too.
    again = [{**check, "reason": "check"}] if read_again else []
    write(root, "review_queue", "0000", {"item_id": "a", "reason": "boundary", "revision": 1}, *again)
    write(root, "check_queue", "0000", check)
    found = asked_so_far(root, "0000")
    assert found.select("item_id", "reason", "revision", "stratum").rows() == [
        ("a", "boundary", 1, None), ("b", "check", 2, "they differ"),
    ]  # fmt: skip


def test_an_item_joined_with_the_first_snapshot_that_held_it(root: RunRoot) -> None:
    write(root, "pool", "0000", {"item_id": "a"}, {"item_id": "gone"})
    write(root, "pool", "0001", {"item_id": "a"}, {"item_id": "b"})
    write(root, "pool", "0002", {"item_id": "a"}, {"item_id": "b"}, {"item_id": "c"})
    assert pool_frame(root, "0002").select("item_id", "joined").rows() == [("a", "0000"), ("b", "0001"), ("c", "0002")]
    assert pool_frame(root, "0001")["item_id"].to_list() == ["a", "b"]


def test_texts_count_once_rows_and_impressions_with_their_copies(root: RunRoot) -> None:
    items: list[dict[str, Any]] = [{"item_id": "a"}, {"item_id": "b"}, {"item_id": "c", "duplicate_of": "a"}]
    write(root, "pool", "0000", *items)
    assert dict(pool_frame(root, "0000").select("item_id", "weight").iter_rows()) == {"a": 1.0, "b": 1.0}
    for weights, expected in (([1.0, 1.0, 1.0], {"a": 2.0, "b": 1.0}), ([5.0, 0.5, 2.0], {"a": 7.0, "b": 0.5})):
        write(root, "pool", "0000", *({**item, "weight": weight} for item, weight in zip(items, weights, strict=True)))
        assert dict(pool_frame(root, "0000").select("item_id", "weight").iter_rows()) == expected
