from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from al_assets.agreement.stopping.conclusion import LLM_0
from al_assets.automation.observe import observe
from al_assets.automation.state import Action, Occasion, Step, next_step
from al_assets.automation.status import loop_status
from al_assets.partitions import Job
from al_assets.storage.ledger import Vote
from al_assets.storage.pool_frame import asked_so_far
from al_assets.tables import CHECK_QUEUE
from al_assets_tests.support.small_loop import JOB_TABLES, RATERS, MakeLoop, SmallLoop, failure

pytestmark = pytest.mark.slow

ITEMS = 12
"""Check items of an iteration, drawn from a stop set of 60."""


def next_of(loop: SmallLoop, occasion: Occasion = Occasion.SENSOR) -> Step:
    return next_step(observe(loop.instance, loop.loop, look_at_pool=False), occasion)


def do(loop: SmallLoop, job: Job, occasion: Occasion = Occasion.SENSOR) -> Step:
    step = next_of(loop, occasion)
    assert (step.action, step.job) == (Action.RUN, job), step
    done = loop.run_step(step)
    assert done.success, failure(done)
    return step


def check_items(loop: SmallLoop, key: str = "0000") -> pl.DataFrame:
    with loop.loop.ledger() as ledger:
        return ledger.queue(key).filter(reason="check")


def answer(loop: SmallLoop, items: pl.DataFrame, key: str = "0000") -> None:
    """Let two experts answer some items."""
    votes, now = loop.votes(), datetime.now(UTC)
    with loop.loop.ledger() as ledger:
        ledger.record(
            [
                Vote(item, key, RATERS[place], "positive" if votes[item][place] == 1 else "negative", "1", now)
                for item in items["item_id"]
                for place in range(2)
            ]
        )


def reloaded(loop: SmallLoop, **stopping: Any) -> SmallLoop:
    """Edit the policy and reload the code location."""
    content = yaml.safe_load(loop.policy_file.read_text())
    content["stopping"] |= stopping
    loop.policy_file.write_text(yaml.safe_dump(content))
    return SmallLoop(loop.policy_file, loop.instance, loop.texts)


def learned(make_loop: MakeLoop, **sections: Any) -> SmallLoop:
    """Return a loop whose iteration 0000 is learned and waits for its check items."""
    loop = make_loop(**{"stopping": {"check_items": ITEMS}, **sections})
    do(loop, Job.CURATE, Occasion.NIGHTLY)
    loop.answer("0000")
    do(loop, Job.LEARN)
    return loop


