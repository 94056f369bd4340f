"""The cold start: how much of the boundary share goes to top-scored items while the labeler is weak."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_share
from al_assets.curation.strategies.base import EXPLORATION, Candidates, Ranked
from al_assets.curation.strategies.by_score import TopScored
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs
from al_assets.formatting import percent

MOST_PROMISING = 0.5
"""Pairs never get less than half: in the measurements more found more positives, and taught the student no more."""
PRIOR_ITEMS = 30
"""Labelled items that the assumption about an unknown labeler is worth, as the expected prevalence is elsewhere."""
PRIOR_SLOPE = 0.75
"""Slope of the assumed curve, in log-odds for each standard deviation of rank: a labeler of AUC about .7."""
_NEWTON_STEPS = 100
_WIDEST_STEP = 1.0


@dataclass(frozen=True)
class ColdStartEvidence:
    """What is known of the present labeler when a round is curated.

    :param scores: its p_positive of the pool, shape (items,); only their order counts.
    :param pairs: its scores of both members of the pairs that would fill the whole boundary share, shape (any,).
    :param promising: its scores of the top-scored items that would fill it instead, shape (any,).
    :param labelled: scores of labelled items, its own or out of fold, by what was not trained on them, shape
        (labelled,).
    :param labels: what the experts said of those, 0 (negative) to 1 (positive), shape (labelled,).
    :param expected_prevalence: the positive share of the pool that the policy expects, in (0, 1).
    """

    scores: NDArray[np.float64]
    pairs: NDArray[np.float64]
    promising: NDArray[np.float64]
    labelled: NDArray[np.float64]
    labels: NDArray[np.float64]
    expected_prevalence: float

    def __post_init__(self) -> None:
        """Check lengths and ranges.

        :raises CurationError: a score or label is NaN, a length does not fit, or the prevalence is not in (0, 1).
        """
        if not 0 < self.expected_prevalence < 1:
            raise CurationError(f"expected_prevalence: {self.expected_prevalence}; expected a share between 0 and 1")
        check_at_least("scores: items", len(self.scores), 1)
        if self.labelled.shape != self.labels.shape:
            raise CurationError(
                f"labels: shape {self.labels.shape} for {self.labelled.shape} labelled scores; give one for each"
            )
        for name in ("scores", "pairs", "promising", "labelled", "labels"):
            wrong = int(np.isnan(getattr(self, name)).sum())
            if wrong:
                raise CurationError(f"{name}: {wrong} of {len(getattr(self, name))} are NaN; leave those items out")
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() <= 1):
            raise CurationError("labels: some are outside [0, 1]; give 1 for positive, 0 for negative")


@dataclass(frozen=True)
class ColdStart:
    """How the boundary share is divided, and why.

    :param share: the part for top-scored items, 0 to .5.
    :param expected_pairs: the expected positive share of the pairs; None if there are none.
    :param expected_promising: likewise of the top-scored items.
    :param why: one sentence for people.
    """

    share: float
    expected_pairs: float | None
    expected_promising: float | None
    why: str


def gather_evidence(
    candidates: Candidates,
    labels: NDArray[np.float64],
    judged: NDArray[np.float64] | None = None,
    *,
    budget: int,
    expected_prevalence: float,
    exploration: float = EXPLORATION,
    seed: int = 0,
) -> ColdStartEvidence:
    """Return the evidence: the boundary share is picked twice, as pairs alone and as top-scored items alone.

    :param candidates: all scored items, those that may be picked being free, and their ranked pairs.
    :param labels: shape (items,), what the experts said, 0 to 1, NaN where that is not known or not to be used.
    :param judged: shape (items,), the scores to hold against the labels, of a labeler that was **not** trained on the
        item; None: the candidates'. Items it has learnt by heart would make a labeler look better than it is.
    :param budget: items of the boundary share.
    :raises CurationError: there are no pairs, not even an empty frame, or another number of labels than items.
    """
    if labels.shape != candidates.scores.shape:
        raise CurationError(
            f"labels: shape {labels.shape} for {len(candidates.scores)} items; give one for each, NaN where unknown"
        )
    known = ~np.isnan(labels)
    picks = (
        strategy.pick(candidates, budget, seed).select("item_id")
        for strategy in (BoundaryPairs(exploration), Ranked(TopScored(), exploration))
    )
    scores = pl.DataFrame({"item_id": candidates.item_ids, "score": candidates.scores})
    pairs, promising = (chosen.join(scores, on="item_id")["score"].to_numpy() for chosen in picks)
    return ColdStartEvidence(
        candidates.scores,
        pairs,
        promising,
        (candidates.scores if judged is None else judged)[known],
        labels[known],
        expected_prevalence,
    )


def promising_share(evidence: ColdStartEvidence, target: float) -> ColdStart:
    """Return the smallest part of the boundary share for top-scored items with which the share reaches the target.

    A curve from the labeler's score to P(positive) is fitted to the labels so far (see ``positive_curve``). It gives
    the positive share to expect of the pairs that would be picked, q, and of the top-scored items, t. Then

        share = (target - q) / (t - q), at most .5; 0 where q >= target or t <= q

    So it is .5 while both are short of the target, falls as the labeler improves, and is 0 where pairs hold enough
    positives, or where the labeler has been seen not to rank: its highest scores then find no more than pairs do.

    :param target: the wanted positive share, 0 to 1.
    :raises CurationError: the target is out of range.
    """
    check_share("target", target)
    curve = positive_curve(evidence)
    pairs, promising = (
        float(curve.probability(scores).mean()) if len(scores) else None
        for scores in (evidence.pairs, evidence.promising)
    )
    share, because = _divide(pairs, promising, target)
    return ColdStart(share, pairs, promising, f"{_expected(pairs, promising, len(evidence.labels))}: {because}")


def share_without_pairs(target: float) -> float:
    """Return the part of the boundary share for top-scored items where there is not a single pair."""
    return MOST_PROMISING if target > 0 else 0.0


@dataclass(frozen=True)
class PositiveCurve:
    """P(positive) of a score: log-odds = intercept + slope z, z being the normal score of its rank in the pool.

    :param pool: the pool's scores, rising.
    """

    pool: NDArray[np.float64]
    intercept: float
    slope: float

    def probability(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(positive) of scores, shape as given."""
        return sigmoid(self.intercept + self.slope * normal_score(self.pool, scores))


