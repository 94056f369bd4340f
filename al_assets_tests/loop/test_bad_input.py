"""What goes wrong in real loops: each with a message that names field, value and way out, and nothing half done."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from al_assets.automation.requests import decide, explained
from al_assets.automation.state import Action, Occasion
from al_assets.partitions import Job
from al_assets_tests.support.small_loop import JOB_TABLES, RATERS, MakeLoop, SmallLoop, failure, pool_rows

pytestmark = pytest.mark.slow

NOWHERE = "models/nowhere"


def curate(loop: SmallLoop) -> dg.ExecuteInProcessResult:
    # Without the marts, which have nothing to do with it and take half the time.
    return loop.run("curate", "0000", selection=JOB_TABLES[Job.CURATE])


def materialized(loop: SmallLoop) -> set[str]:
    return {path.name for path in Path(loop.root.base.path).iterdir() if path.is_dir() and any(path.glob("*.parquet"))}


def test_an_empty_pool(make_loop: MakeLoop) -> None:
    loop = make_loop(rows=[])
    assert "pool.path: " in failure(curate(loop))
    assert "has no usable row (0 rejected)" in failure(curate(loop))


def test_a_pool_of_bad_rows_only(make_loop: MakeLoop) -> None:
    said = failure(curate(make_loop(rows=[{"id": "a", "text": ""}, {"text": "x"}])))
    assert "has no usable row (2 rejected: no id in 'id'; no text in 'text')" in said


def test_a_pool_that_is_not_there(make_loop: MakeLoop) -> None:
    said = failure(curate(make_loop(pool={"path": "elsewhere.jsonl"})))
    assert "elsewhere.jsonl' does not exist; give a file, a glob or an fsspec URL" in said


def test_bad_rows_are_counted_and_the_rest_goes_on(make_loop: MakeLoop, small_texts: pl.DataFrame) -> None:
    good = pool_rows(small_texts)
    bad: list[dict[str, Any]] = [{"text": "no id"}, good[0], {"id": "x", "text": ""}, {"id": "y", "text": "z" * 30_000}]
    loop = make_loop(rows=[*bad[:1], *good, *bad[1:]])
    done = curate(loop)
    assert done.success, failure(done)
    quarantine = loop.root.read_table("quarantine", "0000")
    assert quarantine["row"].to_list() == [1, 402, 403, 404]
    assert quarantine["item_id"].to_list() == [None, good[0]["id"], "x", "y"]
    (event,) = [
        each for each in done.asset_materializations_for_node("pool_snapshot") if each.asset_key.path == ["pool"]
    ]
    assert event.metadata["rows_quarantined"].value == 4
    assert event.metadata["items"].value == 400


@pytest.mark.parametrize(
    ("sections", "said", "made_before"),
    [
        (
            {"embedding": {"kind": "static", "model": NOWHERE}},
            f"embedding.model: '{NOWHERE}' is not a usable static model", "pool",
        ),
        (
            {"labeler": {"kind": "classifier", "model": f"{NOWHERE}.joblib"}},
            f"{NOWHERE}.joblib", None,
        ),
        (
            {"labeler": {"kind": "functions", "functions": ["al_assets_tests.support.programs.labelling:forgotten"]}},
            "labeler.functions: module 'al_assets_tests.support.programs.labelling'", None,
        ),
    ],
)  # fmt: skip
def test_a_model_that_is_not_there(
    make_loop: MakeLoop, sections: dict[str, Any], said: str, made_before: str | None
) -> None:
    loop = make_loop(**sections)
    done = curate(loop)
    assert said in failure(done)
    assert "review_queue" not in materialized(loop) if loop.root.base.exists() else made_before is None


def test_a_students_base_model_that_is_not_there(curated: SmallLoop, small_embedder: Path) -> None:
    text = curated.policy_file.read_text()
    head, student, tail = text.partition("student:\n")
    tail = tail.replace(str(small_embedder), NOWHERE, 1)
    curated.policy_file.write_text(head + student + tail)
    loop = SmallLoop(curated.policy_file, curated.instance, curated.texts)
    assert loop.policy.student.kind == "linear"
    assert loop.policy.student.embedding.model == NOWHERE
    loop.answer("0000")
    said = failure(loop.run("learn", "0000"))
    assert NOWHERE in said
    assert "name its directory, or its name on a model hub" in said
    assert not (loop.root.base / "checkpoints").exists() or not list((loop.root.base / "checkpoints").iterdir())


@pytest.mark.parametrize("function", ["never", "always"])
def test_a_labeler_that_tells_nothing_apart(make_loop: MakeLoop, function: str) -> None:
    labeler = {"kind": "functions", "functions": [f"al_assets_tests.support.programs.labelling:{function}"]}
    loop = make_loop(labeler=labeler)
    done = curate(loop)
    assert done.success, failure(done)
    queue = loop.queue("0000")
    assert queue.height == 40
    # No boundary can be seen, so what would go to pairs goes to items one by one.
    assert queue["pair_id"].null_count() == 40
    assert queue["item_id"].n_unique() == 40


def test_fewer_negatives_than_neighbours(make_loop: MakeLoop) -> None:
    loop = make_loop(policy={"expected_prevalence": 0.99}, selection={"neighbours": 50})
    done = curate(loop)
    assert done.success, failure(done)
    assert loop.queue("0000").height == 40


def test_fewer_items_than_the_budget(make_loop: MakeLoop, small_texts: pl.DataFrame) -> None:
    loop = make_loop(rows=pool_rows(small_texts)[:10])
    done = curate(loop)
    assert done.success, failure(done)
    assert loop.queue("0000").height == 10


def test_one_item(make_loop: MakeLoop, small_texts: pl.DataFrame) -> None:
    loop = make_loop(rows=pool_rows(small_texts)[:1])
    done = curate(loop)
    assert done.success, failure(done)
    assert loop.queue("0000").height == 1


def test_copies_of_one_text_only(make_loop: MakeLoop) -> None:
    loop = make_loop(rows=[{"id": f"i{number}", "text": "The same words again."} for number in range(50)])
    done = curate(loop)
    assert done.success, failure(done)
    assert loop.queue("0000")["item_id"].to_list() == ["i0"]


def test_texts_without_a_word_the_embedder_knows(make_loop: MakeLoop) -> None:
    loop = make_loop(rows=[{"id": f"i{number}", "text": chr(0x4E00 + 7 * number) * 9} for number in range(60)])
    done = curate(loop)
    assert done.success, failure(done)
    assert loop.queue("0000").height == 40


def test_votes_of_one_class_only(curated: SmallLoop) -> None:
    nobody = {item: np.zeros(3) for item in curated.queue("0000")["item_id"]}
    curated.answer("0000", nobody)
    for attempt in range(3):
        step = decide(curated.instance, curated.loop, Occasion.SENSOR)
        assert step.run_key == f"0000/learn/{attempt}"
        said = failure(curated.run_step(step))
        assert "kappa_is_defined" in said
    # Nothing was learnt, and the student is still what LLM-0 taught; of experts who say one thing there is no kappa.
    (note,) = curated.root.read_table("sft_checkpoint", "0000")["note"]
    assert note.endswith("labelled texts are negative: nothing new is learnt, the student is the one that LLM-0 taught")
    step = decide(curated.instance, curated.loop, Occasion.SENSOR)
    assert step.action is Action.BLOCKED
    assert "learn failed 3 times in a row; read the run's error, mend it, then run learn by hand" in explained(step)


def test_votes_with_an_unknown_label_are_rejected_by_row_and_the_loop_waits(curated: SmallLoop) -> None:
    first, second = curated.queue("0000")["item_id"].to_list()[:2]
    rows = [
        {"item_id": first, "rater": "expert_1", "label": "yes"},
        {"item_id": second, "rater": "expert_1", "label": "maybe"},
        {"item_id": "nobody asked", "rater": "expert_1", "label": "yes"},
        {"item_id": second, "rater": "stranger", "label": "no"},
    ]
    inbox = Path(curated.root.inbox.path)
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.utime(inbox / "votes.jsonl", (1, 1))
    answer = curated.sense()
    assert isinstance(answer, dg.SkipReason)
    rejected = (inbox / "imported" / "votes.jsonl.rejected.jsonl").read_text()
    assert len(rejected.splitlines()) == 3
    for said in (
        "label: 'maybe' is unknown; expected 'yes', 'no', 'cannot decide'",
        "nobody asked",
        "stranger",
        *RATERS,
    ):
        assert said in rejected
    with curated.loop.ledger() as ledger:
        assert ledger.watermark() == 1


def test_an_exhausted_pool(make_loop: MakeLoop, small_texts: pl.DataFrame) -> None:
    stopping = {"min_expert_kappa": -1, "stop_set_size": 60, "resamples": 200}
    loop = make_loop(rows=pool_rows(small_texts)[:120], selection={"budget": 160}, stopping=stopping)
    assert curate(loop).success
    loop.answer("0000")
    learned = loop.run("learn", "0000")
    assert learned.success, failure(learned)
    step = decide(loop.instance, loop.loop, Occasion.SENSOR)
    assert explained(step) == "iteration 0000: the loop has ended: every item of the pool has been asked"
    assert step.action is Action.REST
    assert "every item of the pool may be labelled: let the pool grow" in failure(loop.run("curate", "0001"))


@pytest.mark.parametrize("key", ["test", "1", "00001"])
def test_a_partition_that_is_no_iteration(make_loop: MakeLoop, key: str) -> None:
    said = failure(make_loop().run("curate", key))
    assert f"iteration: '{key}' is not an iteration key; expected four digits, such as '0003'" in said


def test_a_partition_far_ahead(curated: SmallLoop) -> None:
    said = failure(curated.run("curate", "0007"))
    assert "iteration 0007: iteration 0006 has no kappa report yet; finish it first" in said


def test_a_partition_that_was_never_added(curated: SmallLoop) -> None:
    job = curated.definitions.resolve_job_def("curate")
    with pytest.raises(dg.DagsterUnknownPartitionError, match="0042"):
        job.execute_in_process(instance=curated.instance, partition_key="0042")


def test_a_damaged_score_file_is_set_aside_and_its_texts_labelled_again(curated: SmallLoop) -> None:
    before = curated.root.read_table("pseudo_labels", "0000")
    (folder,) = (curated.root.base / "scores").iterdir()
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    done = curate(curated)
    assert done.success, failure(done)
    assert curated.root.read_table("pseudo_labels", "0000").equals(before)
    assert {each.suffix for each in folder.iterdir()} == {".parquet", ".damaged"}


def test_a_damaged_table_is_named(curated: SmallLoop) -> None:
    curated.answer("0000")
    assert curated.run("learn", "0000", selection=["expert_labels", "label_split"]).success
    path = curated.root.table_path("label_split", "0000")
    path.write_bytes(path.read_bytes()[:50])
    said = failure(curated.run("learn", "0000", selection=["head_start", "sft_checkpoint"]))
    assert "label_split/0000.parquet: is damaged" in said
    assert "delete it and materialize it again" in said


def test_a_policy_file_gone_bad_while_the_loop_runs(curated: SmallLoop) -> None:
    curated.policy_file.write_text(curated.policy_file.read_text().replace("budget:", "bugdet:"))
    with pytest.raises(ValueError, match="unknown key 'bugdet'; did you mean 'budget'"):
        curated.sense()


def test_a_full_disk_stops_the_run_and_a_second_one_finishes_it(make_loop: MakeLoop, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=180k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        loop = make_loop(storage={"root": str(disk)})
        done = curate(loop)
        assert not done.success
        said = failure(done)
        assert "free some space" in said or "disk is full" in said
        assert not [path for path in disk.rglob("*") if path.name.endswith(".tmp")]
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        again = curate(loop)
        assert again.success, failure(again)
        assert loop.queue("0000").height == 40
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
