"""Whether calibrated probabilities mean what they say: of items given 30 %, about 30 % should be positive."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval
from al_assets.agreement.core.figures import Figure, as_figure
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import LabelledItems
from al_assets.agreement.population.calibration import Calibration
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.formatting import decimal

ITEMS_A_BIN = 20
_BINS = pl.Schema(
    {
        "low": pl.Float64,
        "high": pl.Float64,
        "items": pl.Int64,
        "mean_probability": pl.Float64,
        "positive_share": pl.Float64,
        "share_low": pl.Float64,
        "share_high": pl.Float64,
    }
)


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram and its summaries, of audit items weighted to the pool.

    :param bins: a row for each bin of like probability, rising: low, high (probabilities), items, mean_probability and
        positive_share (weighted), share_low and share_high (95 % Wilson interval).
    :param error: expected calibration error: how far apart the two are, averaged over the pool; without the part that
        chance adds.
    :param plain_error: the same with that part, as the literature prints it (Naeini et al. 2015).
    :param chance_error: that part: the plain error that perfectly calibrated probabilities show on such a sample.
    :param brier: mean squared difference of probability and vote share, 0 the best.
    :param constant_brier: that of giving every item the pool's prevalence.
    """

    bins: pl.DataFrame
    error: Interval
    plain_error: float | None
    chance_error: float | None
    brier: Interval
    constant_brier: float | None


def reliability(
    probabilities: Floats, share: Floats, sample: PoolSample, *, bins: int = 10, resamples: int = 2_000, seed: int = 0
) -> Reliability:
    """Compare probabilities with what experts said of a weighted sample of the pool.

    Bins hold equal weight; there are fewer than asked for where a bin would hold less than 20 items. Intervals are from
    the Rao-Wu bootstrap. The binned error is never negative, so chance enlarges it, and its resamples once more: the
    error is sqrt(plain^2 - chance^2), its resamples sqrt(plain^2 - 2 chance^2), 0 where that is negative. By simulation
    (100 and 300 items, 5 and 10 bins) such 95 % intervals hold the true error 90 to 100 times in a hundred; percentile
    and basic intervals of the plain error as little as 0 and 52 times.

    :param probabilities: shape (items,), calibrated P(positive) of the sample's items.
    :param share: shape (items,), their shares of positive votes.
    """
    weights = sample.weights
    if not sample.random.any():
        nothing = Interval(None, None, None, 0, "no labelled random item")
        return Reliability(pl.DataFrame(schema=_BINS), nothing, None, None, nothing, None)
    # What the latest round chose by rule stands for nothing yet, and would be counted in the bins.
    counts = weights > 0
    draws = np.concatenate([rows[:, counts] for rows in sample.replicates(resamples=resamples, seed=seed)])
    probabilities, share, weights = probabilities[counts], share[counts], weights[counts]
    member = _bins_of_equal_weight(probabilities, weights, bins)
    squared = (probabilities - share) ** 2
    brier = Distribution(float(_mean(squared, weights[None])[0]), _mean(squared, draws), len(share))
    gaps = probabilities - share
    plain = float(_binned_error(gaps, member, weights[None])[0])
    chance = _error_by_chance(probabilities, gaps, member, weights)
    error = float(np.sqrt(max(0.0, plain**2 - chance**2)))
    errors = np.sqrt(np.maximum(0.0, _binned_error(gaps, member, draws) ** 2 - 2 * chance**2))
    mean = float(np.average(share, weights=weights))
    return Reliability(
        _diagram(probabilities, share, weights, member),
        Distribution(error, errors, len(share)).interval(len(share)),
        plain,
        chance,
        brier.interval(len(share)).within_unit(),
        float(np.average((mean - share) ** 2, weights=weights)),
    )


def reliability_figures(
    scope: str, items: LabelledItems, design: PoolDesign, calibration: Calibration, *, resamples: int, seed: int
) -> list[Figure]:
    """Return calibration_error and brier_score of the student's probabilities in the pool."""
    measured = pool_reliability(items, design, calibration, resamples=resamples, seed=seed)
    if measured.plain_error is None or measured.chance_error is None or measured.constant_brier is None:
        return [as_figure(name, scope, measured.error, None) for name in ("calibration_error", "brier_score")]
    error = (
        f"{measured.bins.height} bins; {decimal(measured.plain_error, 3)} before the part of chance is taken out, "
        f"where perfect calibration would show {decimal(measured.chance_error, 3)}. The curve's level was set by these "
        "items' prevalence"
    )
    brier = f"0 is best; {decimal(measured.constant_brier, 3)} for giving every item the prevalence"
    return [
        as_figure("calibration_error", scope, measured.error, error),
        as_figure("brier_score", scope, measured.brier, brier),
    ]


