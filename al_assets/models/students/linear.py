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
from al_assets.models.students.head_start import Start
from al_assets.models.students.record import Progress, StudentError, TrainingResult, one_sided

Floats = NDArray[np.float64]
_WEIGHTS = "weights.npz"
_FOLDS, _JUDGED = 5, 1_000
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 50.0, 1000.0)
# Columns that are that much larger need weights that much smaller, which a penalty hardly feels.
_FREE = 3.0


@dataclass(frozen=True)
class LinearHead:
    """Weights of a logistic regression.

    :param coefficients: shape (dimensions,).
    :param of_llm0: weight of LLM-0's log-odds; 0 where it is not asked.
    :param strength: the penalty on leaving what was known before the labels; None where nothing was.
    """

    coefficients: NDArray[np.float64]
    intercept: float
    of_llm0: float = 0.0
    strength: float | None = None

    def log_odds(self, vectors: NDArray[Any], llm0: Floats | float = 0.0) -> Floats:
        """Return the log-odds of positive, shape (n,).

        :param vectors: shape (n, dimensions).
        :param llm0: LLM-0's log-odds as ``Start`` gives them, shape (n,).
        """
        of_text = vectors.astype(np.float64) @ self.coefficients + self.intercept
        return of_text + self.of_llm0 * llm0 if self.of_llm0 else of_text

    def probability(self, vectors: NDArray[Any], llm0: Floats | float = 0.0) -> Floats:
        """Return p_positive in [0, 1], shape (n,); see ``log_odds``."""
        return probability(self.log_odds(vectors, llm0))


def fit_linear(
    vectors: NDArray[Any],
    labels: ArrayLike,
    *,
    regularisation: float = 1.0,
    balanced: bool = True,
    seed: int = 0,
    start: LinearHead | None = None,
    strength: float | None = None,
    llm0: Floats | None = None,
) -> LinearHead:
    """Fit L2-regularised logistic regression to soft labels, from nothing or around a head start.

    Each item enters with both answers, each weighted by its share of the votes, and so counts once. Of labels that are
    all 0 or 1 this is plain logistic regression, to the last bit.

    What is known before the labels, the head start's log-odds and LLM-0's own, enters as columns that are hardly
    penalised, so that the penalty is on how far the weights leave them.

    :param vectors: shape (n, dimensions).
    :param labels: booleans, or shares of positive votes from 0 to 1, shape (n,).
    :param balanced: both answers weigh alike, however rare one of them is.
    :param strength: with ``start``, the penalty; None takes the largest that predicts labels it has not seen about as
        well as any does.
    :param llm0: LLM-0's log-odds, shape (n,), to be a feature.
    :raises ValueError: no label leans to positive, or none to negative.
    """
    problem = one_sided(labels)
    if problem:
        raise ValueError(f"labels: {problem}; a linear head learns from both kinds")
    features, known = vectors.astype(np.float64), []
    if start is not None:
        known.append(start.log_odds(features))
    if llm0 is not None:
        known.append(llm0)
    fit = _Fit(np.column_stack([*(_FREE * each for each in known), features]), labels, balanced, seed)
    held = (strength or fit.strength()) if known else None
    weights, intercept = fit.at(held or regularisation)
    of_known, coefficients = _FREE * weights[: len(known)], weights[len(known) :]
    if start is not None:
        coefficients = coefficients + of_known[0] * start.coefficients
        intercept += float(of_known[0]) * start.intercept
    return LinearHead(coefficients, intercept, 0.0 if llm0 is None else float(of_known[-1]), held)


class _Fit:
    """Logistic regressions of some soft labels, at one penalty or another."""

    def __init__(self, features: Floats, labels: ArrayLike, balanced: bool, seed: int) -> None:
        self._features, self._labels = features, np.asarray(labels, dtype=np.float64)
        self._balanced, self._seed = balanced, seed

    def at(self, penalty: float, taught: NDArray[np.bool_] | None = None) -> tuple[Floats, float]:
        """Return weights and intercept, learnt from all items or from some."""
        from sklearn.linear_model import LogisticRegression

        chosen = slice(None) if taught is None else taught
        features, labels = self._features[chosen], self._labels[chosen]
        rows, answers, weights = _both_answers(labels)
        if self._balanced:
            weights = weights * _balance(labels)[answers.astype(np.int64)]
        model = LogisticRegression(C=1 / penalty, max_iter=1000, random_state=self._seed)
        model.fit(features[rows], answers, weights)
        return np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0])

    def strength(self) -> float:
        """Return the largest penalty whose loss on labels that were left out is about as low as any.

        Within half a standard error of the least: the rule of Breiman et al. (1984, section 3.4.3), which takes a whole
        one, holds students for longer than was worth it. With too few labels of a kind to leave any out, the largest.
        """
        # Beyond that many labels the choice no longer matters, and its cost does.
        if len(self._labels) > _JUDGED:
            some = np.random.default_rng(self._seed).permutation(len(self._labels))[:_JUDGED]
            return _Fit(self._features[some], self._labels[some], self._balanced, self._seed).strength()
        folds = _folds(self._labels, self._seed)
        if folds is None:
            return _STRENGTHS[-1]
        losses = np.array([self._losses(penalty, folds) for penalty in _STRENGTHS])
        best = losses[int(np.argmin(losses.mean(axis=1)))]
        beyond = losses - best
        error = beyond.std(axis=1) / np.sqrt(len(best))
        return _STRENGTHS[int(np.flatnonzero(beyond.mean(axis=1) <= error / 2)[-1])]

    def _losses(self, penalty: float, folds: NDArray[np.int64]) -> Floats:
        """Return each item's loss under a model that has not seen it, in nats, shape (items,)."""
        log_odds = np.empty(len(folds))
        for fold in range(_FOLDS):
            left_out = folds == fold
            weights, intercept = self.at(penalty, ~left_out)
            log_odds[left_out] = self._features[left_out] @ weights + intercept
        negative, positive = _balance(self._labels) if self._balanced else (1.0, 1.0)
        of_yes, of_no = np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)
        return np.asarray(positive * self._labels * of_yes + negative * (1 - self._labels) * of_no)


