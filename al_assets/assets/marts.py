"""The SQL models as assets: one for each file of ``dbt_like_sql/``, recomputed over all iterations."""

from collections.abc import Collection, Mapping

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import OWNERS, TableOutput, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.storage.warehouse import Model, load_models, run_model

GROUP = "marts"
PREVIEW_ROWS = 20


def build_marts(
    models: Mapping[str, Model] | None = None, *, absent: Collection[str] = ()
) -> list[dg.AssetsDefinition]:
    """Return an asset for each model, downstream of the tables it reads.

    :param models: those of the project by default.
    :param absent: tables that no asset of the graph makes; a model reads them as they are, empty if they never were.
    :raises WarehouseError: a SQL file is declared wrongly.
    """
    return [_mart(model, absent) for model in (load_models() if models is None else models).values()]


def column_schema(frame: pl.DataFrame, meanings: Mapping[str, str]) -> dg.TableSchema:
    """Return a frame's columns with their types and what they mean, for the UI."""
    return dg.TableSchema(
        [dg.TableColumn(name, str(dtype), description=meanings.get(name)) for name, dtype in frame.schema.items()]
    )


def _mart(model: Model, absent: Collection[str]) -> dg.AssetsDefinition:
    @dg.asset(
        name=model.name,
        description=model.description,
        deps=sorted(set(model.sources) - set(absent)),
        group_name=GROUP,
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        tags={"al/layer": model.layer},
        metadata={"sql": dg.MetadataValue.md(f"```sql\n{model.sql}\n```")},
        code_version=model.fingerprint,
    )
    def mart(context: dg.AssetExecutionContext, loop: LoopResource) -> TableOutput:
        frame = run_model(model, loop.root)
        # Added to the asset rather than the output, where the IO manager's schema without meanings would win.
        context.add_asset_metadata({"dagster/column_schema": column_schema(frame, model.columns)})
        return table_output(frame, {"latest_rows": table(frame.tail(PREVIEW_ROWS))})

    return mart
