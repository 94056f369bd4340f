"""Kappa where many raters share few items: two votes an item, by two raters drawn by lot.

Latent classes as in ``kappa_coverage``, but raters differ in reliability, so pairs differ in kappa; the true kappas are
the means over pairs and over raters. The model agrees less with the experts than they do with each other, by the
difference that parity would have to find.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import sqrt

import numpy as np

from al_assets.agreement.core.bootstrap import Distribution, agreement_leverage, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.report.scopes import parity_distribution
from benchmarks.statistics.estimates import EstimateCell, Estimates

EXPERT_KAPPA, MODEL_KAPPA = 0.8, 0.7
# Raters' reliabilities are spread evenly over their mean by up to so much: kappas of pairs from about .70 to .90.
_SPREAD = 0.06
FIGURES = ("expert_expert_kappa", "model_expert_kappa", "parity_difference")
MEANS = ("expert_expert_mean_kappa", "model_expert_mean_kappa")


@dataclass(frozen=True)
class RatersSetting:
    """How many raters share how many items, and the share of positives."""

    raters: int
    items: int
    prevalence: float

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.raters} raters, {self.items} items, prevalence {self.prevalence:g}"


@dataclass(frozen=True)
class RatersCell:
    """What the figures of one setting are worth.

    :param figures: of the pooled kappas and their difference.
    :param means: bias of the plain means over pairs and raters and of their difference, for which no interval is held
        against the truth.
    """

    setting: RatersSetting
    figures: tuple[EstimateCell, ...]
    means: tuple[EstimateCell, ...]


def reliabilities(raters: int) -> tuple[Floats, float]:
    """Return the raters' reliabilities and the model's, for which the true kappas are .8 and .7.

    :return: shape (raters,), with a mean product over pairs of .8; and the model's, .7 over their mean.
    """
    spread = np.linspace(-_SPREAD, _SPREAD, raters)
    products = np.mean([spread[a] * spread[b] for a, b in combinations(range(raters), 2)])
    # The spread is centred on 0, so the mean product of pairs is centre^2 + the mean product of their spreads.
    experts = sqrt(EXPERT_KAPPA - products) + spread
    return experts, MODEL_KAPPA / float(experts.mean())


def simulated_answers(setting: RatersSetting, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return votes of two raters an item, shape (items, raters), NaN for the others; and the model's labels."""
    p, items = setting.prevalence, setting.items
    experts, model = reliabilities(setting.raters)
    everyone = np.append(experts, model)
    truth = rng.random(items) < p
    chance = np.where(truth[:, None], p + (1 - p) * everyone, p * (1 - everyone))
    said = (rng.random((items, setting.raters + 1)) < chance).astype(np.float64)
    asked = np.argsort(rng.random((items, setting.raters)), axis=1) < 2
    return np.where(asked, said[:, :-1], np.nan), said[:, -1]


def many_raters(
    settings: Sequence[RatersSetting],
    *,
    samples: int,
    resamples: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> list[RatersCell]:
    """Simulate samples of each setting, judged by the report's own functions for items that count alike."""
    truth = {"expert_expert_kappa": EXPERT_KAPPA, "model_expert_kappa": MODEL_KAPPA}
    truth["parity_difference"] = MODEL_KAPPA - EXPERT_KAPPA
    cells = []
    for number, setting in enumerate(settings):
        rng = np.random.default_rng((seed, number))
        found, plain = Estimates(), Estimates()
        for _ in range(samples):
            votes, model = simulated_answers(setting, rng)
            for figure, distribution in _distributions(votes, model, resamples, int(rng.integers(2**32))).items():
                found.add(figure, truth[figure], distribution.interval(setting.items))
            means = Panel(votes, {"model": model}).figures(np.ones((1, setting.items)))
            for figure in MEANS:
                plain.add_estimate(figure, truth[figure.replace("_mean", "")], float(means[figure][0]))
            difference = float(means[MEANS[1]][0] - means[MEANS[0]][0])
            plain.add_estimate("parity_difference of means", truth["parity_difference"], difference)
        cells.append(RatersCell(setting, found.cells(str(setting)), plain.cells(str(setting))))
        progress(str(setting))
    return cells


def settings_of(raters: Sequence[int], items: Sequence[int], prevalences: Sequence[float]) -> list[RatersSetting]:
    """Return every combination."""
    return [RatersSetting(*each) for each in product(raters, items, prevalences)]


def _distributions(votes: Floats, model: Floats, resamples: int, seed: int) -> dict[str, Distribution]:
    groups = np.arange(len(votes))
    agreement = Panel(votes, {"model": model})
    leverage = agreement_leverage(np.nanmean(votes, axis=1))
    kappas = grouped_distributions(agreement.kappas, groups, resamples=resamples, seed=seed, leverage=leverage)
    difference = parity_distribution(votes, model, groups, resamples=resamples, seed=seed)
    return {**{figure: kappas[figure] for figure in FIGURES[:2]}, FIGURES[2]: difference}
