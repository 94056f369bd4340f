import pytest

from al_assets.assets.loop_assets import code_versions
from al_assets.automation.observe import JOB_TAG, POLICY_TAG
from al_assets_tests.support.loop_journal import Journal
from al_assets_tests.support.small_loop import LOOP_ASSETS


def test_the_sensor_never_starts_the_loop(journal: Journal) -> None:
    assert "has not started" in journal.skipped("before the start")


def test_the_schedule_starts_iteration_0000(journal: Journal) -> None:
    request = journal.request("start")
    assert request.partition_key == "0000"
    assert request.run_key == "0000/curate/0"
    assert request.tags[JOB_TAG] == "curate"
    assert request.tags[POLICY_TAG] == "strongly_negative"
    assert "has not started" in request.tags["al/reason"]
    assert {key.to_user_string() for key in request.asset_selection or ()} >= {"pool", "review_queue", "loop_history"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("start", "start again"),
        ("two experts voted", "two experts voted, next tick"),
        ("learned", "learned, next tick"),
    ],
)
def test_the_same_moment_seen_twice_asks_for_the_same_run(journal: Journal, first: str, second: str) -> None:
    assert journal.request(first).run_key == journal.request(second).run_key
    assert journal.request(first).partition_key == journal.request(second).partition_key


def test_what_the_sensor_has_just_asked_for_the_schedule_does_not_ask_for_again(journal: Journal) -> None:
    assert "the sensor occasion has just asked for learn" in journal.skipped("two experts voted, night")


def test_the_sensor_reads_the_drop_folder_and_waits_for_a_second_vote(journal: Journal) -> None:
    assert "0 of 40 items complete" in journal.skipped("nobody voted")
    assert "0 of 40 items complete" in journal.skipped("one expert voted")
    assert journal.request("two experts voted").run_key == "0000/learn/0"
    assert journal.request("two experts voted").job_name == "learn"
    inbox = journal.loop.root.inbox
    assert sorted(file.name for file in (inbox / "imported").iterdir()) == [
        "0000-expert_1.jsonl", "0000-expert_2.jsonl",
        "0001-expert_1.jsonl", "0001-expert_2.jsonl", "0001-expert_3.jsonl",
    ]  # fmt: skip


def test_a_report_that_says_continue_opens_the_next_iteration(journal: Journal) -> None:
    tick = journal.ticks["learned"]
    assert [list(each.partition_keys) for each in tick.dynamic_partitions_requests or ()] == [["0001"]]  # type: ignore[union-attr]
    assert journal.request("learned").run_key == "0001/curate/0"
    assert journal.request("second round voted").run_key == "0001/learn/0"


def test_the_loop_rests_when_it_has_ended(journal: Journal) -> None:
    for moment in ("ended", "ended, night", "late votes, sensor", "ended again, night", "pool grown, sensor"):
        assert "the loop has ended: budget spent" in journal.skipped(moment)


def test_late_votes_are_learned_from_at_night_in_a_run_of_their_own(journal: Journal) -> None:
    request = journal.request("late votes, night")
    assert request.run_key == "0001/learn/1"
    assert "40 answers or adjudications came in" in request.tags["al/reason"]
    report = journal.loop.root.read_table("kappa_report", "0001")
    assert report["watermark"].unique().to_list() == [5 * 40]


def test_a_grown_pool_reopens_the_loop_at_night(journal: Journal) -> None:
    request = journal.request("pool grown, night")
    assert request.run_key == "0002/curate/0"
    assert "25%" in request.tags["al/reason"]
    assert "0002" in journal.loop.instance.get_dynamic_partitions("iteration")


def test_runs_of_sensor_and_schedule_alike_evaluate_the_checks(journal: Journal) -> None:
    assert journal.checks["start"] == {"ids_are_unique", "vectors_are_unit_length"}
    learned = {"votes_are_complete", "splits_do_not_leak", "kappa_is_defined"}
    assert journal.checks["two experts voted"] == learned
    assert journal.checks["late votes, night"] == learned


def test_every_loop_asset_has_a_code_version(journal: Journal) -> None:
    declared = {
        spec.key.to_user_string(): spec.code_version
        for spec in journal.loop.definitions.resolve_all_asset_specs()
        if spec.partitions_def is not None
    }
    assert declared == code_versions(LOOP_ASSETS, journal.loop.policy)
