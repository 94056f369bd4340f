import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.config import PoolSource
from al_assets.storage.pool_reader import Pool, PoolError, count_rows, fold_duplicates, read_pool
from al_assets.storage.root import text_hash
from al_assets.tables import POOL, QUARANTINE


def read(path: Path, **settings: Any) -> Pool:
    source = PoolSource(path=str(path), **settings)
    found = read_pool(source, str(path))
    POOL.check(found.items)
    QUARANTINE.check(found.quarantine)
    # Every row is somewhere.
    assert found.items.height + found.quarantine.height == count_rows(source, str(path))
    return found


def jsonl(folder: Path, *rows: Any, name: str = "pool.jsonl") -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder / name


def reasons(pool: Pool) -> list[str]:
    return pool.quarantine["reason"].to_list()


GOOD = {"id": "good", "text": "fine"}


def test_the_three_formats_give_the_same_items(tmp_path: Path) -> None:
    rows = [{"id": f"i{number}", "text": f'größe "{number}",\nüber'} for number in range(5)]
    jsonl(tmp_path, *rows)
    pl.DataFrame(rows).write_csv(tmp_path / "pool.csv")
    pl.DataFrame(rows).write_parquet(tmp_path / "pool.parquet")
    pools = [read(tmp_path / f"pool.{kind}") for kind in ("jsonl", "csv", "parquet")]
    assert pools[0].items["text"].to_list() == [row["text"] for row in rows]
    assert pools[0].items["text_hash"].to_list() == [text_hash(row["text"]) for row in rows]
    for pool in pools:
        assert pool.items.equals(pools[0].items)
        assert pool.quarantine.is_empty()


def test_rows_count_as_they_are_told_to_and_a_weight_of_nothing_is_named(tmp_path: Path) -> None:
    weights: list[Any] = [3, "0.5", 0, -1, "many", None, float("inf")]
    path = jsonl(tmp_path, *({"id": f"i{at}", "text": f"text {at}", "seen": each} for at, each in enumerate(weights)))
    found = read(path, weight_column="seen")
    assert found.items.select("item_id", "weight").rows() == [("i0", 3.0), ("i1", 0.5)]
    assert reasons(found)[:2] == [
        f"{weight} in 'seen' is no number above 0; leave out what shall not count" for weight in (0, -1)
    ]
    assert len(reasons(found)) == 5
    assert read(path, counts="rows").items["weight"].to_list() == [1.0] * 7
    assert read(path).items["weight"].null_count() == 7
    with pytest.raises(PoolError, match="pool.weight_column: .* has no column 'clicks'"):
        read_pool(PoolSource(path=str(path), weight_column="clicks"), str(jsonl_as_parquet(path)))


def jsonl_as_parquet(path: Path) -> Path:
    pl.DataFrame({"id": ["a"], "text": ["fine"]}).write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def test_several_files_by_a_pattern_in_the_order_of_their_names(tmp_path: Path) -> None:
    jsonl(tmp_path, {"id": "b", "text": "second"}, name="part-2.jsonl")
    jsonl(tmp_path, {"id": "a", "text": "first"}, {"id": "b", "text": "again"}, name="part-10.jsonl")
    found = read(tmp_path / "part-*.jsonl")
    assert found.items["item_id"].to_list() == ["a", "b"]
    assert found.items["text"].to_list() == ["first", "again"]
    assert reasons(found) == ["the id 'b' was seen before; the first row with it is kept"]


def test_a_pool_elsewhere(tmp_path: Path) -> None:
    from upath import UPath

    url = f"memory://pool-{tmp_path.name}/pool.jsonl"
    UPath(url).write_bytes(b'{"id": 1, "text": "x"}\n')
    assert read_pool(PoolSource(path=url), url).items["item_id"].to_list() == ["1"]