def _balance(labels: Floats) -> Floats:
    """Return what a negative and a positive answer weigh, so that both kinds weigh alike."""
    positive = float(labels.sum())
    return len(labels) / (2 * np.array([len(labels) - positive, positive]))


def _folds(labels: Floats, seed: int) -> NDArray[np.int64] | None:
    """Return folds alike in their labels; None if some would leave labels of one kind only."""
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return None if any(one_sided(labels[folds != fold]) for fold in range(_FOLDS)) else folds


def _both_answers(labels: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return rows, their answers and weights above 0, in the order of the items; of a unanimous item one row."""
    share = np.asarray(labels, dtype=np.float64)
    weights = np.stack([share, 1 - share], axis=1).ravel()
    rows, answers = np.repeat(np.arange(len(share)), 2), np.tile([True, False], len(share))
    given = weights > 0
    return rows[given], answers[given], weights[given]


def train_linear(
    settings: LinearStudent, texts: Sequence[str], labels: Sequence[float], directory: Path, policy: Policy,
    progress: Progress, start: Start | None = None,
) -> TrainingResult:  # fmt: skip
    """Fit a linear head on the embedding and write its weights into a directory."""
    from sklearn.metrics import log_loss

    started = time.monotonic()
    progress(0, 1)
    with make_embedder(settings.embedding, policy) as embedder:
        vectors = embedder.embed(texts)
    llm0 = None
    if start and settings.with_llm0:
        with start:
            llm0 = start.log_odds(texts)
    head = fit_linear(
        vectors,
        labels,
        regularisation=settings.regularisation,
        balanced=settings.balanced,
        seed=settings.seed,
        start=_read(start.directory) if start else None,
        strength=settings.strength,
        llm0=llm0,
    )
    rows, answers, weights = _both_answers(labels)
    said = head.probability(vectors, 0.0 if llm0 is None else llm0)
    loss = float(log_loss(answers, said[rows], sample_weight=weights, labels=[False, True]))
    with (directory / _WEIGHTS).open("wb") as stream:
        np.savez(stream, coefficients=head.coefficients, intercept=head.intercept, of_llm0=head.of_llm0)
    progress(1, 1)
    positive = sum(label > 0.5 for label in labels)
    return TrainingResult([loss], [1], time.monotonic() - started, len(texts), positive)


def _read(directory: Path) -> LinearHead:
    """Read a linear student's weights.

    :raises StudentError: they are missing or damaged.
    """
    try:
        with np.load(directory / _WEIGHTS, allow_pickle=False) as weights:
            return LinearHead(weights["coefficients"], float(weights["intercept"]), float(weights["of_llm0"]))
    except (OSError, ValueError, KeyError) as error:
        raise StudentError(f"{directory / _WEIGHTS}: cannot be read ({error}); train it again") from error


class LinearLabeler(Labeler):
    """A linear student at work."""

    def __init__(
        self, settings: LinearStudent, fingerprint: str, directory: Path, policy: Policy, llm0: Start | None = None
    ) -> None:
        """Read the weights.

        :param llm0: who can ask LLM-0, for a student that has its log-odds as a feature.
        :raises StudentError: they are missing or damaged, or LLM-0 is needed and not given.
        """
        self.fingerprint = fingerprint
        self.batch_size = settings.embedding.batch_size
        self._embedder = make_embedder(settings.embedding, policy)
        self._head, self._llm0 = _read(directory), llm0
        if settings.with_llm0 and llm0 is None:
            raise StudentError(
                "student.with_llm0: this student was taught with LLM-0's score and is asked without; give load_student "
                "the loop's LLM-0, or train one with with_llm0: false"
            )

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
        return self._head.probability(vectors, self._llm0.log_odds(texts) if self._llm0 else 0.0)

    def close(self) -> None:
        """Free the embedding model, and LLM-0 where it was asked."""
        self._embedder.close()
        if self._llm0:
            self._llm0.close()
