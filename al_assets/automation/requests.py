"""From a decision of the state machine to what Dagster is asked for; shared by the sensor and the schedule."""

import dagster as dg

from al_assets.assets.resource import LoopResource
from al_assets.automation.observe import JOB_TAG, POLICY_TAG, fail_runs_without_worker, observe
from al_assets.automation.state import Action, Occasion, Step, next_step
from al_assets.partitions import PARTITIONS_NAME


def decide(instance: dg.DagsterInstance, loop: LoopResource, occasion: Occasion) -> Step:
    """Observe the loop and return the step that follows; a new iteration's partition is added before its run."""
    fail_runs_without_worker(instance)
    state = observe(instance, loop, PARTITIONS_NAME, look_at_pool=occasion is Occasion.NIGHTLY)
    return next_step(state, occasion)


def run_request(step: Step, policy_name: str, asset_selection: list[dg.AssetKey] | None = None) -> dg.RunRequest:
    """Return the request for the step's run.

    :param asset_selection: what to run where the target holds more than the job, as a schedule's does.
    :raises ValueError: the step asks for no run.
    """
    if step.iteration is None or step.job is None:
        raise ValueError(f"step: {step.action} asks for no run")
    return dg.RunRequest(
        run_key=step.run_key,
        job_name=None if asset_selection else step.job.value,
        asset_selection=asset_selection,
        partition_key=step.iteration,
        tags={
            JOB_TAG: step.job.value,
            POLICY_TAG: policy_name,
            "al/run_key": step.run_key,
            "al/reason": step.reason,
        },
    )


def explained(step: Step) -> str:
    """Return the step as one line for the tick."""
    where = f"iteration {step.iteration}: " if step.iteration else ""
    wanted = f"{step.job}: " if step.action is Action.RUN and step.job else ""
    return f"{where}{wanted}{step.reason}"
