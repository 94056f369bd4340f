"""modAL (Danka and Horvath 2018), asked through ``ActiveLearner.query``."""

from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.question import Question
from benchmarks.rivals.systems import MODAL, Query

STRATEGIES = MODAL.strategies


def version() -> str:
    """Return the version of modAL."""
    return installed_version("modAL-python")


def prepare(strategy: str, question: Question) -> Query:
    """Return a query of a learner that was given the labelled items."""
    from modAL import batch, uncertainty
    from modAL.models import ActiveLearner

    open_rows, labelled = question.open_rows, question.labelled_rows
    learner = ActiveLearner(
        estimator=_LookUp(question.probabilities[open_rows]),
        query_strategy=getattr(uncertainty, strategy, None) or getattr(batch, strategy),
        X_training=question.dense(labelled),
        y_training=question.labels[labelled].astype(np.int64),
    )
    pool = question.dense(open_rows)

    def query() -> NDArray[np.int64]:
        places, _ = learner.query(pool, n_instances=question.budget)
        rows: NDArray[np.int64] = open_rows[np.asarray(places)]
        return rows

    return query


class _LookUp:
    """An estimator that knows the scores of one pool; modAL asks for the whole pool, in its order."""

    def __init__(self, probabilities: NDArray[np.float64]) -> None:
        self._probabilities = probabilities

    def fit(self, X: Any, y: Any) -> "_LookUp":
        """Learn nothing: the scores are given."""
        del X, y
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the scores of the pool, shape (items, 2)."""
        if len(X) != len(self._probabilities):
            raise ValueError(f"X: {len(X)} items; expected the pool of {len(self._probabilities)}")
        return self._probabilities
