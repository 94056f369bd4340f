"""The sensor: collects votes from the drop folder, then does what the state machine says."""

from typing import TYPE_CHECKING

import dagster as dg

from al_assets.assets.resource import LoopResource
from al_assets.automation.requests import decide, explained, run_request
from al_assets.automation.state import Action, Occasion
from al_assets.partitions import PARTITIONS_NAME
from al_assets.review.files.drop_folder import collect

if TYPE_CHECKING:
    # Dagster gives what define_asset_job returns no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob


def loop_sensor(jobs: list["AssetJob"], interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor ``loop_sensor``, on by default."""

    @dg.sensor(
        name="loop_sensor",
        jobs=jobs,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Votes complete: learn. Report says continue: open the next iteration. Reads the drop folder too.",
    )
    def sensor(context: dg.SensorEvaluationContext, loop: LoopResource) -> dg.SensorResult | dg.SkipReason:
        with loop.ledger() as ledger:
            for report in collect(loop.root.inbox, ledger, loop.policy):
                context.log.info(str(report))
        step = decide(context.instance, loop, Occasion.SENSOR)
        if step.action is not Action.RUN:
            return dg.SkipReason(explained(step))
        partitions = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
        requests = [partitions.build_add_request([str(step.iteration)])] if step.new_partition else []
        context.log.info(explained(step))
        return dg.SensorResult(
            run_requests=[run_request(step, loop.policy.policy.name)], dynamic_partitions_requests=requests
        )

    return sensor
