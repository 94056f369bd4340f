from collections import Counter

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from al_assets.models.labelers.weak_labelers import FunctionsLabeler
from al_assets_tests.support.daemon.two_iterations import (
    FOLLOWING_EMBEDDINGS,
    ITERATIONS,
    Crashed,
    ReEmbedded,
    TwoIterations,
)
from al_assets_tests.support.daemon.webserver import overlapping

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(900)]

FOLLOWS = "follows embeddings, which is out of date"


def test_run_whose_machine_crashed_is_marked_failed_and_tried_again(crashed: Crashed) -> None:
    assert crashed.killed.status == "FAILURE"
    assert f"/{crashed.killed.worker}/" in crashed.reason
    assert "is gone; the loop will try again" in crashed.reason
    assert crashed.retried.status == "SUCCESS"
    assert crashed.retried.tags["al/run_key"] == "0000/curate/1"


def test_labelling_resumes_and_repeats_less_than_a_batch(crashed: Crashed) -> None:
    pool = set(crashed.deployment.root.read_table("pool", "0000").filter(pl.col("duplicate_of").is_null())["text_hash"])
    repeated = set(crashed.labelled_before) & set(crashed.labelled_after)

    assert len(crashed.labelled_before) == FunctionsLabeler.batch_size + 50
    assert set(crashed.labelled_before) | set(crashed.labelled_after) == pool
    assert len(crashed.labelled_after) == len(set(crashed.labelled_after)) == len(pool) - FunctionsLabeler.batch_size
    assert len(repeated) == 50


def test_sensor_alone_takes_the_loop_from_votes_to_the_end(two_iterations: TwoIterations) -> None:
    succeeded = [run for run in two_iterations.runs if run.status == "SUCCESS"]

    assert Counter((run.iteration, run.tags["al/job"]) for run in succeeded) == {
        (key, job): 1 for key in ITERATIONS for job in ("curate", "learn")
    }
    report = two_iterations.deployment.root.read_table("kappa_report", "0001")
    assert report["verdict"].unique().to_list() == ["budget spent"]


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


def test_staleness_names_the_embeddings_and_what_follows(re_embedded: ReEmbedded) -> None:
    reasons = _reasons(re_embedded.stale_before)
    changed = {key: reasons.pop((key, "embeddings")) for key in ITERATIONS}

    assert all(reason.startswith("settings changed (code version ") for reason in changed.values())
    assert reasons == {
        **{(key, asset): FOLLOWS for key in ITERATIONS for asset in FOLLOWING_EMBEDDINGS},
        # The report of 0000 chooses who labels 0001, and may choose otherwise when it is made again.
        **{
            ("0001", asset): "follows embeddings of 0000, which is out of date"
            for asset in ("incumbent_model", "pseudo_labels")
        },
    }


def test_backfill_runs_the_iterations_in_order_one_at_a_time(re_embedded: ReEmbedded) -> None:
    iterations = [run for run in re_embedded.backfill_runs if run.iteration]
    in_order = sorted(iterations, key=lambda run: run.started or 0)

    assert re_embedded.backfill_status == "COMPLETED_SUCCESS"
    assert [(run.iteration, run.status) for run in in_order] == [(key, "SUCCESS") for key in ITERATIONS]
    assert overlapping(iterations) == []


def test_votes_and_queues_survive(re_embedded: ReEmbedded) -> None:
    deployment = re_embedded.deployment

    assert_frame_equal(deployment.history(), re_embedded.history_before)
    for key in ITERATIONS:
        assert_frame_equal(deployment.queue(key), re_embedded.queues_before[key])
        assert_frame_equal(
            deployment.root.read_table("review_queue", key), re_embedded.queues_before[key].drop("iteration")
        )


def test_texts_are_embedded_once(re_embedded: ReEmbedded) -> None:
    deployment = re_embedded.deployment
    texts = deployment.root.read_table("embeddings", "0000").height
    again, backfilled, *before = deployment.services.webserver.numbers("embeddings", "0000")
    (of_0001,) = [
        each for each in deployment.services.webserver.numbers("embeddings", "0001") if each["dimensions"] == 384
    ]

    # The killed run may have embedded them, or the one that took its place.
    assert {each["dimensions"] for each in before} == {64}
    assert sum(each["texts_embedded_now"] for each in before) == texts
    assert (backfilled["dimensions"], backfilled["texts_embedded_now"]) == (384, texts)
    assert (again["texts_embedded_now"], again["texts_embedded_before"]) == (0, texts)
    assert (of_0001["texts_embedded_now"], of_0001["texts_embedded_before"]) == (0, texts)


def test_selection_drift_says_what_would_be_chosen_now(re_embedded: ReEmbedded) -> None:
    before, after = re_embedded.drift_before, re_embedded.drift_after

    assert before["jaccard"].drop_nulls().to_list() == [1.0] * 4
    assert after["iteration"].to_list() == before["iteration"].to_list()
    assert_frame_equal(after.select("published"), before.select("published"))
    assert (after["jaccard"] < 1).all()
    assert after.select((pl.col("kept") + pl.col("dropped") == pl.col("published")).all()).item()
    assert after.select((pl.col("kept") + pl.col("new") == pl.col("chosen_now")).all()).item()
    assert (after["labelled"] >= after["kept"]).all()


def test_student_does_not_depend_on_the_embedding_and_is_found_again(re_embedded: ReEmbedded) -> None:
    root = re_embedded.deployment.root

    for (name, key), before in re_embedded.tables_before.items():
        assert_frame_equal(root.read_table(name, key), before)


def test_nothing_is_out_of_date_afterwards(re_embedded: ReEmbedded) -> None:
    assert _reasons(re_embedded.stale_after) == {}


def test_loop_rests_during_and_after_the_backfill(re_embedded: ReEmbedded) -> None:
    assert [run.job for run in re_embedded.later_runs] == ["__ASSET_JOB"]


def _reasons(staleness: pl.DataFrame) -> dict[tuple[str, str], str]:
    stale = staleness.filter("out_of_date")
    return {(key, asset): reason for key, asset, reason in stale.select("iteration", "asset", "reason").rows()}
