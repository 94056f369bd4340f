"""Whether the 95 % intervals of kappa hold the true kappa as often as they say, on simulated experts and models.

Latent classes: an item is truly positive or not, and everybody errs independently given that. Whoever has reliability
r calls p + (1 - p) r of the true positives positive and p (1 - r) of the true negatives, with p the prevalence, so all
call equally many items positive and two of them agree with kappa r1 r2, whatever the prevalence. Model and experts
all have reliability sqrt(kappa), so that every kappa is the cell's and their difference is 0, where parity is hardest
to tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.report.scopes import PSEUDO_ITEMS

NOMINAL = 0.95
DIFFERENCE = "parity_difference"
FIGURES = ("expert_expert_kappa", "model_expert_kappa", DIFFERENCE)
# A pair's second item has the truth and the votes of the first in half of the pairs; else it is drawn on its own.
_COPIED = 0.5
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class Setting:
    """What is simulated: items, their prevalence, the true kappa, and whether they come in pairs that are alike."""

    n: int
    prevalence: float
    kappa: float
    pairs: bool = False


@dataclass(frozen=True)
class CoverageCell:
    """How often intervals held the truth in one setting.

    :param figure: expert_expert_kappa, model_expert_kappa (mean over two experts) or parity_difference.
    :param groups: what is resampled together: "items" or "pairs".
    :param kappa: the true kappa; a parity_difference is then 0.
    :param coverage: share of the intervals given that hold the truth; None if none was given.
    :param error: standard error of the coverage due to the number of simulated samples.
    :param above, below: share of the intervals that lie wholly above the truth, or below.
    :param given: share of the samples that allowed an interval, the others being undefined.
    :param half_width: mean half-width of the intervals given.
    :param percentile_coverage, wald_coverage: what a percentile interval from the same resamples, and the estimate
        +- 1.96 jackknife standard errors, would have covered; None for a parity_difference.
    """

    figure: str
    n: int
    groups: str
    prevalence: float
    kappa: float
    coverage: float | None
    error: float | None
    above: float | None
    below: float | None
    given: float
    half_width: float | None
    percentile_coverage: float | None
    wald_coverage: float | None
    method: str


def pattern_chances(prevalence: float, reliabilities: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return every pattern of labels and its probability under the latent classes described above.

    :return: patterns of shape (2^k, k), 1 or 0; their probabilities, shape (2^k,).
    """
    patterns = np.array(list(product((0.0, 1.0), repeat=len(reliabilities))))
    reliability = np.array(reliabilities)
    hit, false_alarm = prevalence + (1 - prevalence) * reliability, prevalence * (1 - reliability)
    positive = np.where(patterns == 1, hit, 1 - hit).prod(axis=1)
    negative = np.where(patterns == 1, false_alarm, 1 - false_alarm).prod(axis=1)
    return patterns, prevalence * positive + (1 - prevalence) * negative


def kappa_coverage(
    setting: Setting, *, samples: int, resamples: int, seed: int | np.random.Generator
) -> list[CoverageCell]:
    """Simulate samples of items and count how often the interval of each figure holds the truth.

    Items, or pairs, with the same labels are counted and resampled together: multinomial counts are exactly the
    bootstrap over groups of ``grouped_distributions``, in time that does not grow with the items.

    :param samples: simulated samples.
    :param resamples: bootstrap resamples of each.
    """
    truth = {"expert_expert_kappa": setting.kappa, "model_expert_kappa": setting.kappa, DIFFERENCE: 0.0}
    ends: dict[str, list[tuple[float, ...]]] = {figure: [] for figure in FIGURES}
    for distributions in _samples(setting, samples, resamples, np.random.default_rng(seed)):
        for figure, distribution in distributions.items():
            ends[figure].append(_ends(distribution, setting.n))
    return [_cell(setting, figure, np.array(ends[figure]), truth[figure]) for figure in FIGURES]


def share_held(low: Floats, high: Floats, truth: float) -> float | None:
    """Return the share of the intervals given (not NaN) that hold the truth; None if there are none."""
    given = ~np.isnan(low)
    return float(((low[given] <= truth) & (truth <= high[given])).mean()) if given.any() else None


def _samples(
    setting: Setting, samples: int, resamples: int, rng: np.random.Generator
) -> Iterator[dict[str, Distribution]]:
    patterns, chances = pattern_chances(setting.prevalence, (sqrt(setting.kappa),) * 3)
    agreement = Panel(patterns[:, 1:], {"model": patterns[:, 0]})
    kinds, chances = _pairs(chances) if setting.pairs else (np.eye(len(patterns)), chances)
    groups = setting.n // 2 if setting.pairs else setting.n
    for _ in range(samples):
        counts = rng.multinomial(groups, chances)
        seen = counts > 0
        yield pattern_distributions(agreement, counts[seen], kinds[seen], resamples, rng)


