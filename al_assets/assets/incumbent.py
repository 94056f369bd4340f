"""incumbent_model: who labels this iteration. The loop closes here, outside the asset graph."""

import dagster as dg

from al_assets.assets.partitioned import TableOutput, loop_asset, require_previous_iteration, table_output
from al_assets.assets.resource import LoopResource
from al_assets.models.incumbent import incumbent_of


@loop_asset("pool", {"model"})
def incumbent_model(context: dg.AssetExecutionContext, loop: LoopResource) -> TableOutput:
    """The labeler of this iteration: LLM-0 in 0000, later the student of the iteration before if it was promoted."""
    require_previous_iteration(context, loop.root)
    incumbent = incumbent_of(loop.policy, loop.root, context.partition_key)
    return table_output(
        incumbent.frame(),
        {"kind": incumbent.kind, "uri": incumbent.uri, "promoted_from": incumbent.promoted_from or "LLM-0"},
    )
