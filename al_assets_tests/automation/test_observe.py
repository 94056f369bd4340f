import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psutil
import pytest
from dagster._core.test_utils import create_run_for_test

from al_assets.assets.resource import WORKER_TAG, worker_identity, worker_is_gone
from al_assets.automation.observe import (
    ITERATION_TAG,
    JOB_TAG,
    POLICY_TAG,
    fail_runs_without_worker,
    newest_iteration,
    observe,
)
from al_assets.automation.requests import decide, explained, run_request
from al_assets.automation.state import Action, LoopState, Occasion, RunHistory, Step
from al_assets.partitions import Job
from al_assets.report.iteration_tables import last_change
from al_assets.storage.ledger import WITHDRAWN, Vote
from al_assets_tests.support.reports import stored_report
from al_assets_tests.support.small_loop import MakeLoop, SmallLoop

Status = dg.DagsterRunStatus


def look(loop: SmallLoop, *, look_at_pool: bool = False) -> LoopState:
    return observe(loop.instance, loop.loop, look_at_pool=look_at_pool)


def add_run(loop: SmallLoop, status: Status, job: str = "learn", key: str = "0000", **tags: str) -> dg.DagsterRun:
    own = {JOB_TAG: job, POLICY_TAG: "strongly_negative", ITERATION_TAG: key}
    run: dg.DagsterRun = create_run_for_test(loop.instance, job_name=job, status=status, tags={**own, **tags})
    return run


def write_report(loop: SmallLoop, verdict: str, watermark: int, key: str = "0000") -> None:
    report = stored_report(
        [{"figure": "labels", "scope": "loop", "estimate": 40.0}], verdict=verdict, watermark=watermark
    )
    loop.root.write_table(loop.root.table_path("kappa_report", key), report)


def test_a_loop_that_never_started_has_no_current_iteration(make_loop: MakeLoop) -> None:
    loop = make_loop()
    state = look(loop, look_at_pool=True)
    assert state.current is None
    assert state.pool_growth == 0
    assert state.max_attempts == 3


def test_a_published_queue_is_seen(curated: SmallLoop) -> None:
    state = look(curated)
    assert state.current is not None
    assert state.current.key == "0000"
    assert state.current.queue_published
    assert state.current.labels.queued == 40
    assert state.current.labels.complete == 0
    assert state.current.verdict is None


def test_items_left_are_counted_when_the_report_says_continue(curated: SmallLoop) -> None:
    assert look(curated).items_left is None
    write_report(curated, "continue", 0)
    items = curated.root.read_table("pool", "0000").filter(pl.col("duplicate_of").is_null()).height
    assert look(curated).items_left == items - 40


def test_the_original_of_an_asked_copy_is_not_left_to_ask(curated: SmallLoop) -> None:
    write_report(curated, "continue", 0)
    left = look(curated).items_left
    pool = curated.root.read_table("pool", "0000")
    with curated.loop.ledger() as ledger:
        asked = ledger.queue()["item_id"].to_list()
    original = pool.filter(pl.col("duplicate_of").is_null() & ~pl.col("item_id").is_in(asked))["item_id"][0]
    copied = pl.when(pl.col("item_id") == asked[0]).then(pl.lit(original)).otherwise("duplicate_of")
    curated.root.write_table(curated.root.table_path("pool", "0000"), pool.with_columns(duplicate_of=copied))
    assert left is not None
    assert look(curated).items_left == left - 1


def test_a_partition_that_was_only_added_is_the_newest_iteration(curated: SmallLoop) -> None:
    curated.instance.add_dynamic_partitions("iteration", ["0001"])
    state = look(curated)
    assert state.current is not None
    assert state.current.key == "0001"
    assert not state.current.queue_published


def test_a_lost_instance_still_knows_the_published_iteration(curated: SmallLoop) -> None:
    curated.instance.delete_dynamic_partition("iteration", "0000")
    assert newest_iteration(curated.instance, curated.loop) == "0000"


def test_in_a_new_dagster_home_a_published_iteration_gets_its_partition_back(curated: SmallLoop) -> None:
    curated.answer("0000")
    curated.instance.delete_dynamic_partition("iteration", "0000")
    answer = curated.sense()
    assert isinstance(answer, dg.SensorResult)
    assert curated.grant(answer).run_key == "0000/learn/0"
    assert curated.instance.has_dynamic_partition("iteration", "0000")


def test_a_queue_in_the_ledger_whose_table_is_missing_is_not_published(curated: SmallLoop) -> None:
    curated.root.table_path("review_queue", "0000").unlink()
    state = look(curated)
    assert state.current is not None
    assert not state.current.queue_published


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING])
def test_a_run_that_has_not_ended_is_in_flight(curated: SmallLoop, status: Status) -> None:
    add_run(curated, status)
    state = look(curated)
    assert state.current is not None
    assert state.current.learn == RunHistory(in_flight=True)
    assert state.current.curate == RunHistory()
    assert decide(curated.instance, curated.loop, Occasion.NIGHTLY).action is Action.WAIT


def test_failures_are_counted_since_the_last_success(curated: SmallLoop) -> None:
    for status in (Status.FAILURE, Status.FAILURE, Status.SUCCESS, Status.FAILURE, Status.CANCELED):
        add_run(curated, status)
    state = look(curated)
    assert state.current is not None
    assert state.current.learn == RunHistory(in_flight=False, attempts=5, failures=2)


