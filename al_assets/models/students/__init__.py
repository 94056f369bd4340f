"""Students: small models that learn from the experts' labels and may become the next labeler; none is trained twice."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import polars as pl

from al_assets.config import LinearStudent, Policy, SFTStudent, StudentSettings, fingerprint_of
from al_assets.models.labelers.protocol import Labeler
from al_assets.models.students.encoder import EncoderLabeler, train_encoder
from al_assets.models.students.head_start import (
    AskLLM0,
    HeadStartSample,
    LLM0Scale,
    Start,
    TeachesNothing,
    head_start_recipe,
)
from al_assets.models.students.linear import LinearLabeler, train_linear
from al_assets.models.students.record import (
    RECORD,
    Progress,
    StudentError,
    StudentRecord,
    TrainingResult,
    in_order,
    one_sided,
    student_fingerprint,
    with_operational,
)
from al_assets.models.students.sft import SFTLabeler, train_sft
from al_assets.storage.atomic import new_directory
from al_assets.storage.root import RunRoot
from al_assets.tables import HEAD_START, SFT_CHECKPOINT

__all__ = [
    "Lesson",
    "Start",
    "StudentError",
    "TrainingResult",
    "load_student",
    "start_of",
    "student_fingerprint",
    "train_student",
    "trained_checkpoint",
    "trained_head_start",
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
    start: Start | None = None,
    fingerprint: str | None = None,
) -> TrainingResult:
    """Train a student from the base model or its head start, never from an earlier student, into a directory.

    The same settings and the same labelled texts, in whatever order, give the same student on the same machine.

    :param labels: the share of positive among each text's votes, 0 to 1: True for positive, a half for a tie.
    :param directory: made if missing; it holds a student once ``student.json`` is there, written last.
    :param progress: called with (optimiser steps done, steps in all).
    :param start: the head start that it descends from; None: the base model.
    :param fingerprint: what the student is called as a labeler; ``student_fingerprint`` of the data by default.
    :raises StudentError: no text leans to positive or none to negative, or the training failed.
    """
    ordered_texts, ordered_labels = in_order(texts, labels)
    directory.mkdir(parents=True, exist_ok=True)
    how = ordered_texts, ordered_labels, directory, policy, progress or (lambda done, total: None)
    if isinstance(settings, LinearStudent):
        result = train_linear(settings, *how, start)
        if start and settings.with_llm0:
            LLM0Scale.read(start.directory).write(directory)
    else:
        begun = start.directory if start else None
        if isinstance(settings, SFTStudent):
            result = train_sft(settings, *how, begun)
        else:
            result = train_encoder(settings, *how, begun)
    name = fingerprint or student_fingerprint(settings, texts, labels, start.fingerprint if start else None)
    StudentRecord(name, settings, result).write(directory)
    return result


def load_student(directory: Path, settings: StudentSettings, policy: Policy, ask: AskLLM0 | None = None) -> Labeler:
    """Return a trained student as a labeler; use it as a context manager.

    It asks as it was trained to, whatever the policy file says by now; ``settings`` only say on what device it runs.

    :param ask: LLM-0's scores, for a student that has them as a feature.
    :raises StudentError: the directory holds no student, or it needs LLM-0's scores and cannot ask.
    """
    record = StudentRecord.read(directory)
    trained = with_operational(record.settings, settings)
    if isinstance(trained, LinearStudent):
        llm0 = Start(record.fingerprint, directory, ask) if trained.with_llm0 and ask else None
        return LinearLabeler(trained, record.fingerprint, directory, policy, llm0)
    if isinstance(trained, SFTStudent):
        return SFTLabeler(trained, record.fingerprint, directory)
    return EncoderLabeler(trained, record.fingerprint, directory)


def trained_checkpoint(
    policy: Policy, root: RunRoot, lesson: Lesson, progress: Progress, start: Start | None = None
) -> pl.DataFrame:
    """Return the one row of ``sft_checkpoint`` for a lesson, training the student unless it was trained before.

    From labels of one kind, or none, nothing is learnt: the student is then the head start's.

    :raises StudentError: no labels, or labels of one kind only, and no head start.
    """
    data = fingerprint_of(sorted(zip(*lesson, strict=True)))
    problem = one_sided(lesson.labels)
    if start and problem:
        found = StudentRecord.read(start.directory)
        row = _row(found.settings, root, start.fingerprint, data, found.result)
        note = f"{problem}: nothing new is learnt, the student is the one that LLM-0 taught"
        return _frame({**row, "training_items": 0, "positive_items": 0, "head_start": start.fingerprint, "note": note})
    descent = [start.fingerprint] if start else []
    fingerprint = fingerprint_of([policy.student.fingerprint(), data, *descent])
    result = _kept(policy.student, policy, root, lesson, progress, fingerprint, start)
    row = _row(policy.student, root, fingerprint, data, result)
    return _frame({**row, "head_start": start.fingerprint if start else None, "note": ""})


def trained_head_start(
    policy: Policy, root: RunRoot, sample: HeadStartSample, llm0: str, progress: Progress
) -> pl.DataFrame:
    """Return the one row of ``head_start``, training it unless it was trained before.

    :param llm0: the fingerprint of LLM-0.
    :raises TeachesNothing: LLM-0 calls no item of the sample positive, or none negative.
    """
    problem = one_sided(sample.labels)
    if problem:
        raise TeachesNothing(
            f"student.head_start: LLM-0 gives labels of one kind, {problem}; mend LLM-0, or set it to none"
        )
    lesson = Lesson(sample.item_ids, sample.texts, tuple(sample.labels.tolist()))
    data = fingerprint_of(sorted(zip(*lesson, strict=True)))
    recipe = head_start_recipe(policy.student)
    fingerprint = fingerprint_of(["head start", llm0, recipe.fingerprint(), data])
    result = _kept(recipe, policy, root, lesson, progress, fingerprint, None, sample.scale)
    row = {**_row(recipe, root, fingerprint, data, result), "llm0": llm0, "left_out": sample.left_out}
    return pl.DataFrame([row], schema=HEAD_START.schema)


def start_of(root: RunRoot, head_start: pl.DataFrame, ask: AskLLM0 | None = None) -> Start | None:
    """Return the head start that a row of ``head_start`` names; None without a row."""
    if head_start.is_empty():
        return None
    fingerprint = head_start["fingerprint"][0]
    return Start(fingerprint, root.local_checkpoint(fingerprint), ask)


def _kept(
    settings: StudentSettings,
    policy: Policy,
    root: RunRoot,
    lesson: Lesson,
    progress: Progress,
    fingerprint: str,
    start: Start | None,
    scale: LLM0Scale | None = None,
) -> TrainingResult:
    """Train a student and keep it under the root, unless it is there; return how its training went."""
    place = root.checkpoint_path(fingerprint)
    if not (place / RECORD).exists():
        local = root.local_path(f"checkpoints/{fingerprint}")
        with new_directory(local) as directory:
            if scale:
                scale.write(directory)
            train_student(
                settings, policy, lesson.texts, lesson.labels, directory, progress, start=start, fingerprint=fingerprint
            )
        root.upload_directory(local, place)
    return StudentRecord.read(root.local_checkpoint(fingerprint)).result


def _row(
    student: StudentSettings, root: RunRoot, fingerprint: str, data: str, result: TrainingResult
) -> dict[str, object]:
    if isinstance(student, LinearStudent):
        base_model, method = student.embedding.model, "linear"
    else:
        base_model, method = student.base_model, student.method if isinstance(student, SFTStudent) else "full"
    return {
        "kind": student.kind,
        "base_model": base_model,
        "method": method,
        "uri": str(root.checkpoint_path(fingerprint)),
        "fingerprint": fingerprint,
        "data_fingerprint": data,
        **asdict(result),
    }


def _frame(row: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([row], schema=SFT_CHECKPOINT.schema)