def positive_curve(evidence: ColdStartEvidence) -> PositiveCurve:
    """Fit the curve by maximum likelihood to the labelled items and to an assumption worth ``PRIOR_ITEMS`` of them.

    Those are items evenly spread over the pool's ranks; a labeler of slope ``PRIOR_SLOPE`` would call them positive
    with probabilities that average to the expected prevalence, and these count as their labels. So the curve is the
    assumed one before any label, always finite, and the labels' own once they are many. A score counts by its rank: the
    curve is the same for a labeler that says .9 for everything likely and one that says .1. Labels need no weights
    though most were chosen: chosen by score, they bias no curve over the score.

    :return: the slope is below 0 where higher scores were found positive less often.
    """
    pool = np.sort(evidence.scores)
    assumed = _normal_quantile((np.arange(PRIOR_ITEMS) + 0.5) / PRIOR_ITEMS)
    level = _level(PRIOR_SLOPE * assumed, evidence.expected_prevalence)
    place = np.concatenate([normal_score(pool, evidence.labelled), assumed])
    label = np.concatenate([evidence.labels, sigmoid(level + PRIOR_SLOPE * assumed)])
    features = np.stack([np.ones_like(place), place])
    found, _ = fit_logistic(features, label, np.array([level, PRIOR_SLOPE]), np.zeros(2))
    return PositiveCurve(pool, float(found[0]), float(found[1]))


def normal_score(pool: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard normal quantile of each score's rank in the pool; equal scores share the middle rank.

    :param pool: rising, shape (items,); a score that it does not hold gets the rank that it would take.
    :return: shape as ``scores``, finite.
    """
    below = np.searchsorted(pool, scores, side="left") + np.searchsorted(pool, scores, side="right")
    return _normal_quantile((below + 1) / (2 * (len(pool) + 1)))


def _divide(pairs: float | None, promising: float | None, target: float) -> tuple[float, str]:
    if target == 0:
        return 0.0, "no positive share is wanted, so pairs take all"
    if promising is None:
        return 0.0, "there is nothing else to pick, so pairs take all"
    if pairs is None:
        return share_without_pairs(target), "there are no pairs, so promising items take the most they may, half"
    if pairs >= target:
        return 0.0, f"pairs reach the target of {percent(target)} and take all"
    if promising <= pairs:
        return 0.0, "the labeler's highest scores find no more than pairs do, so pairs take all"
    share = (target - pairs) / (promising - pairs)
    if share > MOST_PROMISING:
        return MOST_PROMISING, f"short of the target of {percent(target)} even with half promising items, the most"
    return share, f"{percent(share)} promising items bring the share to the target of {percent(target)}"


def _expected(pairs: float | None, promising: float | None, labels: int) -> str:
    known = f"After {labels} labels on items the labeler had not learnt from" if labels else "Before any label"
    found = [
        f"{name} are expected to be {percent(share)} positive"
        for name, share in (("pairs", pairs), ("top-scored items", promising))
        if share is not None
    ]
    return f"{known}, {' and '.join(found)}" if found else known


def fit_logistic(
    features: NDArray[np.float64], label: NDArray[np.float64], start: NDArray[np.float64], pull: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients of a logistic regression and the curvature there, by Newton's method with bounded steps.

    :param features: shape (features, items); ``label``: 0 to 1, shape (items,).
    :param start: where the search begins, shape (features,): the mean of a normal prior, if there is one.
    :param pull: precision of that prior for each coefficient; all 0 is the largest likelihood.
    :return: coefficients (features,), and minus the second derivatives (features, features).
    """
    found, curvature = start, np.diag(pull)
    for _ in range(_NEWTON_STEPS):
        chance = sigmoid(found @ features)
        curvature = (features * (chance * (1 - chance))) @ features.T + np.diag(pull)
        step = np.linalg.solve(curvature, features @ (label - chance) - pull * (found - start))
        found = found + step * min(1.0, _WIDEST_STEP / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return found, curvature


def _level(log_odds: NDArray[np.float64], prevalence: float) -> float:
    """Return what to add to the log-odds so that their mean probability is the prevalence."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(log_odds + middle).mean() < prevalence else (low, middle)
    return (low + high) / 2


def _normal_quantile(share: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    return np.asarray(ndtri(share), dtype=np.float64)


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that log-odds stand for, in [0, 1]."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -log_odds)), dtype=np.float64)