def test_an_iteration_is_learned_then_checked_then_reported(make_loop: MakeLoop) -> None:
    loop = learned(make_loop)
    assert not loop.root.has_table("kappa_report", "0000")
    asked = check_items(loop)
    drawn = loop.root.read_table("check_queue", "0000")
    assert drawn.equals(CHECK_QUEUE.check(asked.select(CHECK_QUEUE.schema.names())))
    assert asked.height == ITEMS
    assert set(asked["item_id"]).isdisjoint(loop.queue("0000")["item_id"])
    assert set(asked["group_id"]) == set(asked["item_id"])
    stop_set = loop.root.read_table("evaluation_scores", "0000").filter(role="stop_set")
    assert set(asked["item_id"]) <= set(stop_set["item_id"])
    # Each stands for what the stop set left of the pool: 400 items, 40 of them asked.
    assert (1 / asked["inclusion_probability"]).sum() == pytest.approx(360)
    checkpoint = loop.root.read_table("sft_checkpoint", "0000")

    waiting = next_of(loop)
    assert (waiting.action, waiting.job, waiting.reason) == (
        Action.WAIT, Job.REPORT, "checking: 0 of 12 check items complete"
    )  # fmt: skip
    answer(loop, asked.head(5))
    assert next_of(loop).reason == next_of(loop, Occasion.NIGHTLY).reason == "checking: 5 of 12 check items complete"
    status = loop_status(loop.loop)
    assert status.next == "iteration 0000: checking: 5 of 12 check items complete"
    assert (status.queued, status.complete, status.check_items, status.check_complete) == (52, 45, 12, 5)
    answer(loop, asked)
    first, second = loop.sense(), loop.sense()
    assert isinstance(first, dg.SensorResult)
    assert isinstance(second, dg.SensorResult)
    assert loop.grant(first).run_key == loop.grant(second).run_key == "0000/report/0"
    done = loop.run_request(loop.grant(first))
    assert done.success, failure(done)

    assert next_of(loop).iteration == "0001"
    assert check_items(loop).equals(asked)
    # Check items are never learnt from, so the student is the one they were drawn for.
    assert loop.root.read_table("sft_checkpoint", "0000").equals(checkpoint)
    split = loop.root.read_table("label_split", "0000")
    assert set(split.filter(reason="check")["split"]) == {"evaluation"}
    report = loop.root.read_table("kappa_report", "0000")
    assert report.filter(figure="labels")["estimate"].to_list() == [52]
    # Weighted to the pool they count, as a draw after that of the queue; beside the others they would not be alike.
    counted = asked_so_far(loop.root, "0000")
    assert counted.filter(reason="check")["revision"].to_list() == [1] * ITEMS
    assert set(counted.filter(pl.col("reason") != "check")["revision"]) == {0}
    alike = split.filter(pl.col("split") != "fine-tuning", pl.col("reason") != "check")
    (items,) = report.filter(figure="model_expert_kappa", scope="evaluation")["items"]
    assert items <= alike.height < split.filter(pl.col("split") != "fine-tuning").height
    assert report.filter(figure="student_gain", scope="audit")["items"].item() > ITEMS
    history = pl.read_parquet(loop.root.table_path("loop_history").path)
    assert history.select("queued_items", "check_items", "labelled_items").row(0) == (52, 12, 52)


def test_check_items_are_asked_once_whatever_runs_again(make_loop: MakeLoop) -> None:
    loop = learned(make_loop)
    asked, table = check_items(loop), loop.root.read_table("check_queue", "0000")
    # As after a crash between the publication and the table.
    loop.root.table_path("check_queue", "0000").unlink()
    assert next_of(loop).job is Job.LEARN
    do(loop, Job.LEARN)
    assert loop.root.read_table("check_queue", "0000").equals(table)
    assert loop.run(Job.CURATE, "0000").success
    assert loop.queue("0000").filter(reason="check").is_empty()
    answer(loop, asked)
    do(loop, Job.REPORT)
    assert loop.run(Job.LEARN, "0000").success
    assert check_items(loop).equals(asked)
    assert loop.root.read_table("check_queue", "0000").equals(table)
    assert next_of(loop).iteration == "0001"


def test_no_report_is_made_before_the_check_items_are_answered(make_loop: MakeLoop) -> None:
    loop = make_loop(stopping={"check_items": ITEMS})
    do(loop, Job.CURATE, Occasion.NIGHTLY)
    loop.answer("0000")
    undrawn = loop.run(Job.REPORT, "0000", selection=[*JOB_TABLES[Job.LEARN]])
    assert "no check items were drawn yet; run the job 'learn' for 0000" in failure(undrawn)
    assert loop.run(Job.LEARN, "0000").success
    assert "0 of 12 check items have 2 votes" in failure(loop.run(Job.REPORT, "0000"))
    answer(loop, check_items(loop))
    # The votes are in the ledger, but not in what the report would be made from.
    early = loop.run(Job.REPORT, "0000", selection=["kappa_report"])
    assert "0 of 12 check items have 2 votes in expert_labels" in failure(early)
    assert not loop.root.has_table("kappa_report", "0000")
    assert loop.run(Job.REPORT, "0000").success


