"""From a student's raw scores to probabilities that hold in the pool.

The curve comes from out-of-fold scores: each fine-tuning item scored by a student that never saw it. Those items were
chosen, not drawn, so the curve's level is wrong for the pool; it is moved until the mean probability of a random sample
of the pool equals the pool's estimated prevalence.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from al_assets.agreement.core.kappa import Floats

Method = Literal["logistic", "temperature", "isotonic"]
MIN_OF_EACH_CLASS = 10
_SMALLEST = 1e-12


class CalibrationError(ValueError):
    """No curve can be fitted to these scores; the message says what is missing."""


@dataclass(frozen=True)
class Calibration:
    """A curve from raw score to P(positive): log-odds = slope * logit(score) + intercept, or a step-wise curve.

    :param method: how it was fitted; ``raw`` takes the score's own log-odds for the curve.
    :param items: out-of-fold items it was fitted to.
    :param knots: logits of scores, rising; with ``levels``, log-odds at the knots, instead of slope and intercept.
    :param shift: what was added to the log-odds to reach the pool's prevalence.
    """

    method: str = "raw"
    items: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    shift: float = 0.0

    @property
    def level(self) -> float:
        """Log-odds that the curve gives a score of one half, shift included; without knots."""
        return self.intercept + self.shift

    def probability(self, scores: Floats) -> Floats:
        """Return P(positive) of raw scores in [0, 1], shape as given; never falls where the score rises."""
        from scipy.special import expit

        return np.asarray(expit(self._log_odds(scores) + self.shift))

    def moved_to(self, scores: Floats, prevalence: float) -> "Calibration":
        """Return the curve with the log-odds shifted so that the mean probability of the scores is the prevalence.

        With a curve that holds but for the prevalence it is the correction of Saerens, Latinne and Decaestecker
        (2002, eq. 2.4), which multiplies the odds by one factor; the factor is found from the pool's scores instead of
        the two prevalences, so the mean is right even where the chosen items differ from the pool in more than that.

        :param scores: shape (items,), raw scores of a random sample of the pool.
        :param prevalence: strictly between 0 and 1.
        """
        if not len(scores) or not 0 < prevalence < 1:
            raise ValueError(f"prevalence: {prevalence} of {len(scores)} scores; expected a share in (0, 1) and scores")
        return replace(self, shift=level_for(self._log_odds(scores), prevalence))

    def _log_odds(self, scores: Floats) -> Floats:
        raw = logit(scores)
        if self.knots:
            return np.asarray(np.interp(raw, self.knots, self.levels))
        return self.slope * raw + self.intercept


def fit_calibration(scores: Floats, labels: Floats, method: Method = "logistic") -> Calibration:
    """Fit a curve to out-of-fold scores and what experts said of those items.

    logistic: slope and intercept (Platt 1999, with smoothed targets, so that separable scores have a finite slope);
    temperature: slope alone (Guo et al. 2017); isotonic: any rising curve (Zadrozny and Elkan 2002), for many labels.

    :param scores: shape (items,), raw scores in [0, 1].
    :param labels: shape (items,), 0 to 1: the share of an item's decisive votes that are positive; NaN is left out.
    :raises CalibrationError: fewer than 10 items' worth of votes of either class, or scores that rank no better than
        chance.
    """
    known = ~np.isnan(labels)
    raw, share = logit(scores[known]), labels[known]
    positive = float(share.sum())
    negative = len(share) - positive
    if min(positive, negative) < MIN_OF_EACH_CLASS:
        raise CalibrationError(
            f"{positive:g} positive and {negative:g} negative out-of-fold items; a curve takes at least "
            f"{MIN_OF_EACH_CLASS} of each"
        )
    if method == "isotonic":
        return _isotonic(raw, share)
    smoothed = share * (positive + 1) / (positive + 2) + (1 - share) / (negative + 2)
    slope, intercept = _logistic(raw, smoothed, with_intercept=method == "logistic")
    if slope <= 0:
        raise CalibrationError("the out-of-fold scores rank no better than chance")
    return Calibration(method, len(raw), slope, intercept)


def logit(scores: Floats) -> Floats:
    """Return log(p / (1 - p)) of shares, those nearer than 1e-12 to 0 or 1 taken as that near."""
    from scipy import special

    return np.asarray(special.logit(np.clip(scores.astype(np.float64), _SMALLEST, 1 - _SMALLEST)))


def level_for(log_odds: Floats, prevalence: float, counts: Floats | None = None) -> float:
    """Return what must be added to log-odds so that their mean probability is the prevalence (Brent 1973).

    :param log_odds: shape (items,), one or more.
    :param prevalence: strictly between 0 and 1.
    :param counts: shape as log_odds, how often each occurs; None for once.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    def gap(level: float) -> float:
        return float(np.average(expit(log_odds + level), weights=counts)) - prevalence

    # With its log-odds on one side of the prevalence's, so is the mean; 1 more, as both ends may be the root.
    middle = float(logit(np.array(prevalence)))
    low, high = middle - float(log_odds.max()) - 1, middle - float(log_odds.min()) + 1
    return float(brentq(gap, low, high, xtol=1e-14, rtol=4 * np.finfo(float).eps, maxiter=1_000))


def _logistic(raw: Floats, share: Floats, *, with_intercept: bool) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    # A share is as much of a positive and as much of a negative item.
    features, classes = np.concatenate([raw, raw])[:, None], np.repeat([1, 0], len(raw))
    model = LogisticRegression(C=np.inf, fit_intercept=with_intercept, solver="newton-cholesky", max_iter=1_000)
    model.fit(features, classes, sample_weight=np.concatenate([share, 1 - share]))
    return float(model.coef_[0, 0]), float(np.ravel(model.intercept_)[0])


def _isotonic(raw: Floats, share: Floats) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    # A step's level comes from the items on it alone: no nearer to certainty than they could tell.
    edge = 1 / (2 * len(share))
    model = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(raw, share)
    levels = logit(np.asarray(model.y_thresholds_))
    if np.ptp(levels) <= 0:
        raise CalibrationError("the out-of-fold scores rank no better than chance")
    return Calibration(
        "isotonic", len(raw), knots=tuple(map(float, model.X_thresholds_)), levels=tuple(levels.tolist())
    )
