from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from al_assets.config import LinearHeadStart, Policy, StudentSettings
from al_assets.models.students import (
    Lesson,
    Start,
    StudentError,
    load_student,
    start_of,
    trained_checkpoint,
    trained_head_start,
)
from al_assets.models.students.head_start import HeadStartSample, head_start_sample
from al_assets.storage.root import RunRoot
from al_assets.tables import HEAD_START, SFT_CHECKPOINT
from al_assets_tests.models.students import test_encoder, test_sft
from al_assets_tests.models.students.conftest import weights_of

ASKED = ["bad awful 99", "good fine 99"]


def nothing(done: int, total: int) -> None:
    pass


def stop(done: int, total: int) -> None:
    raise KeyboardInterrupt


def with_student(policy: Policy, student: StudentSettings) -> Policy:
    return policy.model_copy(update={"student": student})


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    return RunRoot(str(tmp_path / "root"))


@pytest.fixture
def taught(lesson: tuple[list[str], list[bool]]) -> Lesson:
    texts, labels = lesson
    return Lesson(tuple(f"i{place}" for place in range(len(texts))), tuple(texts), tuple(map(float, labels)))


@pytest.fixture
def sample(policy: Policy, taught: Lesson) -> HeadStartSample:
    return sample_of(policy, taught)


def sample_of(policy: Policy, taught: Lesson, **changes: Any) -> HeadStartSample:
    """LLM-0 says what the labels say, more or less surely."""
    scores = [0.9 - place / 100 if label else 0.1 + place / 100 for place, label in enumerate(taught.labels)]
    scored = pl.DataFrame({"item_id": taught.item_ids, "text": taught.texts, "p_positive": scores})
    return head_start_sample(scored, policy.student, **{"threshold": 0.5, "seed": 0, **changes})


def begun(policy: Policy, root: RunRoot, sample: HeadStartSample) -> Start:
    start = start_of(root, trained_head_start(policy, root, sample, "llm0", nothing))
    assert start is not None
    return start


