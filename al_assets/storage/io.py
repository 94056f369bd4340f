"""The IO manager: polars frames as Parquet under the run root, checked against their schema, written atomically."""

import polars as pl
from dagster import InputContext, MetadataValue, OutputContext, TableColumn, TableColumnConstraints, TableSchema
from dagster_polars import PolarsParquetIOManager
from upath import UPath

from al_assets.storage.atomic import is_local, read_table_file
from al_assets.storage.root import RunRoot, check_table
from al_assets.tables import TABLES


class TableIOManager(PolarsParquetIOManager):
    """dagster-polars' Parquet manager with checks, atomic writes, and the columns' meaning in the metadata.

    A frame is checked against its declared schema before it is written and after it is read, and a file appears whole
    or not at all: a run killed while writing leaves the table of the run before.
    """

    def write_df_to_path(self, context: OutputContext, df: pl.DataFrame, path: UPath) -> None:
        """Check and write a frame."""
        RunRoot(str(self.base_dir)).write_table(path, check_table(context.asset_key.path[-1], df))

    def scan_df_from_path(self, path: UPath, context: InputContext, partition_key: str | None = None) -> pl.LazyFrame:
        """Read and check a frame.

        What is asked for as a LazyFrame is read when it is used and part by part, so it is checked when written alone.
        """
        if context.dagster_type.typing_type is pl.LazyFrame and is_local(path):
            return pl.scan_parquet(path.path)
        return check_table(context.asset_key.path[-1], read_table_file(path)).lazy()

    def get_metadata(self, context: OutputContext, obj: pl.DataFrame | pl.LazyFrame | None) -> dict[str, MetadataValue]:
        """Return row count, size and columns; no random sample, so that the same run logs the same metadata."""
        if not isinstance(obj, pl.DataFrame):
            return {}
        return {
            "dagster/row_count": MetadataValue.int(obj.height),
            "dagster/column_schema": MetadataValue.table_schema(_table_schema(context.asset_key.path[-1], obj)),
            "size_mb": MetadataValue.float(round(obj.estimated_size("mb"), 3)),
        }


def _table_schema(name: str, frame: pl.DataFrame) -> TableSchema:
    table, columns = TABLES.get(name), []
    for column, dtype in frame.schema.items():
        known = table.columns.get(column) if table else None
        allowed = TableColumnConstraints(
            nullable=known is None or known.nullable, unique=table is not None and table.key == (column,)
        )
        columns.append(
            TableColumn(column, str(dtype), description=known.description if known else None, constraints=allowed)
        )
    return TableSchema(columns)
