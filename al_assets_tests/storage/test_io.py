from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from al_assets.assets.loop_assets import loop_asset, table_output
from al_assets.storage.io import TableIOManager
from al_assets.storage.root import RunRoot
from al_assets.tables import QUARANTINE
from al_assets_tests.support.small_loop import failure

GOOD = pl.DataFrame({"row": [1, 2], "item_id": ["a", None], "reason": ["no text", "no id"]}, schema=QUARANTINE.schema)


@pytest.fixture(params=["folder", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "folder" else f"memory://io-{tmp_path.name}"


def materialize(base: str, frame: pl.DataFrame, selection: list[str] | None = None) -> dg.ExecuteInProcessResult:
    @loop_asset("pool", set())
    def quarantine() -> dg.Output[pl.DataFrame]:
        return table_output(frame)

    @loop_asset("pool", set())
    def a_mart(quarantine: pl.DataFrame) -> dg.Output[pl.DataFrame]:
        return table_output(quarantine.select("reason"))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("iteration", ["0003"])
        return dg.materialize(
            [quarantine, a_mart], partition_key="0003", instance=instance, selection=selection, raise_on_error=False,
            resources={"io_manager": TableIOManager(base_dir=base)},
        )  # fmt: skip


def test_a_frame_is_written_where_the_root_looks_for_it(base: str) -> None:
    assert materialize(base, GOOD).success
    root = RunRoot(base)
    assert root.read_table("quarantine", "0003").equals(GOOD)
    assert root.read_table("a_mart", "0003")["reason"].to_list() == ["no text", "no id"]
    assert [path.name for path in (root.base / "quarantine").iterdir()] == ["0003.parquet"]


def test_a_wrong_frame_is_refused_and_the_old_table_stays(base: str) -> None:
    assert materialize(base, GOOD).success
    done = materialize(base, GOOD.with_columns(reason=pl.lit(None, pl.String)))
    assert "quarantine.reason: 2 of 2 rows are null" in failure(done)
    assert RunRoot(base).read_table("quarantine", "0003").equals(GOOD)


def test_a_table_that_was_exchanged_on_disk_is_refused_when_read(base: str) -> None:
    assert materialize(base, GOOD).success
    root = RunRoot(base)
    root.write_table(root.table_path("quarantine", "0003"), GOOD.drop("reason"))
    assert "quarantine: missing columns ['reason']" in failure(materialize(base, GOOD, ["a_mart"]))


def test_a_damaged_table_is_named_when_read(base: str) -> None:
    assert materialize(base, GOOD).success
    path = RunRoot(base).table_path("quarantine", "0003")
    path.write_bytes(path.read_bytes()[:40])
    said = failure(materialize(base, GOOD, ["a_mart"]))
    assert "quarantine/0003.parquet: is damaged" in said
    assert "materialize it again" in said


def test_a_missing_table_is_named_when_read(base: str) -> None:
    assert "0003.parquet" in failure(materialize(base, GOOD, ["a_mart"]))


def test_the_columns_meaning_and_the_number_of_rows_are_logged(base: str) -> None:
    done = materialize(base, GOOD)
    (event,) = done.asset_materializations_for_node("quarantine")
    assert event.metadata["dagster/row_count"].value == 2
    columns = event.metadata["dagster/column_schema"].value
    assert isinstance(columns, dg.TableSchema)
    assert {column.name: column.description for column in columns.columns} == {
        name: column.description for name, column in QUARANTINE.columns.items()
    }
    constraints = {column.name: column.constraints for column in columns.columns}
    assert constraints["row"].unique
    assert not constraints["row"].nullable
    assert constraints["item_id"].nullable
