"""Students: small models that learn from the experts' labels and may become the next labeler; none is trained twice."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import polars as pl

from al_assets.config import EncoderStudent, LinearStudent, Policy, SFTStudent, StudentSettings, fingerprint_of
from al_assets.models.labelers.protocol import Labeler
from al_assets.models.students.encoder import EncoderLabeler, train_encoder
from al_assets.models.students.linear import LinearLabeler, train_linear
from al_assets.models.students.record import (
    RECORD,
    Progress,
    StudentError,
    StudentRecord,
    TrainingResult,
    in_order,
    student_fingerprint,
    with_operational,
)
from al_assets.models.students.sft import SFTLabeler, train_sft
from al_assets.storage.atomic import new_directory
from al_assets.storage.root import RunRoot
from al_assets.tables import SFT_CHECKPOINT

__all__ = [
    "Lesson",
    "StudentError",
    "TrainingResult",
    "load_student",
    "student_fingerprint",
    "train_student",
    "trained_checkpoint",
]


class Lesson(NamedTuple):
    """What a student learns from, in one order; a label is the share of positive among the item's votes."""

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[float, ...]


def train_student(
    settings: StudentSettings,
    policy: Policy,
    texts: Sequence[str],
    labels: Sequence[float],
    directory: Path,
    progress: Progress | None = None,
    *,
    fingerprint: str | None = None,
) -> TrainingResult:
    """Train a student from the base model, never from an earlier student, and write it into a directory.

    The same settings and the same labelled texts, in whatever order, give the same student on the same machine.

    :param labels: the share of positive among each text's votes, 0 to 1: True for positive, a half for a tie.
    :param directory: made if missing; it holds a student once ``student.json`` is there, written last.
    :param progress: called with (optimiser steps done, steps in all).
    :param fingerprint: what the student is called as a labeler; ``student_fingerprint`` of the data by default.
    :raises StudentError: no text leans to positive or none to negative, or the training failed.
    """
    ordered_texts, ordered_labels = in_order(texts, labels)
    directory.mkdir(parents=True, exist_ok=True)
    how = ordered_texts, ordered_labels, directory, policy, progress or (lambda done, total: None)
    if isinstance(settings, SFTStudent):
        result = train_sft(settings, *how)
    elif isinstance(settings, EncoderStudent):
        result = train_encoder(settings, *how)
    else:
        result = train_linear(settings, *how)
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
    if isinstance(trained, EncoderStudent):
        return EncoderLabeler(trained, record.fingerprint, directory)
    return LinearLabeler(trained, record.fingerprint, directory, policy)


def trained_checkpoint(policy: Policy, root: RunRoot, lesson: Lesson, progress: Progress) -> pl.DataFrame:
    """Return the one row of ``sft_checkpoint`` for a lesson, training the student unless it was trained before.

    :raises ValueError: no labels, or labels of one kind only.
    """
    data = fingerprint_of(sorted(zip(*lesson, strict=True)))
    fingerprint = fingerprint_of([policy.student.fingerprint(), data])
    place = root.checkpoint_path(fingerprint)
    if not (place / RECORD).exists():
        local = root.local_path(f"checkpoints/{fingerprint}")
        with new_directory(local) as directory:
            train_student(
                policy.student, policy, lesson.texts, lesson.labels, directory, progress, fingerprint=fingerprint
            )
        root.upload_directory(local, place)
    trained = StudentRecord.read(root.local_checkpoint(fingerprint)).result
    student = policy.student
    if isinstance(student, LinearStudent):
        base_model, method = student.embedding.model, "linear"
    else:
        base_model, method = student.base_model, student.method if isinstance(student, SFTStudent) else "full"
    row = {
        "kind": student.kind,
        "base_model": base_model,
        "method": method,
        "uri": str(place),
        "fingerprint": fingerprint,
        "data_fingerprint": data,
        **asdict(trained),
    }
    return pl.DataFrame([row], schema=SFT_CHECKPOINT.schema)