def pool_reliability(
    items: LabelledItems, design: PoolDesign, calibration: Calibration, *, resamples: int = 2_000, seed: int = 0
) -> Reliability:
    """Return the reliability of the student's calibrated probabilities in the pool, from its random evaluation items.

    Items chosen by rule, which the curve may be fitted to, and which speak for themselves alone, are left out.
    """
    usable = items.by_lot & (items.decisive > 0)
    held_out = items.where(usable)
    probabilities = calibration.probability(held_out.p_student)
    sample = design.sample(items.item_id, usable)
    if bool(items.by_others[usable].any()):
        sample = sample.by_others()
    return reliability(probabilities, held_out.positive_share, sample, resamples=resamples, seed=seed)


def wilson_interval(share: Floats, items: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Return both ends of Wilson's interval (1927) of a share; sensible for shares of 0 and 1.

    :param items: the effective number of items, > 0; for weights (sum w)^2 / sum w^2.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (share + z**2 / (2 * items)) / (1 + z**2 / items)
    half = z / (1 + z**2 / items) * np.sqrt(share * (1 - share) / items + z**2 / (4 * items**2))
    # Rounding must not put an end on the other side of a share of 0 or 1.
    return np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0)


def _bins_of_equal_weight(probabilities: Floats, weights: Floats, bins: int) -> NDArray[np.int64]:
    wanted = max(1, min(bins, len(weights) // ITEMS_A_BIN))
    order = np.argsort(probabilities, kind="stable")
    middle = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    member = np.empty(len(weights), dtype=np.int64)
    member[order] = np.minimum((middle * wanted).astype(np.int64), wanted - 1)
    # Heavy items may leave a bin empty; equal probabilities belong together.
    _, level = np.unique(probabilities, return_inverse=True)
    first = np.full(level.max() + 1, wanted)
    np.minimum.at(first, level, member)
    return np.unique(first[level], return_inverse=True)[1].astype(np.int64)


def _binned_error(gaps: Floats, member: NDArray[np.int64], weights: Floats) -> Floats:
    """Return sum over bins of |sum of w gap| / sum of w, for each row of weights."""
    indicator = np.eye(int(member.max()) + 1)[member]
    return np.asarray(np.abs((weights * gaps) @ indicator).sum(axis=1) / weights.sum(axis=1))


def _error_by_chance(probabilities: Floats, gaps: Floats, member: NDArray[np.int64], weights: Floats) -> float:
    """Return the mean plain error of calibrated probabilities: E|x| = sigma sqrt(2 / pi) in each bin.

    The variance of an item's vote share is taken as proportional to p (1 - p); how much of that, the gaps say.
    """
    bins = int(member.max()) + 1
    total = np.bincount(member, weights, bins)
    within = gaps - (np.bincount(member, weights * gaps, bins) / total)[member]
    expected = probabilities * (1 - probabilities)
    freedom = len(gaps) / max(len(gaps) - bins, 1)
    dispersion = freedom * float(weights @ within**2) / max(float(weights @ expected), 1e-12)
    deviation = np.sqrt(np.bincount(member, weights**2 * dispersion * expected, bins))
    return float(np.sqrt(2 / np.pi) * deviation.sum() / total.sum())


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _diagram(probabilities: Floats, share: Floats, weights: Floats, member: NDArray[np.int64]) -> pl.DataFrame:
    rows = []
    for number in range(int(member.max()) + 1):
        inside = member == number
        weight = weights[inside]
        mean = float(np.average(share[inside], weights=weight))
        effective = weight.sum() ** 2 / (weight**2).sum()
        low, high = wilson_interval(np.array([mean]), np.array([effective]))
        rows.append(
            {
                "low": float(probabilities[inside].min()),
                "high": float(probabilities[inside].max()),
                "items": int(inside.sum()),
                "mean_probability": float(np.average(probabilities[inside], weights=weight)),
                "positive_share": mean,
                "share_low": float(low[0]),
                "share_high": float(high[0]),
            }
        )
    return pl.DataFrame(rows, schema=_BINS)
