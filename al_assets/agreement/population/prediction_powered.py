"""The pool's share of positives with the help of predictions, and corrected for errors of the labels."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.audit import AuditSample, audit_prevalence, mean_distribution


@dataclass(frozen=True)
class PredictionPowered:
    """The share of positives with and without the help of predictions.

    :param prevalence: the prediction-powered estimate.
    :param classical: the plain weighted one, of the same audit.
    :param tuning: lambda, how far the predictions were trusted: 0 not at all, 1 as if they were labels.
    """

    prevalence: Interval
    classical: Interval
    tuning: float


def prediction_powered_prevalence(
    sample: AuditSample,
    prediction: Floats,
    pool_mean: float,
    *,
    tuning: float | None = None,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PredictionPowered:
    """Return the pool's share of positives, lambda * pool mean of f + weighted mean of (y - lambda f).

    PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453) for a stratified sample (Fisch et al. 2024, arXiv
    2406.04291): right for any predictions f, and the surer the more of y they explain within the strata. Predictions
    that are constant within strata add nothing to what stratifying by them has already won: lambda is then 0. The
    interval is that of ``audit_prevalence``, from which nothing differs at lambda = 0.

    :param prediction: shape (items,), f of each audit item: a label or a probability, by a labeler that has not
        learned from the audit's labels.
    :param pool_mean: mean of f over the whole pool the audit speaks for.
    :param tuning: lambda; None takes the one with the least estimated variance, cut off at 0 and 1. Chosen on the
        audit's own labels it costs a bias that falls as 1 / items and is far below the standard error.
    :raises ValueError: prediction or pool_mean is not a finite number, or shapes differ.
    """
    if prediction.shape != sample.weights.shape:
        raise ValueError(f"prediction: shape {prediction.shape}; expected one for each of {len(sample.weights)} items")
    if not (np.isfinite(prediction).all() and np.isfinite(pool_mean)):
        raise ValueError("prediction, pool_mean: expected finite numbers; score every audit item and the pool first")
    classical = audit_prevalence(sample, resamples=resamples, seed=seed, confidence=confidence)
    chosen = power_tuning(sample, prediction) if tuning is None else tuning
    if chosen == 0:
        return PredictionPowered(classical, classical, 0.0)
    rectified = sample.positive_share - chosen * prediction
    shift = chosen * pool_mean
    distribution = mean_distribution(sample, rectified, resamples=resamples, seed=seed)
    interval = distribution.interval(len(sample.weights), confidence)
    moved = Interval(
        None if interval.estimate is None else interval.estimate + shift,
        None if interval.low is None else interval.low + shift,
        None if interval.high is None else interval.high + shift,
        interval.items,
        interval.reason,
    )
    return PredictionPowered(moved.within_unit(), classical, chosen)


def power_tuning(sample: AuditSample, prediction: Floats) -> float:
    """Return the lambda of least estimated variance of the stratified estimate, between 0 and 1.

    sum_h W_h^2 cov_h(y, f) / n_h over sum_h W_h^2 var_h(f) / n_h (the scores of the pool are all known, so its mean
    adds no variance); 0 if f does not vary within strata.
    """
    share = sample.positive_share
    covariance = variance = 0.0
    for stratum in np.unique(sample.strata):
        here = sample.strata == stratum
        count = int(here.sum())
        if count > 1:
            scale = float(sample.weights[here].sum()) ** 2 / (count * (count - 1))
            deviation = prediction[here] - prediction[here].mean()
            covariance += scale * float(deviation @ share[here])
            variance += scale * float(deviation @ deviation)
    return min(1.0, max(0.0, covariance / variance)) if variance > 1e-18 else 0.0


def rogan_gladen(
    apparent: float,
    standard_error: float,
    sensitivity: tuple[int, int],
    specificity: tuple[int, int],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the true share of positives behind labels with known kinds of error (Rogan and Gladen 1978).

    (p + sp - 1) / (se + sp - 1), cut off at 0 and 1, with the delta-method interval that counts the uncertainty of p,
    se and sp alike (Lang and Reiczigel 2014, Preventive Veterinary Medicine 113:13-22, without their small-sample
    additions). For audit labels by crowd or model whose errors were measured on gold items.

    :param apparent: p, the share the labels show, 0 to 1.
    :param standard_error: of p, such as that of a weighted audit.
    :param sensitivity: positive gold items labelled positive, and positive gold items.
    :param specificity: negative gold items labelled negative, and negative gold items.
    :return: undefined, with the reason, if the labels tell positives from negatives no better than chance.
    :raises ValueError: a share or a count is out of range.
    """
    if not 0 <= apparent <= 1 or not standard_error >= 0:
        raise ValueError(f"apparent, standard_error: {apparent}, {standard_error}; expected 0 to 1, and 0 or more")
    hit, hit_variance = _rate("sensitivity", *sensitivity)
    rejected, rejected_variance = _rate("specificity", *specificity)
    items = sensitivity[1] + specificity[1]
    informed = hit + rejected - 1
    if informed <= 0:
        return Interval(None, None, None, items, "undefined: the labels are no better than chance on the gold items")
    true = (apparent + rejected - 1) / informed
    # The derivatives with respect to se and sp are -pi / J and (1 - pi) / J at the uncut estimate.
    variance = standard_error**2 + true**2 * hit_variance + (1 - true) ** 2 * rejected_variance
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(variance) / informed
    return Interval(min(1.0, max(0.0, true)), true - margin, true + margin, items).within_unit()


def _rate(name: str, right: int, tested: int) -> tuple[float, float]:
    if not 0 <= right <= tested or tested < 1:
        raise ValueError(f"{name}: {right} of {tested}; expected a number right and the gold items tested, at least 1")
    rate = right / tested
    return rate, rate * (1 - rate) / tested
