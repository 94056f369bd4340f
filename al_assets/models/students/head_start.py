"""What a student learns before it sees an expert's label: LLM-0's soft labels on a sample of the pool.

A student that starts there knows what LLM-0 knows, less its noise (weak-to-strong generalisation, Burns et al. 2023,
arXiv 2312.09390), and the experts' labels only have to tell where LLM-0 is wrong.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.config import LinearHeadStart, StudentSettings
from al_assets.curation.split import stable_sample
from al_assets.models.labelers.protocol import Closing, probability
from al_assets.models.students.record import StudentError

Floats = NDArray[np.float64]
AskLLM0 = Callable[[Sequence[str]], Floats]
"""LLM-0's p_positive of texts, shape (n,); closed by whoever has asked enough, where it can be."""

_SCALE = "llm0.json"
# Of .3, .6 and hard labels the best teacher of linear students in four settings; see docs/students.md.
_SOFTNESS = 0.3
_LEAST, _LEAST_OF_ALL = 1e-3, 1e-12


class TeachesNothing(StudentError):
    """LLM-0 says the same of all texts, so nobody can learn from it."""


@dataclass(frozen=True)
class LLM0Scale:
    """How LLM-0's scores are read: its threshold is a half, and what is in doubt is measured in its own spread.

    :param threshold: LLM-0's; ``spread``: standard deviation of its log-odds in the pool.
    """

    threshold: float
    spread: float

    @classmethod
    def of(cls, p_positive: Floats, threshold: float) -> "LLM0Scale":
        """Return the scale of LLM-0's scores of the pool."""
        return cls(threshold, float(_log_odds(p_positive, threshold).std()) or 1.0)

    def log_odds(self, p_positive: Floats) -> Floats:
        """Return the log-odds of LLM-0's soft labels, shape as given."""
        centre = _log_odds(np.array([self.threshold]), self.threshold)
        return np.asarray((_log_odds(p_positive, self.threshold) - centre) / (_SOFTNESS * self.spread))

    def soft_labels(self, p_positive: Floats) -> Floats:
        """Return LLM-0's soft labels, 0 to 1; above a half where it says positive, at its very threshold too."""
        labels, (below, above) = probability(self.log_odds(p_positive)), np.nextafter(0.5, [0, 1])
        said_yes = p_positive >= self.threshold
        return np.asarray(np.where(said_yes, np.maximum(labels, above), np.minimum(labels, below)))

    def write(self, directory: Path) -> None:
        """Keep it beside the weights."""
        (directory / _SCALE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> "LLM0Scale":
        """Read it from a head start's directory.

        :raises StudentError: it is missing or damaged.
        """
        try:
            return cls(**json.loads((directory / _SCALE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StudentError(f"{directory / _SCALE}: cannot be read ({error}); train the head start again") from error


@dataclass(frozen=True)
class Start(Closing):
    """What a student descends from.

    :param directory: of the head start, itself a student of the same kind; ``fingerprint`` is its own.
    :param ask: for students that have LLM-0's score as a feature.
    """

    fingerprint: str
    directory: Path
    ask: AskLLM0 | None = None

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """Return LLM-0's log-odds as the student takes them.

        :raises StudentError: nobody can ask LLM-0.
        """
        if self.ask is None:
            raise StudentError("student.with_llm0: LLM-0 cannot be asked here; set it to false")
        return LLM0Scale.read(self.directory).log_odds(self.ask(texts))

    def close(self) -> None:
        """Close LLM-0; asked again, it is opened again."""
        asked: object = self.ask
        if isinstance(asked, Closing):
            asked.close()


@dataclass(frozen=True)
class HeadStartSample:
    """Texts with LLM-0's soft labels.

    :param left_out: items of the pool that LLM-0 gave no score.
    """

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Floats
    scale: LLM0Scale
    left_out: int


def _log_odds(p_positive: Floats, threshold: float) -> Floats:
    from scipy.special import logit

    # A model that is nearly sure of every text has its threshold out there.
    least = float(np.clip(min(threshold, 1 - threshold) / 10, _LEAST_OF_ALL, _LEAST))
    return np.asarray(logit(np.clip(p_positive, least, 1 - least)), dtype=np.float64)


def head_start_sample(scored: pl.DataFrame, student: StudentSettings, threshold: float, seed: int) -> HeadStartSample:
    """Return what a student's head start learns from: a sample that keeps its members when the pool grows.

    :param scored: item_id, text, p_positive (null or NaN where LLM-0 gave no score), in any order.
    :param threshold: LLM-0's.
    :raises StudentError: LLM-0 scored nothing.
    """
    settings = student.head_start
    assert settings != "none"
    known = scored.filter(pl.col("p_positive").is_finite().fill_null(False)).sort("item_id")
    if known.is_empty():
        raise StudentError("student.head_start: LLM-0 scored no item of the pool; mend LLM-0, or set it to none")
    scale = LLM0Scale.of(known["p_positive"].to_numpy(), threshold)
    said_yes = pl.col("p_positive") >= threshold
    if isinstance(settings, LinearHeadStart):
        chosen = stable_sample(known["item_id"].to_list(), settings.items, seed)
    else:
        sides = [known.filter(side)["item_id"].to_list() for side in (said_yes, ~said_yes)]
        wanted = max(round(settings.items * settings.positive_share), settings.items - len(sides[1]))
        positive = min(len(sides[0]), wanted)
        counts = positive, settings.items - positive
        chosen = [each for side, count in zip(sides, counts, strict=True) for each in stable_sample(side, count, seed)]
    sample = known.filter(pl.col("item_id").is_in(chosen))
    labels = scale.soft_labels(sample["p_positive"].to_numpy())
    return HeadStartSample(tuple(sample["item_id"]), tuple(sample["text"]), labels, scale, scored.height - known.height)


def head_start_recipe(student: StudentSettings) -> StudentSettings:
    """Return the settings that the head start itself is trained by: the student's, from nothing."""
    settings = student.head_start
    assert settings != "none"
    changed: dict[str, object] = {"head_start": "none"}
    changed |= {"with_llm0": False} if isinstance(settings, LinearHeadStart) else {"epochs": settings.epochs}
    return student.model_copy(update=changed)
