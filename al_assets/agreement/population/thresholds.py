"""From scores to decisions: thresholds matched to a prevalence, and how good a score is before any threshold."""

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, kappa_of, ratio
from al_assets.agreement.population.pool_sample import PoolSample

PRIOR_STRENGTH = 30.0


def prevalence_threshold(scores: Floats, prevalence: float) -> float:
    """Return the threshold at or above which the share of scores comes as near as possible to a prevalence.

    It lies half-way between two neighbouring scores, so rounding does not flip labels; equal scores always fall on
    the same side. Of two equally near shares the smaller is taken. The result is above every score if calling none
    positive is nearest, such as when all scores are equal and the prevalence is below one half.

    :param scores: shape (items,), a random sample of the population; any scale, no NaN.
    :param prevalence: 0 to 1.
    :raises ValueError: no scores, a NaN among them, or a prevalence outside 0 to 1.
    """
    if not len(scores) or bool(np.isnan(scores).any()):
        raise ValueError(
            f"scores: {int(np.isnan(scores).sum())} of {len(scores)} are NaN; expected one or more numbers"
        )
    if not 0 <= prevalence <= 1:
        raise ValueError(f"prevalence: {prevalence}; expected a share from 0 to 1")
    levels, counts = _levels(scores)
    shares = np.concatenate([[0], np.cumsum(counts)]) / len(scores)
    return _cut(levels, int(np.argmin(np.abs(shares - prevalence))))


def agreement_threshold(scores: Floats, probabilities: Floats, weights: Floats | None = None) -> float:
    """Return the threshold at which the expected kappa of the decisions with an expert's answers is largest.

    The expected 2 x 2 table of calling the items at or above a cut positive holds sums of P and 1 - P; its kappa is
    computed for every cut between two neighbouring scores. Of equally good cuts the highest is taken. Infinity if
    kappa is undefined at every cut, as with equal scores.

    :param scores: shape (items,), a random sample of the population; any scale, no NaN.
    :param probabilities: shape (items,), calibrated P(positive), not falling where the score rises; or the shares of
        the experts' votes, which makes it the threshold of largest kappa on those items.
    :param weights: shape (items,), how many items of the population each stands for; None: all alike.
    """
    levels, _ = _levels(scores)
    place, weights = np.searchsorted(-levels, -scores), np.ones(len(scores)) if weights is None else weights
    called = np.cumsum(np.bincount(place, weights=weights, minlength=len(levels)))
    hit = np.cumsum(np.bincount(place, weights=weights * probabilities, minlength=len(levels)))
    positive, items = hit[-1], float(weights.sum())
    missed = positive - hit
    cells = np.stack([hit, called - hit, missed, items - called - missed], axis=-1)[:-1]
    kappas = kappa_of(cells)
    if not len(kappas) or bool(np.isnan(kappas).all()):
        return float("inf")
    return _cut(levels, int(np.nanargmax(kappas)) + 1)


def probability_threshold(scores: Floats, probabilities: Floats, least: float = 0.5) -> float:
    """Return the threshold that calls exactly the items with P(positive) >= ``least`` positive.

    :param scores: see ``agreement_threshold``, as are the probabilities.
    """
    levels, _ = _levels(scores)
    called = scores[probabilities >= least]
    return _cut(levels, int((levels >= called.min()).sum()) if len(called) else 0)


def labels_at(scores: Floats, threshold: float) -> Floats:
    """Return 1 where a score is at or above the threshold, 0 below, NaN where there is no score."""
    return np.where(np.isnan(scores), np.nan, (scores >= threshold).astype(np.float64))


def estimate_prevalence(
    sample: PoolSample, share: Floats, prior_prevalence: float, prior_strength: float = PRIOR_STRENGTH
) -> float:
    """Return the pool's share of positives, shrunk towards what was expected.

    (n * mean + strength * prior) / (n + strength): the prior counts as that many items of a simple random sample, so it
    rules while there are few labels and fades as they come in. n is how many such items the sample is worth, by its
    information: p (1 - p) / V with V the variance of the mean by the design. Kish's (sum w)^2 / sum w^2 would not do:
    it takes unequal weights for a loss where strata make them a gain, and leaves the prior twice its weight.

    :param share: shape (items,), each item's share of positive votes.
    :param prior_strength: items the prior is worth, > 0.
    """
    if prior_strength <= 0 or not 0 <= prior_prevalence <= 1:
        raise ValueError(
            f"prior_prevalence {prior_prevalence}, prior_strength {prior_strength}: expected a share and a number > 0"
        )
    random = int(sample.random.sum())
    if not random:
        return prior_prevalence
    mean = sample.mean(share)
    # A first guess, never 0 or 1 unless the prior is, for the variance of strata that show none.
    guess = (random * mean + prior_strength * prior_prevalence) / (random + prior_strength)
    variance = sample.variance_of_mean(share, towards=guess)
    if variance <= 0:
        return mean
    worth = guess * (1 - guess) / variance
    return float((worth * mean + prior_strength * prior_prevalence) / (worth + prior_strength))


def average_precision(scores: Floats, labels: Floats, weights: Floats) -> Floats:
    """Return the average precision for each weighting: sum over thresholds of (R_k - R_{k-1}) P_k.

    :param scores: shape (items,); equal scores share one threshold, as in scikit-learn.
    :param labels: shape (items,), 0 to 1: an item voted positive by half its raters counts half.
    :param weights: shape (batch, items), >= 0.
    :return: shape (batch,), NaN where no positive has weight.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.append(np.diff(scores[order]) != 0, True)
    weight = weights[:, order]
    hits = np.cumsum(weight * labels[order], axis=1)
    called = np.cumsum(weight, axis=1)[:, last_of_score]
    total = hits[:, -1]
    hits = hits[:, last_of_score]
    precision = hits / np.where(called > 0, called, 1.0)
    gained = np.diff(hits, axis=1, prepend=0.0)
    return ratio((gained * precision).sum(axis=1), total)


def _levels(scores: Floats) -> tuple[Floats, NDArray[np.int64]]:
    levels, counts = np.unique(-scores.astype(np.float64), return_counts=True)
    return -levels, counts.astype(np.int64)


def _cut(levels: Floats, called: int) -> float:
    """Return a threshold below the ``called`` highest of the falling levels and above the rest."""
    if called == 0:
        return float(np.nextafter(levels[0], np.inf))
    if called == len(levels):
        return float(levels[-1])
    lowest, below = levels[called - 1], levels[called]
    middle = below + (lowest - below) / 2
    return float(middle if middle > below else lowest)