@pytest.mark.parametrize(
    ("row", "item_id", "reason"),
    [
        ({"text": "x"}, None, "no id in 'id'"),
        ({"id": None, "text": "x"}, None, "no id in 'id'"),
        ({"id": " ", "text": "x"}, None, "no id in 'id'"),
        ({"id": ["a"], "text": "x"}, None, "no id in 'id'"),
        ({"id": True, "text": "x"}, None, "no id in 'id'"),
        ({"id": "good", "text": "x"}, "good", "the id 'good' was seen before; the first row with it is kept"),
        ({"id": "a"}, "a", "no text in 'text'"),
        ({"id": "a", "text": ""}, "a", "no text in 'text'"),
        ({"id": "a", "text": " \n\t "}, "a", "no text in 'text'"),
        ({"id": "a", "text": 7}, "a", "no text in 'text'"),
        ({"id": "a", "text": None}, "a", "no text in 'text'"),
        ({"id": "a", "text": "x" * 51}, "a", "the text has 51 characters; pool.max_characters is 50"),
        ({"id": "a", "text": "x\u0000y"}, "a", "holds a NUL character, which no database stores; remove it"),
        ({"id": "a", "text": "half \ud83d"}, "a", "not UTF-8; save the file as UTF-8"),
        ({"id": "\ud83d", "text": "x"}, "\\ud83d", "not UTF-8; save the file as UTF-8"),
        ({"id": "a", "text": "x", "from": "\ud83d"}, "a", "not UTF-8; save the file as UTF-8"),
        (b"{'id': 1}", None, "not JSON: Expecting property name enclosed in double quotes"),
        (b'{"id": "a", "text": "cut off', None, "not JSON: Unterminated string"),
        (b'["a", "b"]', None, "expected a JSON object, found list"),
        (b'{"id": "a", "text": "gr\xf6\xdfe"}', None, "not UTF-8 (byte 23 of the line); save the file as UTF-8"),
        (b"[" * 100_000, None, "not JSON: "),
        (b'{"id": ' + b"1" * 5000 + b"}", None, "not JSON: "),
        ({"id": "a", "text": "x", "when": "soon"}, "a", "'soon' in 'when' is no date; write it like 2026-05-01T12"),
        ({"id": "a", "text": "x", "when": {"day": 1}}, "a", "in 'when' is no date"),
    ],
)  # fmt: skip
def test_a_bad_row_is_set_aside_with_its_reason(tmp_path: Path, row: Any, item_id: str | None, reason: str) -> None:
    path = jsonl(tmp_path, GOOD, row, {"id": "after", "text": "fine too"})
    found = read(path, max_characters=50, source_column="from", arrived_at_column="when")
    assert found.items["item_id"].to_list() == ["good", "after"]
    assert found.quarantine["item_id"].to_list() == [item_id]
    assert found.quarantine["row"].to_list() == [2]
    assert reasons(found)[0].startswith(reason) or reason in reasons(found)[0]


def test_empty_lines_are_no_rows_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n\r\n  \n{"id": "b", "text": "y"}')
    found = read(path)
    assert found.items["item_id"].to_list() == ["a", "b"]
    assert found.quarantine.is_empty()
    (tmp_path / "pool.csv").write_bytes(b"\xef\xbb\xbfid,text\r\na,x\r\n")
    assert read(tmp_path / "pool.csv").items["item_id"].to_list() == ["a"]


def test_a_csv_row_in_another_encoding_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_bytes(b"id,text\na,fine\nb," + "größe".encode("latin-1") + b"\nc,fine too\n")
    found = read(path)
    assert found.items["item_id"].to_list() == ["a", "c"]
    assert reasons(found) == ["not UTF-8; save the file as UTF-8"]


