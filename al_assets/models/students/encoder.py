"""A sentence encoder as student: trained whole in a process of its own; its one-dimensional vectors are the logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_assets.config import EncoderStudent, Policy
from al_assets.models.labelers.protocol import Labeler, probability
from al_assets.models.students.record import Progress, StudentError, TrainingResult
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