def test_late_votes_are_reported_without_another_draw(make_loop: MakeLoop) -> None:
    loop = learned(make_loop, stopping={"check_items": ITEMS, "max_iterations": 1})
    asked = check_items(loop)
    answer(loop, asked)
    do(loop, Job.REPORT)
    assert next_of(loop).action is Action.REST
    loop.answer("0000")
    assert next_of(loop).action is Action.REST
    again = do(loop, Job.REPORT, Occasion.NIGHTLY)
    assert "came in or changed after the report" in again.reason
    assert check_items(loop).equals(asked)
    assert next_of(loop, Occasion.NIGHTLY).action is Action.REST


def test_check_items_that_are_given_up_hold_up_nothing(make_loop: MakeLoop) -> None:
    loop = learned(make_loop)
    answer(loop, check_items(loop).head(3))
    off = loop.policy_file.read_text()
    loop.policy_file.write_text(off.replace(f"check_items: {ITEMS}", "check_items: 0"))
    for skipped in (loop.sense(), loop.nightly()):
        assert isinstance(skipped, dg.SkipReason)
        assert skipped.skip_message == (
            "stopping.check_items is 0 now, which changes the loop's jobs: reload the code location"
        )
    loop = reloaded(loop)
    do(loop, Job.LEARN)
    assert loop.root.read_table("kappa_report", "0000").filter(figure="labels")["estimate"].to_list() == [43]
    assert next_of(loop).iteration == "0001"


def test_check_items_that_are_asked_for_later_begin_with_the_next_report(make_loop: MakeLoop) -> None:
    loop = make_loop()
    do(loop, Job.CURATE, Occasion.NIGHTLY)
    loop.answer("0000")
    do(loop, Job.LEARN)
    assert not loop.root.table_keys("check_queue")
    loop = reloaded(loop, check_items=ITEMS)
    assert isinstance(loop.sense(), dg.SensorResult)
    assert next_of(loop).iteration == "0001"
    # As a backfill would, over what was reported without check items.
    assert loop.run(Job.LEARN, "0000").success
    assert loop.run(Job.REPORT, "0000").success
    assert check_items(loop).is_empty()
    # Where the student selects next while LLM-0 is still the model to take, LLM-0 is what the next one has to beat.
    report = loop.root.read_table("kappa_report", "0000")
    report = report.with_columns(promoted=pl.lit(value=True), recommended=pl.lit(LLM_0))
    loop.root.write_table(loop.root.table_path("kappa_report", "0000"), report)
    do(loop, Job.CURATE)
    loop.answer("0001")
    do(loop, Job.LEARN)
    asked = check_items(loop, "0001")
    assert asked.height == ITEMS
    assert asked["stratum"].str.contains("student (positive|negative), recommended (positive|negative)").all()
    assert next_of(loop).reason == "checking: 0 of 12 check items complete"


def test_a_stop_set_that_was_all_asked_leaves_nothing_to_check_and_the_report_is_made(make_loop: MakeLoop) -> None:
    rows = [{"id": f"i{number}", "text": f"{number} {'awful' if number % 4 else 'nice'} days"} for number in range(40)]
    loop = make_loop(rows=rows, stopping={"check_items": ITEMS}, pool={"near_duplicate_similarity": 1})
    do(loop, Job.CURATE, Occasion.NIGHTLY)
    with loop.loop.ledger() as ledger:
        queue = ledger.queue("0000")
        said = {
            item: "negative" if "nice" in text else "positive" for item, text in queue.select("item_id", "text").rows()
        }
        now = datetime.now(UTC)
        ledger.record([Vote(item, "0000", rater, label, "1", now) for item, label in said.items() for rater in RATERS])
    assert queue.height == len(rows)
    do(loop, Job.LEARN)
    assert loop.root.read_table("check_queue", "0000").is_empty()
    step = do(loop, Job.REPORT)
    assert step.reason == "no item of the stop set was left to check"