def kept(root: RunRoot) -> dict[Path, int]:
    """Every file of the checkpoints and when it was written."""
    folder = root.local_path("checkpoints")
    return {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_head_start_follows_llm0_and_is_found_again(policy: Policy, root: RunRoot, sample: HeadStartSample) -> None:
    row = HEAD_START.check(trained_head_start(policy, root, sample, "llm0", nothing)).row(0, named=True)
    assert (row["training_items"], row["positive_items"], row["left_out"], row["llm0"]) == (24, 6, 0, "llm0")
    files = kept(root)
    assert {file.name for file in files} == {"llm0.json", "student.json", "weights.npz"}
    with load_student(Path(row["uri"]), policy.student, policy) as student:
        assert student.fingerprint == row["fingerprint"]
        scores = student.score(ASKED)
    assert scores[0] > 0.5 > scores[1]
    # Trained or found again, it is the same row; a training would call the progress that stops it.
    assert trained_head_start(policy, root, sample, "llm0", stop).row(0, named=True) == row
    assert kept(root) == files


CHANGES: dict[str, Callable[[Policy, Lesson], tuple[Policy, HeadStartSample, str]]] = {
    "another LLM-0": lambda policy, taught: (policy, sample_of(policy, taught), "other"),
    "another recipe": lambda policy, taught: (
        with_student(policy, policy.student.model_copy(update={"balanced": False})), sample_of(policy, taught), "llm0"
    ),
    "another sample": lambda policy, taught: (
        policy, sample_of(with_student(policy, smaller(policy)), taught), "llm0"
    ),
    "other soft labels": lambda policy, taught: (policy, sample_of(policy, taught, threshold=0.3), "llm0"),
}  # fmt: skip


def smaller(policy: Policy) -> StudentSettings:
    return policy.student.model_copy(update={"head_start": LinearHeadStart(items=20)})


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_head_start_rests_on_gives_it_another_name(
    policy: Policy, root: RunRoot, taught: Lesson, sample: HeadStartSample, change: str
) -> None:
    other, its_sample, llm0 = CHANGES[change](policy, taught)
    one = trained_head_start(policy, root, sample, "llm0", nothing)
    two = trained_head_start(other, root, its_sample, llm0, nothing)
    assert one["fingerprint"][0] != two["fingerprint"][0]


def test_what_concerns_the_student_alone_trains_no_head_start(
    policy: Policy, root: RunRoot, sample: HeadStartSample
) -> None:
    start = begun(policy, root, sample)
    for change in ({"head_start": LinearHeadStart(strength=3)}, {"with_llm0": True}):
        other = with_student(policy, policy.student.model_copy(update=change))
        found = trained_head_start(other, root, sample, "llm0", stop)
        assert found["fingerprint"][0] == start.fingerprint


def test_a_student_is_named_by_its_head_start_and_found_again(
    policy: Policy, root: RunRoot, taught: Lesson, sample: HeadStartSample
) -> None:
    start = begun(policy, root, sample)
    frame = SFT_CHECKPOINT.check(trained_checkpoint(policy, root, taught, nothing, start))
    row = frame.row(0, named=True)
    assert (row["head_start"], row["note"], row["training_items"]) == (start.fingerprint, "", 24)
    files = kept(root)
    reversed_lesson = Lesson(taught.item_ids[::-1], taught.texts[::-1], taught.labels[::-1])
    assert trained_checkpoint(policy, root, reversed_lesson, stop, start).row(0, named=True) == row
    assert kept(root) == files
    alone = trained_checkpoint(policy, root, taught, nothing).row(0, named=True)
    assert alone["head_start"] is None
    other = trained_checkpoint(policy, root, taught, nothing, replace(start, fingerprint="other"))
    assert len({row["fingerprint"], alone["fingerprint"], other["fingerprint"][0]}) == 3


def test_a_killed_training_leaves_nothing_and_the_next_call_trains(
    policy: Policy, root: RunRoot, taught: Lesson, sample: HeadStartSample
) -> None:
    def stop_at_the_end(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    def trained(progress: Callable[[int, int], None]) -> None:
        start = start_of(root, trained_head_start(policy, root, sample, "llm0", progress))
        trained_checkpoint(policy, root, taught, progress, start)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trained(stop_at_the_end)
        assert not list(root.local_path("checkpoints").iterdir())
    start = begun(policy, root, sample)
    with pytest.raises(KeyboardInterrupt):
        trained(stop_at_the_end)
    assert [each.name for each in root.local_path("checkpoints").iterdir()] == [start.fingerprint]
    trained(nothing)
    assert len(list(root.local_path("checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((), "there are no labelled texts"),
        ((1.0, 1.0), "all 2 labelled texts are positive"),
        ((0.0, 0.5), "all 2 labelled texts are negative or ties"),
    ],
)
def test_labels_of_one_kind_give_what_llm0_taught(
    policy: Policy, root: RunRoot, sample: HeadStartSample, labels: tuple[float, ...], said: str
) -> None:
    count = len(labels)
    lesson = Lesson(("a", "b")[:count], ("bad", "good")[:count], labels)
    start = begun(policy, root, sample)
    row = SFT_CHECKPOINT.check(trained_checkpoint(policy, root, lesson, stop, start)).row(0, named=True)
    assert row["note"] == f"{said}: nothing new is learnt, the student is the one that LLM-0 taught"
    assert row["fingerprint"] == row["head_start"] == start.fingerprint
    assert Path(row["uri"]) == start.directory
    assert (row["training_items"], row["positive_items"]) == (0, 0)
    with pytest.raises(StudentError, match=said):
        trained_checkpoint(policy, root, lesson, nothing)


def test_an_llm0_that_says_one_thing_alone_teaches_nothing(policy: Policy, root: RunRoot, taught: Lesson) -> None:
    sample = sample_of(policy, taught, threshold=0.95)
    said = (
        "student.head_start: LLM-0 gives labels of one kind, all 24 labelled texts are negative; .* or set it to none"
    )
    with pytest.raises(StudentError, match=said):
        trained_head_start(policy, root, sample, "llm0", nothing)
    assert not root.local_path("checkpoints").exists()


def test_no_row_is_no_start(root: RunRoot) -> None:
    assert start_of(root, HEAD_START.empty()) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encoder", "sft"])
def test_a_fine_tuned_student_goes_on_from_its_head_start(
    policy: Policy, root: RunRoot, taught: Lesson, tiny_encoder: Path, tiny_model: Path, kind: str
) -> None:
    head_start = {"items": 24, "epochs": 20, "positive_share": 0.4}
    if kind == "encoder":
        student: StudentSettings = test_encoder.recipe(tiny_encoder, head_start=head_start)
        still: dict[str, Any] = {"learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 0.1}
    else:
        student = test_sft.recipe(tiny_model, head_start=head_start, dtype="float32")
        still = {"learning_rate": 1e-9, "epochs": 0.1}
    first = with_student(policy, student)
    row = trained_head_start(first, root, sample_of(first, taught), "llm0", nothing).row(0, named=True)
    assert row["kind"] == kind
    start = start_of(root, pl.DataFrame([row], schema=HEAD_START.schema))
    # What it is taught later changes nothing of the head start.
    again = with_student(policy, student.model_copy(update={"epochs": 1}))
    assert trained_head_start(again, root, sample_of(first, taught), "llm0", stop).row(0, named=True) == row
    opposite = taught._replace(labels=tuple(1 - label for label in taught.labels))
    frame = trained_checkpoint(with_student(policy, student.model_copy(update=still)), root, opposite, nothing, start)
    now, before = weights_of(Path(frame["uri"][0])), weights_of(Path(row["uri"]))
    assert set(now) == set(before)
    assert all(bool((now[name].float() - before[name].float()).abs().max() < 1e-3) for name in now)
    with load_student(Path(frame["uri"][0]), first.student, first) as loaded:
        violation, fine = loaded.score(ASKED)
    assert violation > 0.5 > fine
    assert np.isfinite([violation, fine]).all()
