"""How confused a labeler is in each region: what share of its labels there the experts would overturn."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.queue.cold_start import fit_logistic, sigmoid

Floats = NDArray[np.float64]

_PRIOR_MEAN = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
_PRIOR_SPREAD = np.array([1.0, 1.0, 1.0, 1.0, 0.5])
_REGION_SPREADS = (0.5, 1.0)
_DRAWS = 400
_MOST_ITEMS = 200


def expected_errors(
    region: NDArray[np.int32], positive: NDArray[np.bool_], scores: Floats, labels: Floats, honest: Floats,
    threshold: float, seed: int = 0,
) -> pl.DataFrame:  # fmt: skip
    """Return for each region with an item: region, labels, overturned, error, error_low, error_high.

    Bayesian logistic regression of "an expert overturns the label" on the label itself, how far the score is from the
    threshold (by rank within the label, so that what was asked because it is close does not count for what is not),
    the log-odds of the other label in the region, and an effect of the region. Before any label the estimate is the
    other label's share among an item's region: its label mixing. Labels move it away, each region's towards its own as
    far as regions differ: their spread is chosen by the evidence. The interval holds 95 % of 400 draws from the
    posterior (normal about its mode), chance of the items themselves included.

    :param region: of each item, shape (items,); ``positive`` and ``scores`` what the labeler says of it.
    :param labels: what the experts said, 1, 0 or NaN, shape (items,).
    :param honest: the score to judge the labeler by, where it was trained on the item one that was not, shape (items,).
    :param threshold: scores from it on are called positive.
    """
    regions, place = np.unique(region, return_inverse=True)
    pool = _Called(place, scores, positive)
    known = np.flatnonzero(np.isfinite(labels))
    called = np.where(scores[known] == honest[known], positive[known], honest[known] >= threshold)
    judged = _Called(place[known], honest[known], called)
    wrong = (called != (labels[known] > 0.5)).astype(np.float64)
    features, shown = _features(pool, pool, len(regions)), _features(pool, judged, len(regions))
    fits = [_fit(shown, judged.place, wrong, spread, len(regions)) for spread in _REGION_SPREADS]
    draws = _draws(fits, rng := np.random.default_rng((seed, 11)))
    rows = []
    for number in range(len(regions)):
        members = np.flatnonzero(place == number)
        some = members if len(members) <= _MOST_ITEMS else rng.choice(members, _MOST_ITEMS, replace=False)
        chance = sigmoid(features[some] @ draws[:5] + draws[5 + number])
        noise = np.sqrt((chance * (1 - chance)).mean(axis=0) / len(members))
        share = np.clip(chance.mean(axis=0) + noise * rng.standard_normal(draws.shape[1]), 0, 1)
        low, high = np.quantile(share, [0.025, 0.975])
        here = place[known] == number
        rows.append((int(regions[number]), int(here.sum()), int(wrong[here].sum()), float(chance.mean()), low, high))
    names = ["region", "labels", "overturned", "error", "error_low", "error_high"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("region").cast(pl.Int32))


@dataclass(frozen=True)
class _Called:
    place: NDArray[np.int64]
    scores: Floats
    positive: NDArray[np.bool_]


@dataclass(frozen=True)
class _Fit:
    mode: Floats
    precision: Floats
    evidence: float


def _draws(fits: list[_Fit], rng: np.random.Generator) -> Floats:
    """Return coefficients from the posterior, shape (coefficients, about 400), of each fit by its evidence."""
    weight = np.exp([each.evidence - max(fit.evidence for fit in fits) for each in fits])
    draws = []
    for each, count in zip(fits, np.round(_DRAWS * weight / weight.sum()).astype(int), strict=True):
        root = np.linalg.cholesky(np.linalg.inv(each.precision))
        draws.append(each.mode[:, None] + root @ rng.standard_normal((len(each.mode), count)))
    return np.concatenate(draws, axis=1)


def _features(pool: _Called, asked: _Called, regions: int) -> Floats:
    """Return 1, the label, distance by rank if negative, and if positive, log-odds of the other label in the region."""
    counts = np.stack([np.bincount(pool.place[pool.positive == side], minlength=regions) for side in (False, True)])
    sign = asked.positive.astype(np.int64)
    own, other = counts[sign, asked.place], counts[1 - sign, asked.place]
    distance = np.zeros(len(sign))
    for side in (False, True):
        here, of_side = asked.positive == side, np.sort(pool.scores[pool.positive == side])
        rank = np.searchsorted(of_side, asked.scores[here]) / max(len(of_side), 1)
        distance[here] = (rank if side else 1 - rank) - 0.5
    odds = np.log((other + 0.5) / (own + 0.5))
    return np.column_stack([np.ones(len(sign)), sign, distance * (1 - sign), distance * sign, odds])


def _fit(features: Floats, place: NDArray[np.int64], wrong: Floats, spread: float, regions: int) -> _Fit:
    """Return the posterior's mode, its precision there, and the log-evidence by Laplace's method."""
    design = np.zeros((5 + regions, len(wrong)))
    design[:5] = features.T
    design[5 + place, np.arange(len(wrong))] = 1
    mean = np.concatenate([_PRIOR_MEAN, np.zeros(regions)])
    prior = np.concatenate([_PRIOR_SPREAD, np.full(regions, spread)]) ** -2
    mode, precision = fit_logistic(design, wrong, mean, prior)
    odds = mode @ design
    fits = float((wrong * odds - np.logaddexp(0, odds)).sum() - 0.5 * (prior * (mode - mean) ** 2).sum())
    return _Fit(mode, precision, fits + 0.5 * float(np.log(prior).sum()) - 0.5 * float(np.linalg.slogdet(precision)[1]))
