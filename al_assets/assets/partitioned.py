"""What every asset of the loop has in common: partitions, owners, concurrency pool, and how it returns a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from al_assets.partitions import PARTITIONS_NAME, previous_key
from al_assets.storage.root import RunRoot, data_version

ITERATIONS = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
OWNERS = ["team:al-assets"]
LOOP_POOL = "al_loop"
"""Every loop asset claims this pool; with one slot per run it keeps iterations in order, however a run was started."""

TableOutput = dg.Output[pl.DataFrame]


def loop_asset(group: str, kinds: set[str], **arguments: Any) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset of the loop, partitioned by iteration.

    :param group: the stage of the loop it belongs to: pool, curation, experts or learning.
    """
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        partitions_def=ITERATIONS, owners=OWNERS, group_name=group, kinds=kinds, pool=LOOP_POOL, **arguments
    )
    return decorate


def table_output(
    frame: pl.DataFrame, metadata: Mapping[str, Any] | None = None, *, ignore: Sequence[str] = ()
) -> TableOutput:
    """Return a frame whose data version is its content, so that recomputing the same makes nothing downstream stale."""
    return dg.Output(
        frame,
        metadata=dict(metadata or {}),
        data_version=dg.DataVersion(data_version(frame, ignore=tuple(ignore))),
    )


def require_previous_iteration(context: dg.AssetExecutionContext, root: RunRoot) -> None:
    """Refuse to go on when the iteration before did not end well.

    :raises dagster.Failure: it has no kappa report, or its latest run failed.
    """
    previous = previous_key(context.partition_key)
    if previous is None:
        return
    if not root.has_table("kappa_report", previous):
        raise dg.Failure(
            f"iteration {context.partition_key}: iteration {previous} has no kappa report yet; "
            f"finish it first (its labels, then the job 'learn' for {previous})",
            allow_retries=False,
        )
    records = context.instance.get_run_records(
        dg.RunsFilter(tags={"dagster/partition": previous}), limit=1, order_by="id"
    )
    if records and records[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
        run_id = records[0].dagster_run.run_id
        raise dg.Failure(
            f"iteration {context.partition_key}: the latest run of iteration {previous} failed (run {run_id}); "
            "re-execute it from the failed step, then come back",
            allow_retries=False,
        )
