"""The nightly schedule: starts the loop, picks up late votes, reopens it when the pool has grown."""

from collections.abc import Mapping

import dagster as dg

from al_assets.assets.resource import LoopResource
from al_assets.automation.requests import decide, explained, run_request
from al_assets.automation.state import Action, Occasion
from al_assets.partitions import PARTITIONS_NAME, Job


def nightly_schedule(halves: Mapping[Job, list[str]], cron: str, timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule ``nightly``, on by default.

    A schedule has one target, so this one targets all assets of the loop and each request names those of its half.
    """

    @dg.schedule(
        name="nightly",
        cron_schedule=cron,
        execution_timezone=timezone,
        target=dg.AssetSelection.assets(*sorted({name for half in halves.values() for name in half})),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Once a night: start iteration 0000, learn from late votes, reopen when the pool has grown.",
    )
    def nightly(context: dg.ScheduleEvaluationContext, loop: LoopResource) -> dg.RunRequest | dg.SkipReason:
        step = decide(context.instance, loop, Occasion.NIGHTLY)
        if step.action is not Action.RUN or step.job is None:
            return dg.SkipReason(explained(step))
        if step.new_partition:
            context.instance.add_dynamic_partitions(PARTITIONS_NAME, [str(step.iteration)])
        context.log.info(explained(step))
        keys = [dg.AssetKey(name) for name in halves[step.job]]
        return run_request(step, loop.policy.policy.name, asset_selection=keys)

    return nightly
