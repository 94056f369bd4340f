"""Provenance: what Dagster's event log knows of every loop asset, as two tables for the ``staleness`` mart.

Dagster itself marks only the next asset after a change of settings and reports nothing on a partitioned asset asked
without a key, so the question "which iterations are out of date, and why" is answered from these tables in SQL.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import OWNERS, table_output
from al_assets.assets.marts import GROUP, column_schema
from al_assets.partitions import PARTITIONS_NAME, previous_key
from al_assets.tables import DEPENDENCIES, MATERIALIZATIONS

CODE_VERSION = "dagster/code_version"
DATA_VERSION = "dagster/data_version"
INPUT_DATA_VERSION = "dagster/input_data_version/"
UNOBSERVED = "INITIAL"
"""The data version Dagster records for an upstream asset that has no event at all."""

HISTORY_PAGE = 100
"""Events read at a time."""

CLOSING = {"incumbent_model": "kappa_report"}
"""What an asset takes from the iteration before: the loop closes outside the asset graph, which knows no cycles."""


@dataclass(frozen=True)
class Made:
    """What the event log says of one asset in one iteration.

    :param latest_version: newest data version, whoever logged it.
    :param own: tags of the last event of the asset's own step, which alone carries code and input versions.
    """

    latest_version: str | None
    own: Mapping[str, str]
    run_id: str | None
    at: datetime | None


NEVER = Made(None, {}, None, None)
Place = tuple[dg.AssetKey, str | None]


def build_provenance(loop_assets: Iterable[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """Return the asset that writes ``materializations`` and ``dependencies``, downstream of all loop assets.

    :param loop_assets: the assets whose provenance is kept; their current code versions are read from them.
    """
    described = [spec for definition in loop_assets for spec in definition.specs]

    @dg.multi_asset(
        name="provenance",
        outs={each.name: _out(description) for each, description in _TABLES.items()},
        internal_asset_deps={each.name: {asset.key for asset in described} for each in _TABLES},
        deps=[asset.key for asset in described],
    )
    def provenance(context: dg.AssetExecutionContext) -> Iterator[dg.Output[pl.DataFrame]]:
        iterations = sorted(context.instance.get_dynamic_partitions(PARTITIONS_NAME))
        made = read_event_log(context.instance, described, iterations)
        outside = unpartitioned_versions(context.instance, described)
        frames = {
            MATERIALIZATIONS: materializations(described, made),
            DEPENDENCIES: dependencies(described, made, outside),
        }
        for declared, frame in frames.items():
            meanings = {name: column.description for name, column in declared.columns.items()}
            context.add_asset_metadata({"dagster/column_schema": column_schema(frame, meanings)}, declared.name)
            yield dg.Output(frame, declared.name, data_version=table_output(frame).data_version)

    return provenance


def read_event_log(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetSpec], iterations: Sequence[str]
) -> dict[Place, Made]:
    """Return the latest materialization of every asset in every iteration."""
    made: dict[Place, Made] = {}
    for asset in assets:
        wanted = iterations if asset.partitions_def is not None else (None,)
        latest = _latest(instance, asset.key, wanted)
        made |= {(asset.key, each): latest.get(each, NEVER) for each in wanted}
    return made


def unpartitioned_versions(instance: dg.DagsterInstance, assets: Sequence[dg.AssetSpec]) -> dict[dg.AssetKey, str]:
    """Return the current data version of what the assets read from outside the loop, materialized or observed."""
    outside = {dep.asset_key for asset in assets for dep in asset.deps} - {asset.key for asset in assets}
    versions: dict[dg.AssetKey, str] = {}
    for key in sorted(outside, key=str):
        record = instance.get_latest_data_version_record(key)
        tags = (record.event_log_entry.tags if record else None) or {}
        versions[key] = tags.get(DATA_VERSION, UNOBSERVED)
    return versions


def materializations(assets: Sequence[dg.AssetSpec], made: Mapping[Place, Made]) -> pl.DataFrame:
    """Return the table: one row for each asset and iteration, materialized or not."""
    now = {asset.key: asset.code_version for asset in assets}
    rows = [
        {
            "asset": key.to_user_string(),
            "iteration": iteration,
            "materialized_at": found.at,
            "run_id": found.run_id,
            "code_version_then": found.own.get(CODE_VERSION),
            "code_version_now": now[key],
            "computed_version": found.own.get(DATA_VERSION),
            "data_version": found.latest_version,
        }
        for (key, iteration), found in made.items()
    ]
    return MATERIALIZATIONS.check(pl.DataFrame(rows, schema=MATERIALIZATIONS.schema))


def dependencies(
    assets: Sequence[dg.AssetSpec], made: Mapping[Place, Made], outside: Mapping[dg.AssetKey, str]
) -> pl.DataFrame:
    """Return the table: one row for each asset, iteration and upstream asset.

    An upstream asset of the loop is that of the same iteration, or of the one that is mapped to; ``CLOSING`` adds what
    comes from the one before, for which no contents are compared.
    """
    loop = {asset.key: asset for asset in assets}
    rows: list[dict[str, str | None]] = []
    for (key, iteration), found in made.items():
        for dep in sorted(loop[key].deps, key=lambda each: str(each.asset_key)):
            upstream, mapping = dep.asset_key, dep.partition_mapping
            partitioned = upstream in loop and loop[upstream].partitions_def is not None
            of = mapping.partition_keys[0] if isinstance(mapping, dg.SpecificPartitionsPartitionMapping) else iteration
            place = (upstream, of if partitioned else None)
            latest = made.get(place, NEVER).latest_version if upstream in loop else outside[upstream]
            then = found.own.get(INPUT_DATA_VERSION + upstream.to_user_string())
            now = latest
            if partitioned and latest:
                # Dagster records a partition's data version with what is made from it hashed once more.
                now = hashlib.sha256(latest.encode()).hexdigest()
            rows.append(_dependency(key, iteration, *place, then, now))
        before = previous_key(iteration) if iteration else None
        closing = dg.AssetKey(CLOSING.get(key.to_user_string(), ""))
        if before and closing in loop:
            rows.append(_dependency(key, iteration, closing, before, None, None))
    return DEPENDENCIES.check(pl.DataFrame(rows, schema=DEPENDENCIES.schema))


_TABLES = {
    MATERIALIZATIONS: "When each asset of the loop was last materialized in each iteration, and under which settings.",
    DEPENDENCIES: "Which contents of its upstream assets each asset of the loop was made from, and what they are now.",
}


def _out(description: str) -> dg.AssetOut:
    return dg.AssetOut(description=description, group_name=GROUP, kinds={"dagster"}, owners=OWNERS, code_version="1")


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey, iterations: Sequence[str | None]) -> dict[str | None, Made]:
    found: dict[str | None, Made] = {}
    # Those that were never materialized would make the search go through the whole history.
    searched = set(iterations) & (instance.get_materialized_partitions(key) | {None})
    for record in _history(instance, key):
        iteration, tags = record.partition_key, record.event_log_entry.tags or {}
        if iteration in searched:
            latest = found.get(iteration, NEVER).latest_version or tags.get(DATA_VERSION)
            found[iteration] = Made(latest, {}, None, None)
            if CODE_VERSION in tags:
                at = datetime.fromtimestamp(record.timestamp, UTC)
                found[iteration] = Made(latest, tags, record.run_id, at)
                searched.remove(iteration)
        if not searched:
            break
    return found


def _history(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[dg.EventLogRecord]:
    """Yield the materializations of an asset, newest first."""
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(key, limit=HISTORY_PAGE, cursor=cursor)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def _dependency(
    key: dg.AssetKey, iteration: str | None, upstream: dg.AssetKey, of: str | None, then: str | None, now: str | None
) -> dict[str, str | None]:
    return {
        "asset": key.to_user_string(),
        "iteration": iteration,
        "upstream": upstream.to_user_string(),
        "upstream_iteration": of,
        "version_then": then,
        "version_now": now,
    }
