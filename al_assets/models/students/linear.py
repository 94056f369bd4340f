"""A linear student: logistic regression on the frozen embedding."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.config import LinearStudent, Policy
from al_assets.models.embedders import make_embedder
from al_assets.models.labelers.protocol import Labeler, probability
from al_assets.models.students.record import Progress, StudentError, TrainingResult

_WEIGHTS = "weights.npz"


@dataclass(frozen=True)
class LinearHead:
    """Weights of a logistic regression.

    :param coefficients: shape (dimensions,).
    """

    coefficients: NDArray[np.float64]
    intercept: float

    def probability(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of vectors of shape (n, dimensions), shape (n,)."""
        return probability(vectors.astype(np.float64) @ self.coefficients + self.intercept)


def fit_linear(
    vectors: NDArray[Any], labels: ArrayLike, *, regularisation: float = 1.0, balanced: bool = True, seed: int = 0
) -> LinearHead:
    """Fit L2-regularised logistic regression.

    :param vectors: shape (n, dimensions).
    :param labels: booleans of both classes, shape (n,).
    :param balanced: both classes weigh alike, however rare one of them is.
    :raises ValueError: labels of one class only.
    """
    from sklearn.linear_model import LogisticRegression

    weights = "balanced" if balanced else None
    model = LogisticRegression(C=1 / regularisation, class_weight=weights, max_iter=1000, random_state=seed)
    model.fit(vectors.astype(np.float64), labels)
    return LinearHead(np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))


def train_linear(
    settings: LinearStudent, texts: Sequence[str], labels: Sequence[bool], directory: Path, policy: Policy,
    progress: Progress,
) -> TrainingResult:  # fmt: skip
    """Fit a linear head on the embedding and write its weights into a directory."""
    from sklearn.metrics import log_loss

    started = time.monotonic()
    progress(0, 1)
    embedder = make_embedder(settings.embedding, policy)
    vectors = embedder.embed(texts)
    head = fit_linear(
        vectors, labels, regularisation=settings.regularisation, balanced=settings.balanced, seed=settings.seed
    )
    loss = float(log_loss(labels, head.probability(vectors), labels=[False, True]))
    with (directory / _WEIGHTS).open("wb") as stream:
        np.savez(stream, coefficients=head.coefficients, intercept=head.intercept)
    progress(1, 1)
    return TrainingResult([loss], [1], time.monotonic() - started, len(texts), sum(labels))


class LinearLabeler(Labeler):
    """A linear student at work."""

    def __init__(self, settings: LinearStudent, fingerprint: str, directory: Path, policy: Policy) -> None:
        """Read the weights.

        :raises StudentError: they are missing or damaged.
        """
        self.fingerprint = fingerprint
        self.batch_size = settings.embedding.batch_size
        self._embedder = make_embedder(settings.embedding, policy)
        try:
            with np.load(directory / _WEIGHTS, allow_pickle=False) as weights:
                self._head = LinearHead(weights["coefficients"], float(weights["intercept"]))
        except (OSError, ValueError, KeyError) as error:
            raise StudentError(f"{directory / _WEIGHTS}: cannot be read ({error}); train it again") from error

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,).

        :raises StudentError: the embedder's dimensions are not those it was trained on.
        """
        vectors = self._embedder.embed(texts)
        if vectors.shape[1] != len(self._head.coefficients):
            raise StudentError(
                f"student.embedding: gives {vectors.shape[1]} dimensions, the student was trained on "
                f"{len(self._head.coefficients)}; restore the embedding model, or train the student again"
            )
        return self._head.probability(vectors)

    def close(self) -> None:
        """Free the embedding model."""
        self._embedder.close()
