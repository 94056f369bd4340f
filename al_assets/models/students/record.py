"""What every student is to the loop: how it is named, kept on disk and found again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from al_assets.config import OPERATIONAL, StudentSettings, fingerprint_of

RECORD = "student.json"
Progress = Callable[[int, int], None]
_SETTINGS: TypeAdapter[StudentSettings] = TypeAdapter(StudentSettings)


class StudentError(ValueError):
    """A student cannot be trained or loaded; the message names what was found and the way out."""


@dataclass(frozen=True)
class TrainingResult:
    """How a training went.

    :param losses: training loss at each of ``steps``, in nats per answer; the model's own loss, without any penalty.
    :param steps: optimiser steps, from 1.
    :param seconds: wall time, loading and saving included.
    """

    losses: list[float]
    steps: list[int]
    seconds: float
    training_items: int
    positive_items: int


@dataclass(frozen=True)
class StudentRecord:
    """What ``student.json`` says beside the weights."""

    fingerprint: str
    settings: StudentSettings
    result: TrainingResult

    def write(self, directory: Path) -> None:
        """Write it into a student's directory; last of all, so that a directory with a record is complete."""
        content = {
            "fingerprint": self.fingerprint,
            "settings": self.settings.model_dump(mode="json"),
            "result": asdict(self.result),
        }
        (directory / RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read a student's directory.

        :raises StudentError: it holds no student, or one that this version cannot read.
        """
        file = directory / RECORD
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            settings = _SETTINGS.validate_python(content["settings"])
            return cls(content["fingerprint"], settings, TrainingResult(**content["result"]))
        except FileNotFoundError:
            raise StudentError(f"{directory}: holds no student ({RECORD} is missing); train it again") from None
        except (OSError, ValidationError, ValueError, KeyError, TypeError) as error:
            raise StudentError(f"{file}: cannot be read as a student's record ({error}); train it again") from error


def student_fingerprint(settings: StudentSettings, texts: Sequence[str], labels: Sequence[bool]) -> str:
    """Return 12 hex digits of the recipe and the labelled texts, whatever their order."""
    return fingerprint_of([settings.fingerprint(), sorted([text, bool(label)] for text, label in _pair(texts, labels))])


def in_order(texts: Sequence[str], labels: Sequence[bool]) -> tuple[list[str], list[bool]]:
    """Return labelled texts in the one order that students learn from, so that the given order changes nothing.

    :raises StudentError: not one label a text, no texts, or labels of one class only.
    """
    pairs = sorted((text, bool(label)) for text, label in _pair(texts, labels))
    positive = sum(label for _, label in pairs)
    if positive in (0, len(pairs)):
        kind = "positive" if positive else "negative"
        problem = f"all {len(pairs)} labelled texts are {kind}" if pairs else "there are no labelled texts"
        raise StudentError(
            f"labels: {problem}; a student needs texts of both labels. Have more items labelled, or give the labeler a "
            "start that finds some of the other kind"
        )
    return [text for text, _ in pairs], [label for _, label in pairs]


def with_operational(trained: StudentSettings, current: StudentSettings) -> StudentSettings:
    """Return the settings a student was trained with, but run as the policy file now says: device, batch size."""
    if type(trained) is not type(current):
        return trained
    fields = type(trained).model_fields
    here = {name: getattr(current, name) for name, field in fields.items() if OPERATIONAL in field.metadata}
    return trained.model_copy(update=here)


def _pair(texts: Sequence[str], labels: Sequence[bool]) -> list[tuple[str, Any]]:
    if len(texts) != len(labels):
        raise StudentError(f"labels: {len(labels)} labels for {len(texts)} texts; give one label for each text")
    return list(zip(texts, labels, strict=True))