def test_a_csv_row_with_too_many_or_too_few_cells(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("id,text\na,well, well\nb\nc,fine\n")
    found = read(path)
    assert found.items["item_id"].to_list() == ["c"]
    assert reasons(found) == ["3 cells under 2 columns; put a text with commas in quotes", "no text in 'text'"]


def test_an_enormous_text_costs_only_itself(tmp_path: Path) -> None:
    huge = "x" * 300_000
    (tmp_path / "pool.csv").write_text(f"id,text\na,{huge}\nb,fine\n")
    for path in (tmp_path / "pool.csv", jsonl(tmp_path, {"id": "a", "text": huge}, {"id": "b", "text": "fine"})):
        found = read(path)
        assert found.items["item_id"].to_list() == ["b"]
        assert reasons(found) == ["the text has 300000 characters; pool.max_characters is 20000"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pool.csv", b"id,body\na,x\n", "pool.text_column: .*pool.csv' has no column 'text'; it has id, body"),
        ("pool.csv", b"name,text\na,x\n", "pool.id_column: .*pool.csv' has no column 'id'; it has name, text"),
        ("pool.csv", b"", "has no column 'id'; it has none"),
        ("pool.csv", "id,text\na,größe\n".encode("utf-16"), "has no column 'id'; it has .*save the file as UTF-8"),
        ("pool.csv", b'id,text\na,fine\nb,"never closed\nc,fine\n', "after line 2 is not CSV .*check its quotes"),
        ("pool.jsonl", b"", r"has no usable row \(0 rejected\)"),
        ("pool.jsonl", b"{}\n{}\n", r"has no usable row \(2 rejected: no id in 'id'\)"),
        ("pool.jsonl", '{"id": "a", "text": "ö"}'.encode("utf-16"), "has no usable row .* not UTF-8"),
        ("pool.parquet", b"PAR1 and no more", "is not Parquet, or damaged .*; write the file again"),
        ("pool.xlsx", b"PK", r"ends in '.xlsx'; expected one of .jsonl, .csv, .parquet"),
        ("pool", b"", "ends in ''; expected one of"),
    ],
)  # fmt: skip
def test_a_pool_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PoolError, match=f"(?s){said}") as caught:
        read_pool(PoolSource(path=name), str(tmp_path / name))
    str(caught.value).encode()


@pytest.mark.parametrize("place", ["nothing.jsonl", "no-*.jsonl", "folder.jsonl"])
def test_a_place_where_no_pool_is(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    said = "cannot be read" if place.startswith("folder") else "does not exist; give a file, a glob or an fsspec URL"
    with pytest.raises(PoolError, match=f"pool.path: '.*{said}"):
        read_pool(PoolSource(path=place), str(tmp_path / place))


def test_a_named_column_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("id,text\na,x\n")
    source = PoolSource(path="pool.csv", source_column="sorce")
    with pytest.raises(PoolError, match="pool.source_column: .* has no column 'sorce'; it has id, text"):
        read_pool(source, str(tmp_path / "pool.csv"))


def test_dates_are_brought_to_utc(tmp_path: Path) -> None:
    written = ["2026-05-01", "2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", "2026-05-01 12:00", "", None]
    path = jsonl(tmp_path, *({"id": str(at), "text": "x", "when": when} for at, when in enumerate(written)))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    expected = [datetime(2026, 5, 1, tzinfo=UTC), noon, noon, noon, None, None]
    assert read(path, arrived_at_column="when").items["arrived_at"].to_list() == expected
    dated = pl.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "when": [date(2026, 5, 1), None]})
    dated.write_parquet(tmp_path / "pool.parquet")
    assert read(tmp_path / "pool.parquet", arrived_at_column="when").items["arrived_at"].to_list() == [
        expected[0],
        None,
    ]
    timed = dated.with_columns(when=pl.Series([datetime(2026, 5, 1, 12), None]))
    timed.write_parquet(tmp_path / "pool.parquet")
    assert read(tmp_path / "pool.parquet", arrived_at_column="when").items["arrived_at"].to_list() == [noon, None]


def test_other_columns_may_be_called_anything(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"key": 7, "body": "x", "channel": "mail", "text": "not this"})
    found = read(path, id_column="key", text_column="body", source_column="channel")
    assert found.items.select("item_id", "text", "source").rows() == [("7", "x", "mail")]


def test_duplicates_name_the_item_they_stand_behind(tmp_path: Path) -> None:
    rows = [{"id": name, "text": name} for name in "abcd"]
    items = read(jsonl(tmp_path, *rows)).items
    assert items["duplicate_of"].null_count() == 4
    assert fold_duplicates(items, [0, 0, 2, 0])["duplicate_of"].to_list() == [None, "a", None, "a"]
