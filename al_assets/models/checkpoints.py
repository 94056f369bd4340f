"""Students on disk: content-addressed by recipe and training data, so that none is trained twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from al_assets.config import LinearStudent, Policy, SFTStudent, fingerprint_of
from al_assets.models.students import train_student
from al_assets.storage.atomic import new_directory
from al_assets.storage.root import RunRoot
from al_assets.storage.schemas import SFT_CHECKPOINT

RECORD = "checkpoint.json"


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
        local = Path(root.local_path(f"checkpoints/{fingerprint}"))
        with new_directory(local) as directory:
            trained = train_student(
                policy.student,
                policy,
                lesson.texts,
                lesson.labels,
                directory,
                progress,
                fingerprint=fingerprint,
            )
            record = {"steps": trained.steps, "losses": trained.losses, "seconds": trained.seconds}
            (directory / RECORD).write_text(json.dumps(record))
        root.upload_directory(local, place)
    record = json.loads((place / RECORD).read_text())
    return pl.DataFrame(
        [{**_about(policy.student), **record, **_data(lesson, data), "uri": str(place), "fingerprint": fingerprint}],
        schema=SFT_CHECKPOINT.schema,
    )


def _about(student: SFTStudent | LinearStudent) -> dict[str, Any]:
    if isinstance(student, LinearStudent):
        return {"kind": student.kind, "base_model": student.embedding.model, "method": "linear"}
    return {"kind": student.kind, "base_model": student.base_model, "method": student.method}


def _data(lesson: Lesson, fingerprint: str) -> dict[str, Any]:
    return {
        "data_fingerprint": fingerprint,
        "training_items": len(lesson.item_ids),
        "positive_items": sum(lesson.labels),
    }
