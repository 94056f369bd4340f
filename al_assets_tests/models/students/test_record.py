import json
from pathlib import Path

import pytest

from al_assets.config import SFTStudent
from al_assets.models.students.record import (
    StudentError,
    StudentRecord,
    TrainingResult,
    in_order,
    one_sided,
    student_fingerprint,
    with_operational,
)

SETTINGS = SFTStudent(kind="sft", base_model="base")
RECORD = StudentRecord("abc", SETTINGS, TrainingResult([0.7, 0.2], [1, 2], 3.5, 10, 4))


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    assert StudentRecord.read(tmp_path) == RECORD


def test_a_directory_without_a_record_holds_no_student(tmp_path: Path) -> None:
    with pytest.raises(StudentError, match=r"holds no student \(student.json is missing\); train it again"):
        StudentRecord.read(tmp_path)


@pytest.mark.parametrize("damage", ["{", "[]", json.dumps({"fingerprint": "a", "settings": {"kind": "sft"}})])
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    (tmp_path / "student.json").write_text(damage)
    with pytest.raises(StudentError, match="student.json: cannot be read as a student's record"):
        StudentRecord.read(tmp_path)


def test_the_fingerprint_is_of_recipe_and_data_but_not_of_their_order() -> None:
    name = student_fingerprint(SETTINGS, ["a", "b"], [True, False])
    assert student_fingerprint(SETTINGS, ["b", "a"], [False, True]) == name
    assert student_fingerprint(SETTINGS, ["a", "b"], [1.0, 0.0]) == name
    assert student_fingerprint(SETTINGS, ["a", "b"], [2 / 3, 0.0]) != name
    assert student_fingerprint(SETTINGS, ["b", "a"], [True, False]) != name
    assert student_fingerprint(SETTINGS.model_copy(update={"seed": 1}), ["a", "b"], [True, False]) != name
    assert student_fingerprint(SETTINGS.model_copy(update={"device": "cuda"}), ["a", "b"], [True, False]) == name


def test_labelled_texts_are_put_in_one_order() -> None:
    assert in_order(["b", "a", "c"], [True, False, 0.5]) == (["a", "b", "c"], [0, 1, 0.5])


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([True, True], "positive"),
        ([False, False], "negative"),
        ([0.5, 0.5], "ties"),
        ([0.5, 1], "positive or ties"),
        ([1 / 3, 0.5], "negative or ties"),
    ],
)
def test_one_kind_is_not_enough(labels: list[float], found: str) -> None:
    with pytest.raises(StudentError, match=f"all 2 labelled texts are {found}; a student needs texts of both labels"):
        in_order(["a", "b"], labels)
    assert not one_sided([*labels, 0.4, 0.6])


@pytest.mark.parametrize("label", [float("nan"), -0.1, 1.5])
def test_a_label_that_is_no_share_is_refused(label: float) -> None:
    with pytest.raises(StudentError, match="labels: .* for the text 'b'; expected a share of votes from 0 to 1"):
        in_order(["a", "b", "c"], [True, label, False])


def test_no_labels_and_uneven_labels_are_refused() -> None:
    with pytest.raises(StudentError, match="there are no labelled texts"):
        in_order([], [])
    with pytest.raises(StudentError, match="1 labels for 2 texts"):
        in_order(["a", "b"], [True])


def test_a_loaded_student_keeps_its_recipe_but_runs_where_the_policy_says() -> None:
    now = SFTStudent(kind="sft", base_model="other", prompt="Q {text}", device="cuda:1", scoring_batch_size=7)
    merged = with_operational(SETTINGS, now)
    assert isinstance(merged, SFTStudent)
    assert (merged.base_model, merged.prompt) == ("base", SETTINGS.prompt)
    assert (merged.device, merged.scoring_batch_size) == ("cuda:1", 7)
