"""small-text (Schroeder et al. 2023), asked through ``PoolBasedActiveLearner.query``.

Its strategies see items as a data set and ask a classifier for probabilities and embeddings. The data set holds row
numbers here, and the classifier looks both up: nothing is predicted or embedded on the clock.
"""

from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.question import Question
from benchmarks.rivals.systems import SMALL_TEXT, Query

STRATEGIES = SMALL_TEXT.strategies
_WITHOUT_VECTORS = ("BreakingTies", "PredictionEntropy", "LeastConfidence")


def version() -> str:
    """Return the version of small-text."""
    return installed_version("small-text")


def prepare(strategy: str, question: Question) -> Query:
    """Return a query of a learner that was given the labelled items."""
    import small_text

    labelled = question.labelled_rows
    known = question.labels[labelled].astype(np.int64)
    labels = np.full(len(question.labels), small_text.LABEL_UNLABELED, dtype=np.int64)
    labels[labelled] = known
    rows = np.arange(len(labels))[:, None]
    vectors = None if strategy in _WITHOUT_VECTORS else question.dense()
    dataset = small_text.SklearnDataset(rows, labels, target_labels=np.arange(2))
    learner = small_text.PoolBasedActiveLearner(
        _Factory(_LookUp(vectors, question.probabilities)),
        _strategy(strategy),
        dataset,
    )
    learner.initialize_data(labelled, known)
    # Its strategies draw from numpy's global state and take no seed.
    np.random.seed(question.seed)  # noqa: NPY002
    return lambda: np.asarray(learner.query(num_samples=question.budget), dtype=np.int64)


def _strategy(name: str) -> Any:
    import small_text

    if name == "BADGE":
        from small_text.integrations.pytorch.query_strategies import BADGE

        return BADGE(num_classes=2)
    return getattr(small_text, name)()


class _LookUp:
    """A classifier as ``small_text.classifiers.Classifier`` and ``EmbeddingMixin`` describe it."""

    def __init__(self, vectors: NDArray[np.float32] | None, probabilities: NDArray[np.float64]) -> None:
        self._vectors = vectors
        self._probabilities = probabilities

    def fit(self, train_set: Any, weights: Any = None) -> "_LookUp":
        """Learn nothing: the scores are given."""
        del train_set, weights
        return self

    def predict(self, data_set: Any, return_proba: bool = False) -> Any:
        """Return the more probable label of each item."""
        probabilities = self.predict_proba(data_set)
        return (probabilities.argmax(axis=1), probabilities) if return_proba else probabilities.argmax(axis=1)

    def predict_proba(self, data_set: Any) -> NDArray[np.float64]:
        """Return the scores of the items of a data set, shape (items, 2)."""
        probabilities: NDArray[np.float64] = self._probabilities[data_set.x[:, 0]]
        return probabilities

    def embed(self, data_set: Any, return_proba: bool = False, pbar: Any = None) -> Any:
        """Return the vectors of the items of a data set, and their scores where asked."""
        del pbar
        if self._vectors is None:
            raise ValueError("vectors: the strategy asks for embeddings, and was prepared without")
        vectors = self._vectors[data_set.x[:, 0]]
        return (vectors, self.predict_proba(data_set)) if return_proba else vectors


class _Factory:
    """Hands out the one classifier that there is."""

    def __init__(self, classifier: _LookUp) -> None:
        self._classifier = classifier

    def new(self) -> _LookUp:
        """Return the classifier."""
        return self._classifier
