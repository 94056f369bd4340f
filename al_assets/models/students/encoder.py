"""A sentence encoder as student: trained whole in a process of its own; its one-dimensional vectors are the logits."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_assets.config import EncoderStudent, Policy
from al_assets.models.labelers.protocol import Labeler, probability
from al_assets.models.students.record import RECORD, Progress, StudentError, TrainingResult
from al_assets.models.students.training_process import train_in_process

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def train_encoder(
    settings: EncoderStudent, texts: Sequence[str], labels: Sequence[float], directory: Path, policy: Policy,
    progress: Progress, start: Path | None = None,
) -> TrainingResult:  # fmt: skip
    """Train in a subprocess and write a plain sentence-transformers directory; see ``train_in_process``.

    :raises StudentError: the training failed; the message ends with what the subprocess said last.
    """
    worker = "al_assets.models.students.encoder_worker"
    return train_in_process(worker, settings, texts, labels, directory, policy, progress, start)


class EncoderLabeler(Labeler):
    """A trained encoder at work, loaded by the first ``score``; a text too long for max_tokens is cut at its end."""

    def __init__(self, settings: EncoderStudent, fingerprint: str, directory: Path) -> None:
        """Name the student's directory."""
        self.fingerprint = fingerprint
        self.batch_size = settings.scoring_batch_size
        self._device = settings.device
        self._directory = directory
        self._model: SentenceTransformer | None = None

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,).

        :raises StudentError: the directory holds no encoder that can be loaded.
        """
        model = self._model or self._load()
        logits = model.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False)
        return probability(np.asarray(logits, dtype=np.float64).reshape(len(texts)))

    def close(self) -> None:
        """Free the model."""
        self._model = None

    def _load(self) -> "SentenceTransformer":
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            self._model = SentenceTransformer(str(self._directory), device=self._device).eval()
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise StudentError(f"{self._directory}: cannot be read as an encoder ({error}); train it again") from error
        return self._model


def blend(start: Path, trained: Path, share: float, directory: Path) -> None:
    """Write the student whose weights lie on the line from a head start to what was trained from it.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (arXiv 2109.01903), equation 1.

    :param start: directory of the head start.
    :param trained: directory of the student that was trained from it.
    :param share: 0 for the head start, 1 for the trained student.
    :param directory: where to; it gets no ``student.json``.
    :raises StudentError: the two are not of the same kind.
    """
    from safetensors.torch import load_file, save_file

    shutil.copytree(trained, directory, ignore=shutil.ignore_patterns(RECORD), dirs_exist_ok=True)
    for file in sorted(directory.rglob("*.safetensors")):
        begun = start / file.relative_to(directory)
        ends = load_file(begun) if begun.exists() else {}, load_file(file)
        shapes = [{name: weights.shape for name, weights in end.items()} for end in ends]
        if shapes[0] != shapes[1]:
            raise StudentError(f"{start}: its weights are not those that {trained} was trained from; train both again")
        mixed = {name: weights.lerp(ends[1][name], share) for name, weights in ends[0].items()}
        save_file(mixed, file, metadata={"format": "pt"})
