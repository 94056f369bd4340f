from pathlib import Path

import polars as pl
import pytest
from upath import UPath

from al_assets.storage.root import RunRoot
from al_assets.storage.warehouse import Model, WarehouseError, load_models, parse_model, run_model
from al_assets.tables import TABLES

PER_ITERATION = """\
-- description: Items of the queue,
--   counted by iteration.
-- source review_queue: what was asked
-- column iteration: the iteration
-- column items: how many

select iteration, count(*) as items from review_queue group by iteration order by iteration
"""


def model(sql: str, sources: tuple[str, ...], columns: tuple[str, ...]) -> Model:
    return Model("m", "marts", "A model.", dict.fromkeys(columns, "a column"), dict.fromkeys(sources, "read"), sql)


def write(directory: Path, layer: str, name: str, sql: str) -> Path:
    path = directory / layer / f"{name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sql)
    return path


def queue(*items: str) -> pl.DataFrame:
    rows = {"item_id": items, "text": items, "reason": ["audit"] * len(items), "group_id": items}
    frame = pl.DataFrame({**rows, "revision": [0] * len(items)})
    missing = [name for name in TABLES["review_queue"].columns if name not in frame.columns]
    return TABLES["review_queue"].check(frame.with_columns(pl.lit(None).alias(name) for name in missing))


def votes(*rows: tuple[int, str]) -> pl.DataFrame:
    frame = pl.DataFrame({"seq": [row[0] for row in rows], "iteration": [row[1] for row in rows]})
    table = TABLES["expert_labels"]
    others = [name for name in table.columns if name not in frame.columns]
    return frame.select(*frame.columns, *(pl.lit(None, table.columns[name].dtype).alias(name) for name in others))


def test_parses_a_header_with_continued_lines(tmp_path: Path) -> None:
    parsed = parse_model(write(tmp_path, "marts", "asked", PER_ITERATION))
    assert (parsed.name, parsed.layer) == ("asked", "marts")
    assert parsed.description == "Items of the queue, counted by iteration."
    assert parsed.sources == {"review_queue": "what was asked"}
    assert parsed.columns == {"iteration": "the iteration", "items": "how many"}


def test_code_version_follows_the_text_of_the_file(tmp_path: Path) -> None:
    first = parse_model(write(tmp_path, "marts", "asked", PER_ITERATION))
    again = parse_model(write(tmp_path, "staging", "asked", PER_ITERATION))
    changed = parse_model(write(tmp_path, "marts", "asked", PER_ITERATION.replace("count(*)", "count(item_id)")))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != changed.fingerprint


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("-- description: Items of the queue,\n--   counted by iteration.\n", "", "no description"),
        ("-- source review_queue: what was asked\n", "", "no source"),
        ("-- column items: how many\n", "-- column items:\n", "no column or one without text"),
        ("-- column items: how many\n", "-- column iteration: again\n", ":5: column iteration is declared twice"),
        ("-- column items: how many\n", "-- column: how many\n", ":5: expected '-- description: text'"),
        ("-- column items: how many\n", "--column\n", ":5: '--column' is no description"),
        ("-- description", "-- descripton", ":1: '-- descripton: Items"),
    ],
)
def test_a_wrong_header_names_file_and_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = write(tmp_path, "marts", "asked", PER_ITERATION.replace(before, after))
    with pytest.raises(WarehouseError) as error:
        parse_model(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_models_come_after_what_they_read(tmp_path: Path) -> None:
    write(tmp_path, "marts", "a_last", PER_ITERATION.replace("review_queue", "b_first"))
    write(tmp_path, "staging", "b_first", PER_ITERATION)
    write(tmp_path, "marts", ".hidden", "not a model")
    assert list(load_models(tmp_path)) == ["b_first", "a_last"]


def test_a_circle_of_models_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "marts", "a", PER_ITERATION.replace("review_queue", "b"))
    write(tmp_path, "marts", "b", PER_ITERATION.replace("review_queue", "a"))
    with pytest.raises(WarehouseError, match="in a circle: "):
        load_models(tmp_path)


@pytest.mark.parametrize(("layer", "name"), [("marts", "review_queue"), ("marts", "asked")])
def test_a_taken_name_is_refused(tmp_path: Path, layer: str, name: str) -> None:
    write(tmp_path, "staging", "asked", PER_ITERATION)
    write(tmp_path, layer, name, PER_ITERATION)
    with pytest.raises(WarehouseError, match=f"the name '{name}' is taken"):
        load_models(tmp_path)


