"""What every student is to the loop: how it is named, kept on disk and found again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
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
    :param positive_items: those that more than half of the votes call positive; a tie is none of them.
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


def student_fingerprint(
    settings: StudentSettings, texts: Sequence[str], labels: Sequence[float], start: str | None = None
) -> str:
    """Return 12 hex digits of the recipe, the labelled texts, whatever their order, and the head start, if any."""
    pairs = sorted([text, float(label)] for text, label in _pair(texts, labels))
    return fingerprint_of([settings.fingerprint(), pairs, *([start] if start else [])])


def in_order(texts: Sequence[str], labels: Sequence[float]) -> tuple[list[str], list[float]]:
    """Return labelled texts in the one order that students learn from, so that the given order changes nothing.

    :param labels: the share of positive among each text's votes, 0 to 1.
    :raises StudentError: not one label a text, a label that is no share, or see ``one_sided``.
    """
    pairs = sorted((text, float(label)) for text, label in _pair(texts, labels))
    for text, label in pairs:
        if not 0 <= label <= 1:
            raise StudentError(f"labels: {label} for the text {text[:60]!r}; expected a share of votes from 0 to 1")
    problem = one_sided([label for _, label in pairs])
    if problem:
        raise StudentError(
            f"labels: {problem}; a student needs texts of both labels. Have more items labelled, or give the labeler a "
            "start that finds some of the other kind"
        )
    return [text for text, _ in pairs], [label for _, label in pairs]


def one_sided(labels: ArrayLike) -> str:
    """Return why no student can learn from labels, "" if one can: some lean to positive and some to negative.

    :param labels: shares of positive votes, 0 to 1, shape (texts,); ties lean to neither side.
    """
    shares = np.asarray(labels, dtype=np.float64)
    if not len(shares):
        return "there are no labelled texts"
    positive, negative, tied = (int(mask.sum()) for mask in (shares > 0.5, shares < 0.5, shares == 0.5))
    if positive and negative:
        return ""
    kinds = {"positive": positive, "negative": negative, "ties": tied}
    return f"all {len(shares)} labelled texts are {' or '.join(name for name, count in kinds.items() if count)}"


def with_operational(trained: StudentSettings, current: StudentSettings) -> StudentSettings:
    """Return the settings a student was trained with, but run as the policy file now says: device, batch size."""
    if type(trained) is not type(current):
        return trained
    fields = type(trained).model_fields
    here = {name: getattr(current, name) for name, field in fields.items() if OPERATIONAL in field.metadata}
    return trained.model_copy(update=here)


def _pair(texts: Sequence[str], labels: Sequence[float]) -> list[tuple[str, Any]]:
    if len(texts) != len(labels):
        raise StudentError(f"labels: {len(labels)} labels for {len(texts)} texts; give one label for each text")
    return list(zip(texts, labels, strict=True))
