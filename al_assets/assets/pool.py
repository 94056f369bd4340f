"""pool: a snapshot of the unlabelled items, cleaned, with near-duplicates folded."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import ITERATIONS, LOOP_POOL, OWNERS, Declaration, declared, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.config import Policy
from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.partitions import Job
from al_assets.storage.pool_reader import fold_duplicates, read_pool
from al_assets.tables import POOL, QUARANTINE

POOL_SOURCE = dg.AssetSpec(
    "pool_source",
    description="The unlabelled items as the team keeps them: JSONL, CSV or Parquet, outside this project's control.",
    owners=OWNERS,
    group_name="pool",
    kinds={"file"},
)


def _source(policy: Policy) -> list[str]:
    return [policy.pool.fingerprint()]


@declared(
    Declaration(POOL, Job.CURATE, depends_on=_source),
    Declaration(QUARANTINE, Job.CURATE, depends_on=_source),
)
@dg.multi_asset(
    name="pool_snapshot",
    outs={
        "pool": dg.AssetOut(
            description="Every usable item once, as of this iteration; near-duplicates name the item they copy.",
            owners=OWNERS, group_name="pool", kinds={"polars", "parquet"},
        ),
        "quarantine": dg.AssetOut(
            description="Rows that were left out of the pool, each with its reason.",
            owners=OWNERS, group_name="pool", kinds={"polars", "parquet"},
        ),
    },
    internal_asset_deps={"pool": {dg.AssetKey("pool_source")}, "quarantine": {dg.AssetKey("pool_source")}},
    deps=[dg.AssetKey("pool_source")],
    partitions_def=ITERATIONS,
    pool=LOOP_POOL,
)  # fmt: skip
def pool(loop: LoopResource) -> Iterator[dg.Output[pl.DataFrame]]:
    """Read, check and fold the pool."""
    source = loop.policy.pool
    found = read_pool(source, loop.policy.resolve(source.path))
    groups = near_duplicates(found.items["text"].to_list(), source.near_duplicate_similarity)
    items = fold_duplicates(found.items, groups.tolist())
    folded = items.height - items["duplicate_of"].null_count()
    metadata = {"items": items.height, "near_duplicates_folded": folded, "rows_quarantined": found.quarantine.height}
    yield dg.Output(items, "pool", metadata=metadata, data_version=table_output(items).data_version)
    yield dg.Output(
        found.quarantine,
        "quarantine",
        metadata={"rows": found.quarantine.height, "first_rows": table(found.quarantine.head(20))},
        data_version=table_output(found.quarantine).data_version,
    )


def representatives(pool: pl.DataFrame) -> pl.DataFrame:
    """Return the items that stand for themselves: near-duplicates are folded before anything else."""
    return pool.filter(pl.col("duplicate_of").is_null())
