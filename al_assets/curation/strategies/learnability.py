"""Learnability: what the labeler gets wrong and a reference gets right (RHO-LOSS, and JEST adapted to single texts)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_share
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.registry import ranking
from al_assets.curation.strategies.sampling import drawn_by_softmax, filled, most_similar

# A probability of exactly 0 would be an infinite loss.
_LEAST_PROBABILITY = 1e-6
# Vectors of length one need weaker shrinkage than scikit-learn's default, or all probabilities stay near the mean.
_INVERSE_PENALTY = 10.0
_SENTENCE = "Picked because the incumbent has yet to learn it and a reference is sure about it."


@ranking("rho", sentence=_SENTENCE, vectors=True, reference=True, reason="rho")
@ranking("jest", sentence=_SENTENCE, vectors=True, reference=True, reason="jest", joint=True)
@dataclass(frozen=True)
class Learnability:
    """The items that the labeler has yet to learn and that can be learnt (Mindermann et al. 2022).

    Takes the largest ``learnability``. The reference is ``candidates.reference``: a larger model or a student trained
    on held-out labels. Without one, a logistic regression on the labelled vectors stands in for the model of
    irreducible loss. An open item has no label, so the reference's own is taken for it, and only where the reference is
    confident; all other items come last.

    With ``joint`` the picks are made in chunks as in JEST (Evans et al. 2024) and ACID (Udandarao et al. 2024). This is
    our adaptation: single texts have no in-batch negatives, so in place of the pair terms each chunk takes into account
    how similar an item is to what earlier chunks chose. The super-batch is not drawn by lot but holds the most
    learnable items, as only one item in hundreds is wanted of a pool.

    :param confidence: the reference's least probability of its own label, .5 to 1.
    :param joint: sample in chunks with redundancy subtracted; otherwise plain RHO-LOSS.
    :param chunks: how many chunks a joint sample is made of.
    :param redundancy: nats that an item loses for a cosine of 1 to the most similar chosen one.
    :param filter_ratio: part of the super-batch that is not chosen, 0 up to but not including 1.
    """

    confidence: float = 0.7
    joint: bool = False
    chunks: int = 16
    redundancy: float = 1.0
    filter_ratio: float = 0.8
    reason: str = "learnability"

    def __post_init__(self) -> None:
        """Check ranges.

        :raises CurationError: a value is out of range.
        """
        check_share("confidence", self.confidence)
        check_at_least("chunks", self.chunks, 1)
        check_at_least("redundancy", self.redundancy, 0)
        if not 0 <= self.filter_ratio < 1:
            raise CurationError(f"filter_ratio: {self.filter_ratio} is out of range; expected 0 up to less than 1")

    def rank(self, candidates: Candidates, count: int, seed: int) -> NDArray[np.int64]:
        """Return the most learnable open rows first, ties by lot; or, if ``joint``, in the order of sampling.

        :raises CurationError: there is neither a reference nor labels of both kinds, or vectors are needed and missing.
        """
        rng = np.random.default_rng((seed, 50))
        rows = rng.permutation(candidates.open_rows)
        if not len(rows) or not count:
            return rows[:0]
        reference = reference_probabilities(candidates, rows)
        learnable = learnability(candidates.scores[rows], reference)
        sure = np.maximum(reference, 1 - reference) >= self.confidence
        # NaN sorts last, and what is not sure behind all that is.
        order = np.lexsort((-learnable, ~sure))
        if self.joint:
            # Rounded first, or 20 of a fifth would be a little more than 100.
            most = math.ceil(round(count / (1 - self.filter_ratio), 9))
            batch = order[: min(most, int(sure.sum()))]
            vectors = candidates.required_vectors("jest").take(rows[batch])
            sampled = sample_jointly(learnable[batch], vectors, count, self.chunks, self.redundancy, rng)
            order = np.concatenate([batch[sampled], order[len(batch) :]])
        return filled(rows[order[:count]], candidates, count, seed)


def learnability(student: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the student's loss less the reference's, in nats: reducible holdout loss (Mindermann et al. 2022, eq. 3).

    High: new and learnable. Near 0: learnt already, or hard for both, as noise is. Below 0: the student knows better.

    :param student: p_positive by the model that is to learn, shape (items,).
    :param reference: p_positive by the reference, NaN where unknown, shape (items,).
    :return: shape (items,), NaN where the reference is unknown.
    """
    target = reference >= 0.5
    return _loss(student, target) - _loss(reference, target)


def reference_probabilities(candidates: Candidates, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the reference's p_positive of those rows, or that of a logistic regression on the labelled vectors.

    :raises CurationError: no reference and no labels of both kinds, or no vectors to learn from.
    """
    if candidates.reference is not None and not np.isnan(candidates.reference[rows]).all():
        return candidates.reference[rows]
    known = candidates.labelled_rows
    labels = np.zeros(0) if candidates.labels is None else candidates.labels[known]
    if len(np.unique(labels)) < 2:
        raise CurationError(
            f"reference: none given, and the {len(known)} labels so far are not of both kinds, so none can be learnt; "
            "pass p_positive by a reference model, or choose another strategy for the first iterations"
        )
    from sklearn.linear_model import LogisticRegression

    vectors = candidates.required_vectors("rho")
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1_000).fit(vectors.take(known), labels)
    everywhere = np.concatenate([model.predict_proba(block)[:, 1] for _, block in vectors.blocks()])
    probabilities: NDArray[np.float64] = everywhere[rows].astype(np.float64)
    return probabilities


def sample_jointly(
    learnable: NDArray[np.float64],
    vectors: NDArray[np.float32],
    size: int,
    chunks: int,
    redundancy: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return ``size`` places of a super-batch, sampled in chunks, in the order of sampling.

    The first chunk is drawn by the softmax of learnability; for every later one, an item loses ``redundancy`` times its
    largest cosine to what is chosen. Each chunk is drawn without replacement.

    :param learnable: shape (items,), finite.
    :param vectors: of length one, shape (items, dimensions).
    """
    logits = learnable.copy()
    nearest = np.full(len(learnable), -np.inf)
    chosen = np.zeros(0, dtype=np.int64)
    for chunk in np.array_split(np.arange(min(size, len(learnable))), chunks):
        fresh = drawn_by_softmax(logits, len(chunk), rng)
        chosen = np.concatenate([chosen, fresh])
        nearest = np.maximum(nearest, most_similar(vectors, vectors[fresh]))
        logits = learnable - redundancy * nearest
        logits[chosen] = -np.inf
    return chosen


def _loss(probability: NDArray[np.float64], target: NDArray[np.bool_]) -> NDArray[np.float64]:
    loss: NDArray[np.float64] = -np.log(np.maximum(np.where(target, probability, 1 - probability), _LEAST_PROBABILITY))
    return loss
