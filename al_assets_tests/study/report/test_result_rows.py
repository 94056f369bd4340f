import json
import math
from pathlib import Path
from typing import Any

import pytest

from al_assets.study.report.result_rows import FIXED, read_rows, rows_frame, rows_text, tidy_rows
from al_assets_tests.support.study_rows import row


def written(tmp_path: Path, rows: Any) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    return path


def test_rows_are_read_in_one_order_with_the_keys_that_may_be_missing(tmp_path: Path) -> None:
    path = written(tmp_path, [row("random", 1, 0, 100, 0.2), row("random", 0, 0, 100, None, new_key=1)])
    rows = read_rows(path)
    assert rows["seed"].to_list() == [0, 1]
    assert rows["kappa"].to_list() == [None, 0.2]
    assert rows["variant"].to_list() == ["", ""]
    assert rows["ceiling"].to_list() == [None, None]
    assert "new_key" not in rows.columns


@pytest.mark.parametrize("key", FIXED)
def test_a_missing_key_is_named_with_its_row(tmp_path: Path, key: str) -> None:
    bad = {name: value for name, value in row("random", 1, 0, 100, 0.2).items() if name != key}
    with pytest.raises(ValueError, match=rf"results.json: row 1: key '{key}' is missing"):
        read_rows(written(tmp_path, [row("random", 0, 0, 100, 0.2), bad]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, "row 0: key 'seed' is null"),
        ({"labels": 1.5}, "row 0: key 'labels' is 1.5; expected a whole number"),
        ({"kappa": "high"}, "row 0: key 'kappa' is 'high'; expected a number or null"),
        ({"strategy": 3}, "row 0: key 'strategy' is 3; expected text"),
        ({"seed": True}, "row 0: key 'seed' is True"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows_frame([{**row("random", 0, 0, 100, 0.2), **change}])


def test_a_row_that_is_there_twice_is_named() -> None:
    with pytest.raises(ValueError, match="strategy 'random', seed 0, round 0 is there twice"):
        rows_frame([row("random", 0, 0, 100, 0.2), row("random", 0, 0, 100, 0.3)])


@pytest.mark.parametrize(("text", "message"), [("{", "is no JSON"), ("{}", "holds a dict"), ("[3]", "row 0: is a int")])
def test_what_is_no_list_of_rows_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rows(path)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    rows = tidy_rows(rows_frame([row("random", 0, 0, 100, 1 / 3, ceiling=None), row("é", 0, 0, 100, math.nan)]))
    text = rows_text(rows)
    path = tmp_path / "results.json"
    path.write_text(text)
    assert read_rows(path).equals(rows)
    assert len(text.splitlines()) == 4
    assert '"kappa": 0.333333' in text
    assert "ceiling" not in text
    assert json.loads(rows_text(rows.clear())) == []
