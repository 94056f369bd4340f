import gzip
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.study.report.result_rows import FIXED, checked_rows, read_rows, rows_file, tidy_rows
from al_assets_tests.support.studies import frame, row


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_come_in_one_order_with_the_columns_that_may_be_missing() -> None:
    rows = frame([row("random", 1, 0, 100, 0.2), row("random", 0, 0, 100, None, new_key=1)])
    assert rows["seed"].to_list() == [0, 1]
    assert rows["kappa"].to_list() == [None, 0.2]
    assert rows["variant"].to_list() == ["", ""]
    assert rows["ceiling"].to_list() == [None, None]
    assert "new_key" not in rows.columns


@pytest.mark.parametrize("key", FIXED)
def test_a_missing_column_is_named(tmp_path: Path, key: str) -> None:
    rows = frame([row("random", 0, 0, 100, 0.2)]).drop(key)
    with pytest.raises(ValueError, match=rf"rows.csv.gz: column '{key}' is missing"):
        read_rows(written(tmp_path, rows.write_csv()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "row 0: column 'seed' is null"),
        ({"labels": 1.5}, r"column 'labels' is Float64 \(\[1.5\]\); expected whole numbers"),
        ({"kappa": "high"}, r"column 'kappa' is String \(\['high'\]\); expected numbers or null"),
        ({"strategy": 3}, "column 'strategy' is Int64 .* expected text"),
        ({"seed": True}, r"column 'seed' is Boolean \(\[True\]\)"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_rows(pl.DataFrame([{**row("random", 0, 0, 100, 0.2), **change}]))


def test_a_row_that_is_there_twice_is_named() -> None:
    with pytest.raises(ValueError, match="strategy 'random', seed 0, round 0 is there twice"):
        frame([row("random", 0, 0, 100, 0.2), row("random", 0, 0, 100, 0.3)])


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path) -> None:
    whole = rows_file(frame([row("random", 0, 0, 100, 0.2)]))
    for content in (b"plain", whole[:-20], gzip.compress(gzip.decompress(whole).replace(b"0.2", b"high"))):
        path = tmp_path / "rows.csv.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"rows.csv.gz: is no gzipped CSV"):
            read_rows(path)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    rows = tidy_rows(
        frame([row("random", 0, 0, 100, 1 / 3, ceiling=None), row('"é", 7', 0, 0, 100, math.nan, dataset="17")])
    )
    assert rows["kappa"].to_list() == [None, 0.333333]
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(rows_file(rows))
    assert read_rows(path).equals(rows)
    assert rows_file(read_rows(path)) == path.read_bytes()
    text = gzip.decompress(path.read_bytes()).decode()
    assert len(text.splitlines()) == 3
    assert "ceiling" not in text
    assert read_rows(written(tmp_path, rows.clear().write_csv())).is_empty()
