"""Students on disk: content-addressed by recipe and training data, so that none is trained twice."""

from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl

from al_assets.config import LinearStudent, Policy, SFTStudent, fingerprint_of
from al_assets.models.students import train_student
from al_assets.models.students.record import RECORD, StudentRecord
from al_assets.storage.atomic import new_directory
from al_assets.storage.root import RunRoot
from al_assets.tables import SFT_CHECKPOINT


class Lesson(NamedTuple):
    """What a student learns from, in one order."""

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[bool, ...]


def trained_checkpoint(
    policy: Policy, root: RunRoot, lesson: Lesson, progress: Callable[[int, int], None]
) -> pl.DataFrame:
    """Return the one row of ``sft_checkpoint`` for a lesson, training the student unless it was trained before.

    :raises ValueError: no labels, or labels of one class only.
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
    row = {
        **_about(policy.student),
        "uri": str(place),
        "fingerprint": fingerprint,
        "data_fingerprint": data,
        "training_items": trained.training_items,
        "positive_items": trained.positive_items,
        "steps": trained.steps,
        "losses": trained.losses,
        "seconds": trained.seconds,
    }
    return pl.DataFrame([row], schema=SFT_CHECKPOINT.schema)


def _about(student: SFTStudent | LinearStudent) -> dict[str, Any]:
    if isinstance(student, LinearStudent):
        return {"kind": student.kind, "base_model": student.embedding.model, "method": "linear"}
    return {"kind": student.kind, "base_model": student.base_model, "method": student.method}
