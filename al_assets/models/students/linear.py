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
from al_assets.models.students.record import Progress, StudentError, TrainingResult, one_sided

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
    """Fit L2-regularised logistic regression to soft labels.

    Each item enters with both answers, each weighted by its share of the votes, and so counts once. Of labels that are
    all 0 or 1 this is plain logistic regression, to the last bit.

    :param vectors: shape (n, dimensions).
    :param labels: booleans, or shares of positive votes from 0 to 1, shape (n,).
    :param balanced: both answers weigh alike, however rare one of them is.
    :raises ValueError: no label leans to positive, or none to negative.
    """
    from sklearn.linear_model import LogisticRegression

    problem = one_sided(labels)
    if problem:
        raise ValueError(f"labels: {problem}; a linear head learns from both kinds")
    rows, answers, weights = _both_answers(labels)
    if balanced:
        mass = np.bincount(answers, weights)
        weights = weights * (len(vectors) / (2 * mass))[answers.astype(np.int64)]
    model = LogisticRegression(C=1 / regularisation, max_iter=1000, random_state=seed)
    model.fit(vectors.astype(np.float64)[rows], answers, weights)
    return LinearHead(np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))


def _both_answers(labels: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return rows, their answers and weights above 0, in the order of the items; of a unanimous item one row."""
    share = np.asarray(labels, dtype=np.float64)
    weights = np.stack([share, 1 - share], axis=1).ravel()
    rows, answers = np.repeat(np.arange(len(share)), 2), np.tile([True, False], len(share))
    given = weights > 0
    return rows[given], answers[given], weights[given]


def train_linear(
    settings: LinearStudent, texts: Sequence[str], labels: Sequence[float], directory: Path, policy: Policy,
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
    rows, answers, weights = _both_answers(labels)
    loss = float(log_loss(answers, head.probability(vectors)[rows], sample_weight=weights, labels=[False, True]))
    with (directory / _WEIGHTS).open("wb") as stream:
        np.savez(stream, coefficients=head.coefficients, intercept=head.intercept)
    progress(1, 1)
    positive = sum(label > 0.5 for label in labels)
    return TrainingResult([loss], [1], time.monotonic() - started, len(texts), positive)


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
