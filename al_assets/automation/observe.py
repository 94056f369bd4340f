"""What is stored, read into the state machine's terms. Nothing else keeps the state of the loop."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.assets.resource import WORKER_TAG, LoopResource, worker_is_gone
from al_assets.assets.round_inputs import not_to_ask
from al_assets.automation.state import CONTINUE, IterationState, LabelProgress, LoopState, RunHistory
from al_assets.curation.queue.review_queue import askable
from al_assets.partitions import PARTITIONS_NAME, Job, next_key
from al_assets.storage.ledger import Ledger
from al_assets.storage.pool_reader import count_rows

JOB_TAG, POLICY_TAG = "al/job", "al/policy"
ITERATION_TAG = "dagster/partition"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def observe(instance: dg.DagsterInstance, loop: LoopResource, *, look_at_pool: bool) -> LoopState:
    """Read the state of the loop.

    :param look_at_pool: count the pool's rows, which reads it; only the nightly occasion needs it.
    """
    policy = loop.policy
    key = newest_iteration(instance, loop)
    current = None if key is None else _iteration_state(instance, loop, key)
    return LoopState(
        current=current,
        max_attempts=policy.automation.max_attempts,
        deadline_hours=policy.review.deadline_hours,
        deadline_coverage=policy.review.deadline_coverage,
        checking=policy.stopping.check_items > 0,
        items_left=_items_left(loop, current.key) if current is not None and current.verdict == CONTINUE else None,
        pool_growth=_pool_growth(loop, key) if look_at_pool and key is not None else 0.0,
        reopen_growth=policy.stopping.reopen_growth,
        foreign_run_in_flight=_foreign_run(instance, loop, key),
    )


def newest_iteration(instance: dg.DagsterInstance, loop: LoopResource) -> str | None:
    """Return the newest iteration that was begun: its partition was added, or its queue was published."""
    with loop.ledger() as ledger:
        published = ledger.iterations()
    keys = [*instance.get_dynamic_partitions(PARTITIONS_NAME), *published]
    return max(keys) if keys else None


def fail_runs_without_worker(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process is gone: a killed machine must not stop the loop for ever.

    :return: the runs' ids.
    """
    failed = []
    started = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=started)):
        worker = run.tags.get(WORKER_TAG)
        if worker and worker_is_gone(worker):
            instance.report_run_failed(run, f"its worker process ({worker}) is gone; the loop will try again")
            failed.append(run.run_id)
    return failed


def _iteration_state(instance: dg.DagsterInstance, loop: LoopResource, key: str) -> IterationState:
    reported = loop.root.has_table("kappa_report", key)
    conclusion = conclusion_of(loop.root.read_table("kappa_report", key)) if reported else None
    with loop.ledger() as ledger:
        # Answers to hidden items change no report, and would call for another one every night.
        late = 0 if conclusion is None or conclusion.watermark is None else ledger.changed_labels(conclusion.watermark)
        labels = replace(_label_progress(ledger, loop, key, check=False), late=late)
        check = _label_progress(ledger, loop, key, check=True)
    curate, learn, report = (_history(instance, loop, key, job) for job in (Job.CURATE, Job.LEARN, Job.REPORT))
    # A report whose run failed a blocking check is no ground to go on, nor are check items of such a run. Without check
    # items to ask the job report is not there any more, and what became of it once says nothing.
    failed = learn.failures or (report.failures and loop.policy.stopping.check_items)
    return IterationState(
        key=key,
        queue_published=labels.queued > 0 and loop.root.has_table("review_queue", key),
        labels=labels,
        check_drawn=loop.root.has_table("check_queue", key) and not learn.failures,
        check=check,
        verdict=None if failed or conclusion is None else conclusion.verdict,
        curate=curate,
        learn=learn,
        report=report,
    )


def _label_progress(ledger: Ledger, loop: LoopResource, key: str, *, check: bool) -> LabelProgress:
    progress = ledger.progress(key, loop.policy.review.votes_per_item, check=check)
    opened = progress.last_published_at
    hours = (datetime.now(UTC) - opened).total_seconds() / 3600 if opened else 0.0
    return LabelProgress(progress.queued, progress.complete, hours)


def _history(instance: dg.DagsterInstance, loop: LoopResource, key: str, job: Job) -> RunHistory:
    tags = {ITERATION_TAG: key, JOB_TAG: job.value, POLICY_TAG: loop.policy.policy.name}
    runs: Sequence[dg.DagsterRun] = instance.get_runs(dg.RunsFilter(tags=tags))
    ended = [run for run in runs if run.is_finished]
    failures = 0
    for run in ended:
        if run.is_success:
            break
        failures += 1
    return RunHistory(in_flight=len(ended) < len(runs), attempts=len(ended), failures=failures)


def _foreign_run(instance: dg.DagsterInstance, loop: LoopResource, key: str | None) -> str | None:
    """Return a run in flight that a person started: assets from the UI, a backfill, a job of an earlier iteration."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        policy = run.tags.get(POLICY_TAG)
        by_hand = policy is None and bool(run.asset_selection)
        if by_hand or (policy == loop.policy.policy.name and run.tags.get(ITERATION_TAG) != key):
            return run.run_id
    # Between two of its runs a backfill has none in flight, and is not over.
    requested = instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]))
    return f"of backfill {requested[0].backfill_id}" if requested else None


def _items_left(loop: LoopResource, key: str) -> int | None:
    """Count what the next iteration may ask about; read only when there is to be one, as it reads the pool."""
    if not loop.root.has_table("pool", key):
        return None
    pool = loop.root.read_table("pool", key)
    return askable(pool, not_to_ask(loop, next_key(key), pool)).height


def _pool_growth(loop: LoopResource, key: str) -> float:
    if not loop.root.has_table("pool", key):
        return 0.0
    source = loop.policy.pool
    before = loop.root.read_table("pool", key).height + loop.root.read_table("quarantine", key).height
    return count_rows(source, loop.policy.resolve(source.path)) / max(1, before) - 1
