import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from al_assets.review.files.vote_files import UnreadableFileError, escape_cell, read_votes, unescape_cell
from al_assets_tests.support.policies import write


@pytest.mark.parametrize(
    "content",
    [
        "item_id,rater,label\na,anna,yes\n",
        "item_id;rater;label\r\na;anna;yes\r\n",
        "item_id\trater\tlabel\na\tanna\tyes",
        '\ufeffLabel , Item_ID,rater,text\n yes ,a, anna,"hi,\nthere"\n\n,,,\n',
    ],
)
def test_a_sheet_as_spreadsheets_save_it(tmp_path: Path, content: str) -> None:
    found = read_votes(UPath(write(tmp_path, "v.CSV", content)))
    assert [row.number for row in found.rows] == [2]
    values = found.rows[0].values
    assert (values["item_id"], values["rater"], values["label"], values["comment"]) == ("a", "anna", "yes", "")
    assert found.rejected == ()


def test_rows_are_numbered_as_the_spreadsheet_does(tmp_path: Path) -> None:
    content = 'item_id,rater,label,text\na,anna,yes,"two\nlines"\nb,anna,no,one,more\nc,anna,no,one\n'
    found = read_votes(UPath(write(tmp_path, "v.csv", content)))
    assert [(row.number, row.values["item_id"]) for row in found.rows] == [(2, "a"), (4, "c")]
    assert [(each.row, each.reason) for each in found.rejected] == [
        (3, "row: 5 cells under 4 columns; put a text with ',' in quotes")
    ]


def test_jsonl_with_a_malformed_line(tmp_path: Path) -> None:
    content = (
        '{"item_id": 7, "rater": "anna", "label": "yes", "comment": "a\u2028b"}\n'
        '{"item_id": "b", "rater": \n\n[1]\n{"item_id": "c", "rater": "ben", "label": true}\n'
    )
    found = read_votes(UPath(write(tmp_path, "v.jsonl", content)))
    assert [(row.number, row.values["item_id"], row.values["comment"]) for row in found.rows] == [(1, "7", "a\u2028b")]
    assert [each.row for each in found.rejected] == [2, 4, 5]
    assert found.rejected[0].reason.startswith("line 2: is not JSON (Expecting value")
    assert "a JSON object was expected, not list" in found.rejected[1].reason
    assert found.rejected[2].reason == "label: True is not text; write it as text"


def test_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame({"ITEM_ID": [1, 2], "rater": ["anna", None], "label": ["yes", "no"], "x": [[1], [2]]})
    frame.write_parquet(tmp_path / "v.parquet")
    found = read_votes(UPath(tmp_path / "v.parquet"))
    assert [(row.number, row.values["item_id"], row.values["rater"]) for row in found.rows] == [
        (1, "1", "anna"),
        (2, "2", ""),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", "item_id,label\na,yes\n", "v.csv: column rater is missing; found item_id, label; expected item_id,"),
        ("v.csv", "item_id,rater,label,label\n", "v.csv: column label is there twice"),
        ("v.csv", "", "v.csv: is empty"),
        ("v.csv", b"\xef\xbb\xbf", "column item_id, rater, label is missing"),
        (
            "v.csv",
            "item_id,rater,label\na,anna,näh\n".encode("latin-1"),
            r"is not UTF-8 \(byte 0xe4 at 28\); save a sheet as",
        ),
        ("v.csv", "item_id,rater,label\na,anna,yes\n".encode("utf-16"), "is not UTF-8"),
        ("v.csv", 'item_id,rater,label\na,anna,yes\nb,"ben,no\nc,ben,no\n', "v.csv: line 4 is not CSV"),
        ("v.jsonl", b"\xff\xfe{", "v.jsonl: is not UTF-8"),
        ("v.parquet", b"PAR1 and then nothing", "v.parquet: is not a whole Parquet file"),
        ("v.xlsx", b"PK", "v.xlsx: votes are read from .csv, .jsonl, .parquet files; save it as one of these"),
    ],
)
def test_an_unreadable_file_says_why(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=message):
        read_votes(UPath(write(tmp_path, name, content)))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"none.csv: cannot be read: No such file"):
        read_votes(UPath(tmp_path / "none.csv"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"item_id": ["a", "b"] * 20, "rater": ["anna"] * 40, "label": ["yes", 'n"o'] * 20})
    buffer = io.BytesIO()
    if kind == "csv":
        frame.write_csv(buffer)
    elif kind == "jsonl":
        frame.write_ndjson(buffer)
    else:
        frame.write_parquet(buffer)
    whole = buffer.getvalue()
    generator = np.random.default_rng(0)
    for attempt in range(150):
        damaged = bytearray(whole[: int(generator.integers(1, len(whole)))] if attempt % 2 else whole)
        for at in generator.integers(0, len(damaged), 5):
            damaged[at] = int(generator.integers(0, 256))
        try:
            found = read_votes(UPath(write(tmp_path, f"v.{kind}", bytes(damaged))))
        except UnreadableFileError:
            continue
        assert len(found.rows) + len(found.rejected) <= 100


@given(st.text())
def test_escaped_cells_come_back_and_start_no_formula(text: str) -> None:
    escaped = escape_cell(text)
    assert unescape_cell(escaped) == text
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r"))
