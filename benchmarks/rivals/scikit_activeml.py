"""scikit-activeml, asked through ``query`` of its pool strategies.

Strategies that ask a classifier are given row numbers as the samples and a fitted classifier that looks the scores up,
and the vectors too where they want embeddings (``clf_embedding_flag_name``, ``predict_dict``). Strategies without a
classifier are given the vectors. ``DropQuery`` predicts items with a part of their features missing, which no look-up
can answer: it gets a logistic regression that was fitted to the pseudo-labels before the clock started.
"""

from collections.abc import Callable
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.question import Question
from benchmarks.rivals.systems import SCIKIT_ACTIVEML, Query

STRATEGIES = SCIKIT_ACTIVEML.strategies
_WITHOUT_CLASSIFIER = ("CoreSet", "TypiClust", "ProbCover", "MaxHerding")
_FLAG = {"return_embeddings": True}
_OPTIONS: dict[str, dict[str, Any]] = {
    "UncertaintySampling": {"method": "margin_sampling"},
    "Badge": {"clf_embedding_flag_name": _FLAG},
    "ContrastiveAL": {"clf_embedding_flag_name": _FLAG},
    "Clue": {"predict_dict": _FLAG},
}
_FITTED_TO = 20_000


def version() -> str:
    """Return the version of scikit-activeml."""
    return installed_version("scikit-activeml")


def prepare(strategy: str, question: Question) -> Query:
    """Return a query with X, y and, where the strategy wants one, a fitted classifier."""
    from skactiveml import pool

    options = _OPTIONS.get(strategy, {})
    asked = getattr(pool, strategy)(random_state=question.seed, **options)
    given: dict[str, Any]
    if strategy in _WITHOUT_CLASSIFIER:
        given = {"X": question.dense()}
    elif strategy == "DropQuery":
        given = {"X": question.dense(), "clf": _linear(question), "fit_clf": False}
    else:
        name = "estimator" if strategy == "Clue" else "clf"
        rows = np.arange(len(question.labels), dtype=np.float64)[:, None]
        given = {"X": rows, name: _look_up(question, embeds=_FLAG in options.values()), f"fit_{name}": False}
    # Its strategies that cluster without taking a seed draw from numpy's global state.
    np.random.seed(question.seed)  # noqa: NPY002
    query: Callable[..., Any] = asked.query
    return lambda: np.asarray(query(y=question.labels, batch_size=question.budget, **given), dtype=np.int64)


def _look_up(question: Question, *, embeds: bool) -> Any:
    from skactiveml.base import SkactivemlClassifier

    vectors = question.dense() if embeds else None
    probabilities = question.probabilities

    class LookUp(SkactivemlClassifier):  # type: ignore[misc]
        """A fitted classifier whose samples are row numbers."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "LookUp":
            """Learn nothing: the scores are given."""
            del X, y, sample_weight
            return self

        def predict_proba(self, X: NDArray[np.float64], return_embeddings: bool = False) -> Any:
            """Return the scores of those rows, and their vectors where asked."""
            rows = X[:, 0].astype(np.int64)
            return (probabilities[rows], vectors[rows]) if return_embeddings else probabilities[rows]  # type: ignore[index]

    return LookUp(classes=[0, 1])


def _linear(question: Question) -> Any:
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression

    items = len(question.labels)
    rows = np.random.default_rng(question.seed).choice(items, min(_FITTED_TO, items), replace=False)
    model = SklearnClassifier(LogisticRegression(max_iter=1_000), classes=[0, 1], random_state=question.seed)
    return model.fit(question.dense(np.sort(rows)), question.positive[np.sort(rows)].astype(np.float64))
