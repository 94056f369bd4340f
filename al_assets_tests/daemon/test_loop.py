from collections import Counter

import polars as pl
import pytest

from al_assets.models.labelers.python_code import BATCH_SIZE
from al_assets_tests.support.daemon.two_iterations import ITERATIONS, Crashed, TwoIterations
from al_assets_tests.support.daemon.webserver import overlapping

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(900)]


def test_run_whose_machine_crashed_is_marked_failed_and_tried_again(crashed: Crashed) -> None:
    assert crashed.killed.status == "FAILURE"
    assert f"/{crashed.killed.worker}/" in crashed.reason
    assert "is gone; the loop will try again" in crashed.reason
    assert crashed.retried.status == "SUCCESS"
    assert crashed.retried.tags["al/run_key"] == "0000/curate/1"


def test_labelling_resumes_and_repeats_less_than_a_batch(crashed: Crashed) -> None:
    pool = set(crashed.deployment.root.read_table("pool", "0000").filter(pl.col("duplicate_of").is_null())["text_hash"])
    repeated = set(crashed.labelled_before) & set(crashed.labelled_after)

    assert len(crashed.labelled_before) == BATCH_SIZE + 50
    assert set(crashed.labelled_before) | set(crashed.labelled_after) == pool
    assert len(crashed.labelled_after) == len(set(crashed.labelled_after)) == len(pool) - BATCH_SIZE
    assert len(repeated) == 50


def test_sensor_alone_takes_the_loop_from_votes_to_the_end(two_iterations: TwoIterations) -> None:
    succeeded = [run for run in two_iterations.runs if run.status == "SUCCESS"]

    assert Counter((run.iteration, run.tags["al/job"]) for run in succeeded) == {
        (key, job): 1 for key in ITERATIONS for job in ("curate", "learn")
    }
    report = two_iterations.deployment.root.read_table("kappa_report", "0001")
    verdict = report.filter((report["figure"] == "verdict") & (report["scope"] == "loop"))["detail"][0]
    assert verdict.startswith("budget spent")


def test_nothing_is_started_twice_though_the_schedule_ticks_every_minute(two_iterations: TwoIterations) -> None:
    attempts = Counter(run.tags["al/run_key"] for run in two_iterations.runs if "al/run_key" in run.tags)
    failed = [run for run in two_iterations.runs if run.status != "SUCCESS"]

    assert two_iterations.nightly_ticks
    assert all(tick.error is None for tick in two_iterations.nightly_ticks)
    assert all(tick.error is None for tick in two_iterations.sensor_ticks)
    assert attempts == {"0000/curate/1": 1, "0000/learn/0": 1, "0001/curate/0": 1, "0001/learn/0": 1}
    # The one that was killed on purpose.
    assert [(run.iteration, run.job) for run in failed] == [("0000", "curate")]
    assert two_iterations.sensor_ticks[0].skip_reason == two_iterations.nightly_at_the_end
    assert two_iterations.nightly_at_the_end == "iteration 0001: the loop has ended: budget spent"


def test_votes_dropped_before_the_daemon_was_killed_are_all_there_once(two_iterations: TwoIterations) -> None:
    deployment = two_iterations.deployment
    raters = deployment.policy.review.raters
    queued = {key: deployment.queue(key)["item_id"].to_list() for key in ITERATIONS}
    history = deployment.history()

    assert two_iterations.dropped == [f"0000-{rater}.jsonl" for rater in raters]
    assert deployment.waiting_files() == []
    assert [len(items) for items in queued.values()] == [40, 40]
    assert not set(queued["0000"]) & set(queued["0001"])
    assert Counter(history.select("iteration", "item_id", "rater").rows()) == {
        (key, item, rater): 1 for key in ITERATIONS for item in queued[key] for rater in raters
    }


def test_run_at_work_outlives_the_daemon(two_iterations: TwoIterations) -> None:
    assert two_iterations.mid_run == "STARTED"


def test_runs_took_turns(two_iterations: TwoIterations) -> None:
    assert overlapping(two_iterations.runs) == []