def _pairs(chances: Floats) -> tuple[Floats, Floats]:
    single = np.eye(len(chances))
    kinds = (single[:, None] + single[None, :]).reshape(-1, len(chances))
    return kinds, ((1 - _COPIED) * np.outer(chances, chances) + _COPIED * np.diag(chances)).ravel()


def pattern_distributions(
    agreement: Panel, counts: NDArray[np.int64], kinds: Floats, resamples: int, rng: np.random.Generator
) -> dict[str, Distribution]:
    """Return the bootstrap distributions of the three figures of items counted by kind.

    :param agreement: of the patterns of labels.
    :param counts: shape (kinds,), groups of each kind, above 0.
    :param kinds: shape (kinds, patterns), how many items of each pattern such a group has.
    """
    groups = int(counts.sum())
    estimate = _figures(agreement, (counts @ kinds)[None, :])
    replicates = _figures(agreement, rng.multinomial(groups, counts / groups, size=resamples) @ kinds)
    without = _figures(agreement, counts @ kinds - kinds)
    distributions = {
        figure: Distribution(float(estimate[figure][0]), replicates[figure], groups, np.repeat(without[figure], counts))
        for figure in FIGURES
    }
    return {**distributions, DIFFERENCE: _smoothed(agreement, counts, kinds, resamples, rng)}


def _smoothed(
    agreement: Panel, counts: NDArray[np.int64], kinds: Floats, resamples: int, rng: np.random.Generator
) -> Distribution:
    # As ``parity_distribution``: the six patterns in which one of three differs share the pseudo-items.
    single = np.eye(kinds.shape[1])[1:-1]
    mass = np.concatenate([counts, np.full(len(single), PSEUDO_ITEMS / len(single))])
    groups, kinds = int(counts.sum()), np.concatenate([kinds, single])
    mass *= groups / mass.sum()
    estimate, centre = (
        float(_figures(agreement, (weights @ kinds)[None, :])[DIFFERENCE][0])
        for weights in (np.concatenate([counts, np.zeros(len(single))]), mass)
    )
    replicates = _figures(agreement, rng.multinomial(groups, mass / groups, size=resamples) @ kinds)[DIFFERENCE]
    return Distribution(estimate, replicates + (estimate - centre), groups)


def _figures(agreement: Panel, weights: Floats) -> dict[str, Floats]:
    kappas = agreement.kappas(weights)
    return {**kappas, DIFFERENCE: kappas["model_expert_kappa"] - kappas["expert_expert_kappa"]}


def _ends(distribution: Distribution, items: int) -> tuple[float, ...]:
    interval = distribution.interval(items, NOMINAL)
    if interval.estimate is None or interval.low is None or interval.high is None:
        return (np.nan,) * 6
    percentile = replace(distribution, jackknife=np.empty(0)).interval(items, NOMINAL)
    values = distribution.jackknife[~np.isnan(distribution.jackknife)]
    error = _NORMAL_975 * sqrt(values.var() * (len(values) - 1)) if len(values) else np.nan
    low, high = (np.nan if end is None else end for end in (percentile.low, percentile.high))
    return interval.low, interval.high, low, high, interval.estimate - error, interval.estimate + error


def _cell(setting: Setting, figure: str, ends: Floats, truth: float) -> CoverageCell:
    given = ~np.isnan(ends[:, 0])
    kept = ends[given]
    coverage = share_held(ends[:, 0], ends[:, 1], truth)
    some = coverage is not None
    return CoverageCell(
        figure=figure,
        n=setting.n,
        groups="pairs" if setting.pairs else "items",
        prevalence=setting.prevalence,
        kappa=setting.kappa,
        coverage=coverage,
        error=None if coverage is None else sqrt(coverage * (1 - coverage) / len(kept)),
        above=float((kept[:, 0] > truth).mean()) if some else None,
        below=float((kept[:, 1] < truth).mean()) if some else None,
        given=float(given.mean()),
        half_width=float((kept[:, 1] - kept[:, 0]).mean() / 2) if some else None,
        percentile_coverage=None if figure == DIFFERENCE else share_held(ends[:, 2], ends[:, 3], truth),
        wald_coverage=share_held(ends[:, 4], ends[:, 5], truth),
        method="percentile, 2 pseudo-items" if figure == DIFFERENCE else "BCa",
    )
