"""A linear student: logistic regression on the frozen embedding."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_assets.config import LinearStudent, Policy
from al_assets.models.embedders import Embedder, make_embedder
from al_assets.models.labelers.causal_lm import probability
from al_assets.models.labelers.protocol import Closing
from al_assets.models.students.base import Progress, StudentError, TrainingResult

_WEIGHTS = "weights.npz"


def train_linear(
    settings: LinearStudent, texts: Sequence[str], labels: Sequence[bool], directory: Path, policy: Policy,
    progress: Progress,
) -> TrainingResult:  # fmt: skip
    """Fit L2-regularised logistic regression, both classes weighted alike, and write its weights into a directory."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    started = time.monotonic()
    progress(0, 1)
    embedder = make_embedder(settings.embedding, policy)
    vectors = embedder.embed(texts).astype(np.float64)
    model = LogisticRegression(
        C=1 / settings.regularisation, class_weight="balanced", max_iter=1000, random_state=settings.seed
    )
    model.fit(vectors, labels)
    loss = float(log_loss(labels, model.predict_proba(vectors)[:, 1], labels=[False, True]))
    with (directory / _WEIGHTS).open("wb") as stream:
        np.savez(stream, coefficients=model.coef_[0], intercept=model.intercept_[0])
    progress(1, 1)
    return TrainingResult([loss], [1], time.monotonic() - started, len(texts), sum(labels))


class LinearLabeler(Closing):
    """A linear student at work."""

    def __init__(self, settings: LinearStudent, fingerprint: str, directory: Path, policy: Policy) -> None:
        """Read the weights.

        :raises StudentError: they are missing or damaged.
        """
        self.fingerprint = fingerprint
        self.batch_size = settings.embedding.batch_size
        self._embedder: Embedder = make_embedder(settings.embedding, policy)
        try:
            with np.load(directory / _WEIGHTS, allow_pickle=False) as weights:
                self._coefficients: NDArray[np.float64] = weights["coefficients"]
                self._intercept = float(weights["intercept"])
        except (OSError, ValueError, KeyError) as error:
            raise StudentError(f"{directory / _WEIGHTS}: cannot be read ({error}); train it again") from error

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,).

        :raises StudentError: the embedder's dimensions are not those it was trained on.
        """
        vectors = self._embedder.embed(texts)
        if vectors.shape[1] != len(self._coefficients):
            raise StudentError(
                f"student.embedding: gives {vectors.shape[1]} dimensions, the student was trained on "
                f"{len(self._coefficients)}; restore the embedding model, or train the student again"
            )
        return probability(vectors.astype(np.float64) @ self._coefficients + self._intercept)

    def close(self) -> None:
        """Free the embedding model."""
        self._embedder.close()