# A name with brackets would be a pattern to DuckDB, if no file were called that.
@pytest.mark.parametrize("folder", ["plain", "with [0] and space", "memory://warehouse-test"])
def test_reads_every_iteration_and_ignores_unfinished_files(tmp_path: Path, folder: str) -> None:
    root = RunRoot(folder if "://" in folder else str(tmp_path / folder))
    root.write_table(root.table_path("review_queue", "0000"), queue("a", "b"))
    root.write_table(root.table_path("review_queue", "0003"), queue("c"))
    for unfinished in (".0004.parquet.1234abcd.tmp", "0005.parquet.tmp", ".0006.parquet"):
        (root.base / "review_queue" / unfinished).write_bytes(b"half a file")
    sql = "select iteration, item_id from review_queue order by all"
    found = run_model(model(sql, ("review_queue",), ("iteration", "item_id")), root)
    assert found.rows() == [("0000", "a"), ("0000", "b"), ("0003", "c")]


def test_reads_a_remote_root_through_its_file_system() -> None:
    root = RunRoot("memory://warehouse-upstream")
    root.write_table(root.table_path("asked"), pl.DataFrame({"items": [1, 2]}))
    root.write_table(root.table_path("review_queue", "0000"), queue("a"))
    sql = "select iteration, items from review_queue cross join asked order by items"
    found = run_model(model(sql, ("review_queue", "asked"), ("iteration", "items")), root)
    assert found.rows() == [("0000", 1), ("0000", 2)]


def test_an_iteration_of_the_tables_own_stays_readable(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    root.write_table(root.table_path("expert_labels", "0001"), votes((1, "0000"), (2, "0001")))
    sql = "select iteration, queued_iteration, seq from expert_labels order by seq"
    found = run_model(model(sql, ("expert_labels",), ("iteration", "queued_iteration", "seq")), root)
    assert found.rows() == [("0001", "0000", 1), ("0001", "0001", 2)]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_never_written_is_empty_with_its_columns(tmp_path: Path, name: str) -> None:
    table = TABLES[name]
    own = ["queued_iteration"] if "iteration" in table.columns else []
    shown = ["iteration", *own, *(column for column in table.columns if column != "iteration")]
    found = run_model(model(f"select * from {name}", (name,), tuple(shown)), RunRoot(str(tmp_path)))
    assert found.height == 0
    plain = [column for column, declared in table.columns.items() if column not in ("iteration", "vector")]
    assert {column: found.schema[column] for column in plain} == {column: table.schema[column] for column in plain}


def test_given_frames_stand_for_sources(tmp_path: Path) -> None:
    given = {
        "review_queue": pl.DataFrame({"iteration": ["0007"], "item_id": ["a"]}),
        "asked": pl.DataFrame({"vector": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float16, 2))}),
    }
    sql = "select iteration, vector from review_queue cross join asked"
    found = run_model(model(sql, ("review_queue", "asked"), ("iteration", "vector")), RunRoot(str(tmp_path)), given)
    assert found.rows() == [("0007", [1.0, 2.0])]


def test_an_upstream_model_never_materialized_says_so(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"asked: not materialized yet; materialize it first \(.*asked.parquet\)"):
        run_model(model("select 1 as a from asked", ("asked",), ("a",)), RunRoot(str(tmp_path)))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    root = RunRoot(str(tmp_path))
    path = root.table_path("review_queue", "0000")
    path.parent.mkdir()
    path.write_bytes(b"no parquet")
    with pytest.raises(WarehouseError, match=r"source review_queue cannot be read: .*0000\.parquet"):
        run_model(model("select 1 as a from review_queue", ("review_queue",), ("a",)), root)


def test_a_source_that_is_not_declared_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="marts/m.sql: Catalog Error: Table with name review_queue does not exist"):
        run_model(model("select * from review_queue", (), ("item_id",)), RunRoot(str(tmp_path)))


def test_columns_that_differ_from_the_declared_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="declares the columns a, b but selects b, a"):
        run_model(model("select 1 as b, 2 as a", (), ("a", "b")), RunRoot(str(tmp_path)))


def test_times_are_utc_whatever_the_machine_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    sql = "select timestamptz '2026-11-22 17:00:00+00' as t"
    found = run_model(model(sql, (), ("t",)), RunRoot(str(tmp_path)))
    assert found.schema["t"] == pl.Datetime("us", "UTC")
    assert found["t"].dt.hour().to_list() == [17]


def test_nothing_is_left_behind_in_the_root(tmp_path: Path) -> None:
    run_model(model("select count(*) as n from review_queue", ("review_queue",), ("n",)), RunRoot(str(tmp_path)))
    assert list(UPath(tmp_path).iterdir()) == []
