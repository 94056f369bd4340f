"""The sensor and the nightly schedule: from a decision of the state machine to what Dagster is asked for."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from al_assets.assets.loop_assets import LOOP_POOL
from al_assets.assets.resource import LoopResource
from al_assets.automation.observe import JOB_TAG, POLICY_TAG, fail_runs_without_worker, observe
from al_assets.automation.state import Action, Occasion, Step, next_step
from al_assets.partitions import PARTITIONS_NAME, Job
from al_assets.review.files.drop_folder import collect

if TYPE_CHECKING:
    # Dagster gives what define_asset_job returns no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as AssetJob

_REQUEST_SECONDS = 120.0
_TURN = threading.Lock()


def loop_sensor(jobs: list["AssetJob"], tables: Mapping[Job, list[str]], interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor ``loop_sensor``, on by default.

    :param tables: what each job makes.
    """

    @dg.sensor(
        name="loop_sensor",
        jobs=jobs,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Votes complete: learn, or report. Report says continue: open the next iteration. Reads the drop "
        "folder too.",
    )
    def sensor(context: dg.SensorEvaluationContext, loop: LoopResource) -> dg.SensorResult | dg.SkipReason:
        with loop.ledger() as ledger:
            for report in collect(loop.root.inbox, ledger, loop.policy):
                context.log.info(str(report))
        if outdated := jobs_outdated(tables, loop):
            return dg.SkipReason(outdated)
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


def nightly_schedule(tables: Mapping[Job, list[str]], cron: str, timezone: str) -> dg.ScheduleDefinition:
    """Return the schedule ``nightly``, on by default.

    A schedule has one target, so this one targets all assets of the loop and each request names those of its job.

    :param tables: what each job makes.
    """

    @dg.schedule(
        name="nightly",
        cron_schedule=cron,
        execution_timezone=timezone,
        target=dg.AssetSelection.assets(*sorted({name for names in tables.values() for name in names})),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Once a night: start iteration 0000, learn from late votes, reopen when the pool has grown.",
    )
    def nightly(context: dg.ScheduleEvaluationContext, loop: LoopResource) -> dg.RunRequest | dg.SkipReason:
        if outdated := jobs_outdated(tables, loop):
            return dg.SkipReason(outdated)
        step = decide(context.instance, loop, Occasion.NIGHTLY)
        if step.action is not Action.RUN or step.job is None:
            return dg.SkipReason(explained(step))
        if step.new_partition:
            context.instance.add_dynamic_partitions(PARTITIONS_NAME, [str(step.iteration)])
        context.log.info(explained(step))
        keys = [dg.AssetKey(name) for name in tables[step.job]]
        return run_request(step, loop.policy.policy.name, asset_selection=keys)

    return nightly


def jobs_outdated(tables: Mapping[Job, list[str]], loop: LoopResource) -> str | None:
    """Return why the jobs are not those of the policy file as it is now; None if they are.

    Whether there is a job ``report`` is decided when the definitions are loaded, and the policy is read at every tick.

    :param tables: what each job makes.
    """
    items = loop.policy.stopping.check_items
    if (Job.REPORT in tables) == (items > 0):
        return None
    return f"stopping.check_items is {items} now, which changes the loop's jobs: reload the code location"


def decide(instance: dg.DagsterInstance, loop: LoopResource, occasion: Occasion) -> Step:
    """Observe the loop and return the step that follows; what the other occasion has just asked for is waited for."""
    fail_runs_without_worker(instance)
    _limit_loop_pool(instance)
    with _TURN:
        state = observe(instance, loop, look_at_pool=occasion is Occasion.NIGHTLY)
        step = _with_partition(instance, next_step(state, occasion))
        return _unless_asked_for(instance, loop.policy.policy.name, step, occasion)


def _limit_loop_pool(instance: dg.DagsterInstance) -> None:
    """Give the loop's pool its limit before the first run claims it.

    Dagster gives a pool the default limit only after the first look at the queue, so the first backfill on a new home
    would start all its iterations at once.
    """
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        storage.initialize_concurrency_limit_to_default(LOOP_POOL)


def _with_partition(instance: dg.DagsterInstance, step: Step) -> Step:
    """Return the step; its partition is added too if a published iteration's is missing, as in a new Dagster home."""
    if step.action is not Action.RUN or instance.has_dynamic_partition(PARTITIONS_NAME, str(step.iteration)):
        return step
    return replace(step, new_partition=True)


def _unless_asked_for(instance: dg.DagsterInstance, policy_name: str, step: Step, occasion: Occasion) -> Step:
    """Return the step, or a wait: Dagster heeds run keys within a sensor or a schedule, not between the two.

    A request becomes a run some seconds later. It is noted meanwhile, and forgotten when no run came of it.
    """
    if step.action is not Action.RUN:
        return step
    notes, name, now = instance.daemon_cursor_storage, f"al/asked/{policy_name}", time.time()
    asked = json.loads(notes.get_cursor_values({name}).get(name, "{}"))
    if asked.get("run_key") == step.run_key and asked["by"] != occasion and now - asked["at"] < _REQUEST_SECONDS:
        return Step(Action.WAIT, f"the {asked['by']} occasion has just asked for {step.job}", step.iteration, step.job)
    notes.set_cursor_values({name: json.dumps({"run_key": step.run_key, "by": occasion.value, "at": now})})
    return step


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
