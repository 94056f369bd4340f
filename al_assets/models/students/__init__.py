"""Students: small models that learn from the experts' labels and may become the next labeler."""

from collections.abc import Sequence
from pathlib import Path

from al_assets.config import Policy, SFTStudent, StudentSettings
from al_assets.models.labelers.protocol import Labeler
from al_assets.models.students.linear import LinearLabeler, train_linear
from al_assets.models.students.record import (
    Progress,
    StudentError,
    StudentRecord,
    TrainingResult,
    in_order,
    student_fingerprint,
    with_operational,
)
from al_assets.models.students.sft import SFTLabeler, train_sft

__all__ = ["StudentError", "TrainingResult", "load_student", "student_fingerprint", "train_student"]


def train_student(
    settings: StudentSettings,
    policy: Policy,
    texts: Sequence[str],
    labels: Sequence[bool],
    directory: Path,
    progress: Progress | None = None,
    *,
    fingerprint: str | None = None,
) -> TrainingResult:
    """Train a student from the base model, never from an earlier student, and write it into a directory.

    The same settings and the same labelled texts, in whatever order, give the same student on the same machine.

    :param labels: True for positive.
    :param directory: made if missing; it holds a student once ``student.json`` is there, written last.
    :param progress: called with (optimiser steps done, steps in all).
    :param fingerprint: what the student is called as a labeler; ``student_fingerprint`` of the data by default.
    :raises StudentError: labels of one class only, or the training failed.
    """
    ordered_texts, ordered_labels = in_order(texts, labels)
    directory.mkdir(parents=True, exist_ok=True)
    report = progress or _say_nothing
    if isinstance(settings, SFTStudent):
        result = train_sft(settings, ordered_texts, ordered_labels, directory, policy, report)
    else:
        result = train_linear(settings, ordered_texts, ordered_labels, directory, policy, report)
    name = fingerprint or student_fingerprint(settings, texts, labels)
    StudentRecord(name, settings, result).write(directory)
    return result


def load_student(directory: Path, settings: StudentSettings, policy: Policy) -> Labeler:
    """Return a trained student as a labeler; use it as a context manager.

    It asks as it was trained to, whatever the policy file says by now; ``settings`` only say on what device it runs.

    :raises StudentError: the directory holds no student.
    """
    record = StudentRecord.read(directory)
    trained = with_operational(record.settings, settings)
    if isinstance(trained, SFTStudent):
        return SFTLabeler(trained, record.fingerprint, directory)
    return LinearLabeler(trained, record.fingerprint, directory, policy)


def _say_nothing(done: int, total: int) -> None:
    """Report no progress."""