def test_runs_of_other_policies_and_iterations_do_not_count(curated: SmallLoop) -> None:
    add_run(curated, Status.FAILURE, key="0001")
    add_run(curated, Status.FAILURE, **{POLICY_TAG: "spam"})
    add_run(curated, Status.STARTED, **{POLICY_TAG: "spam"})
    state = look(curated)
    assert state.current is not None
    assert state.current.learn == RunHistory()
    assert state.foreign_run_in_flight is None


def test_assets_started_by_hand_hold_the_loop_until_they_end(curated: SmallLoop) -> None:
    keys = frozenset([dg.AssetKey("embeddings")])
    run = create_run_for_test(curated.instance, job_name="__ASSET_JOB", status=Status.STARTED, asset_selection=keys)
    assert look(curated).foreign_run_in_flight == run.run_id
    step = decide(curated.instance, curated.loop, Occasion.SENSOR)
    assert step.action is Action.WAIT
    assert run.run_id in step.reason
    curated.instance.report_run_failed(run)
    assert look(curated).foreign_run_in_flight is None


def test_a_job_started_by_hand_on_an_earlier_iteration_holds_the_loop(curated: SmallLoop) -> None:
    curated.instance.add_dynamic_partitions("iteration", ["0001"])
    run = add_run(curated, Status.STARTED, job="curate", key="0000")
    assert look(curated).foreign_run_in_flight == run.run_id


def test_verdict_and_watermark_come_from_the_report(curated: SmallLoop) -> None:
    curated.answer("0000")
    write_report(curated, "budget spent", watermark=100)
    state = look(curated)
    assert state.current is not None
    assert state.current.verdict == "budget spent"
    assert state.current.labels.complete == 40
    assert state.current.labels.late == 3 * 40 - 100


def test_a_withdrawal_after_the_report_is_late_until_a_report_covers_it(curated: SmallLoop) -> None:
    curated.answer("0000")
    with curated.loop.ledger() as ledger:
        before = ledger.expert_labels()
        given = before.row(0, named=True)
        back = Vote(given["item_id"], "0000", given["rater"], WITHDRAWN, "1", datetime.now(UTC))
        ledger.record([back])
        after = ledger.expert_labels()
    late = []
    for labels in (before, after):
        write_report(curated, "budget spent", last_change(labels))
        current = look(curated).current
        assert current is not None
        late.append(current.labels.late)
    assert late == [1, 0]
    assert after.height == before.height - 1


def test_a_report_whose_run_failed_a_check_is_no_verdict(curated: SmallLoop) -> None:
    write_report(curated, "continue", watermark=0)
    add_run(curated, Status.FAILURE)
    state = look(curated)
    assert state.current is not None
    assert state.current.verdict is None
    add_run(curated, Status.SUCCESS)
    state = look(curated)
    assert state.current is not None
    assert state.current.verdict == "continue"


def test_hours_are_counted_since_the_queue_was_published(curated: SmallLoop) -> None:
    state = look(curated)
    assert state.current is not None
    with curated.loop.ledger() as ledger:
        opened = ledger.progress("0000", 2).last_published_at
    assert opened is not None
    expected = (datetime.now(UTC) - opened) / timedelta(hours=1)
    assert state.current.labels.hours_open == pytest.approx(expected, abs=0.01)


def test_the_pools_growth_is_measured_against_the_snapshot_rejected_rows_included(curated: SmallLoop) -> None:
    assert look(curated, look_at_pool=True).pool_growth == 0
    pool = Path(curated.policy_file).parent / "pool.jsonl"
    with pool.open("a", encoding="utf-8") as stream:
        stream.write('{"id": "x", "text": "y"}\n' * 30 + "{}\n" * 10)
    assert look(curated, look_at_pool=True).pool_growth == pytest.approx(0.1)
    assert look(curated).pool_growth == 0


def test_a_run_whose_process_is_gone_is_marked_as_failed(curated: SmallLoop) -> None:
    host, pid, started = worker_identity().split("/")
    gone = add_run(curated, Status.STARTED, **{WORKER_TAG: f"{host}/{pid}/{float(started) - 100:.0f}"})
    alive = add_run(curated, Status.STARTED, **{WORKER_TAG: worker_identity()})
    elsewhere = add_run(curated, Status.STARTED, **{WORKER_TAG: f"another-host/{2**22 + 1}/1"})
    unknown = add_run(curated, Status.STARTED)
    assert fail_runs_without_worker(curated.instance) == [gone.run_id]
    statuses: dict[str, Any] = {run.run_id: run.status for run in curated.instance.get_runs()}
    assert statuses[gone.run_id] is Status.FAILURE
    assert {statuses[run.run_id] for run in (alive, elsewhere, unknown)} == {Status.STARTED}


def test_a_worker_is_gone_when_its_process_ended_or_its_pid_was_given_to_another() -> None:
    host = worker_identity().split("/")[0]
    free = max(psutil.pids()) + 100_000
    assert not worker_is_gone(worker_identity())
    assert worker_is_gone(f"{host}/{free}/1700000000")
    assert worker_is_gone(f"{host}/{os.getpid()}/1700000000")
    assert not worker_is_gone(f"not-{host}/{free}/1700000000")


def test_only_a_run_can_be_requested() -> None:
    with pytest.raises(ValueError, match="asks for no run"):
        run_request(Step(Action.REST, "ended"), "spam")


def test_a_step_is_explained_in_one_line() -> None:
    step = Step(Action.RUN, "all 40 items are labelled", "0002", Job.LEARN)
    assert explained(step) == "iteration 0002: learn: all 40 items are labelled"
    assert explained(Step(Action.REST, "the loop has not started")) == "the loop has not started"
