"""How many items an answer takes: widths of intervals foreseen from assumed agreement, or projected from measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np

from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.stopping.ceiling import ON_THE_MARGIN

AUDIT_FLOOR = 20
_STEP = 1e-6
_NORMAL = NormalDist()
_Z95 = _NORMAL.inv_cdf(0.975)


@dataclass(frozen=True)
class Stratum:
    """A part of the pool: its share of the pool's items, and the share of positives expected in it."""

    share: float
    positive_share: float


def figure_deviation(
    figure: str, *, prevalence: float, expert_kappa: float, model_kappa: float | None = None, experts: int = 2
) -> float:
    """Return sqrt(n) times the standard error of a figure of ``Panel``, for large n.

    The delta method on the table of all vote patterns, which for two raters is the variance of Fleiss, Cohen and
    Everitt (1969). Raters are taken to call equally many items positive and to err independently given the truth.

    :param figure: expert_expert_kappa, model_expert_kappa or parity_difference (the second minus the first).
    :param prevalence: share of positives among the items measured, in (0, 1).
    :param expert_kappa: kappa between two experts, in (0, 1).
    :param model_kappa: kappa between model and expert, in [0, sqrt(expert_kappa)); needed for the latter two figures.
    :raises ValueError: a value is out of range.
    """
    _check_open("prevalence", prevalence)
    _check_open("expert_kappa", expert_kappa)
    if experts < 2:
        raise ValueError(f"experts: {experts}; agreement takes at least 2")
    if model_kappa is None and figure != "expert_expert_kappa":
        raise ValueError(f"model_kappa: None; {figure} needs an expected kappa between model and experts")
    if model_kappa is not None and not 0 <= model_kappa < sqrt(expert_kappa):
        raise ValueError(
            f"model_kappa: {model_kappa:g}; expected at least 0 and below {sqrt(expert_kappa):.3f}, what a faultless "
            f"model reaches where experts agree with kappa {expert_kappa:g}"
        )
    reliabilities = [sqrt(expert_kappa)] * experts + [(model_kappa or 0.0) / sqrt(expert_kappa)]
    patterns = np.array(list(product((0.0, 1.0), repeat=experts + 1)))
    chance = _pattern_chances(patterns, prevalence, reliabilities)
    agreement = Panel(patterns[:, :experts], {"model": patterns[:, experts]})
    nudged = (1 - _STEP) * chance + _STEP * np.eye(len(patterns))
    figures = agreement.figures(np.vstack([chance, nudged]))
    figures["parity_difference"] = figures["model_expert_kappa"] - figures["expert_expert_kappa"]
    if figure not in figures:
        raise ValueError(f"figure: {figure!r}; expected one of {', '.join(sorted(figures))}")
    influence = (figures[figure][1:] - figures[figure][0]) / _STEP
    return float(np.sqrt(chance @ influence**2))


def kappa_items(
    half_width: float,
    *,
    prevalence: float,
    expert_kappa: float,
    experts: int = 2,
    design_effect: float = 1.0,
) -> int:
    """Return the items whose mean expert-expert kappa has an interval of that half-width.

    :param half_width: half the width of the two-sided 95 % interval, > 0.
    :param design_effect: by how much clustering (pairs, near-duplicates) inflates the variance; 1 for none.
    """
    if half_width <= 0:
        raise ValueError(f"half_width: {half_width:g}; expected a number above 0, such as 0.08")
    deviation = figure_deviation(
        "expert_expert_kappa", prevalence=prevalence, expert_kappa=expert_kappa, experts=experts
    )
    return ceil(design_effect * (_Z95 * deviation / half_width) ** 2)


def parity_items(
    *,
    prevalence: float,
    expert_kappa: float,
    model_kappa: float,
    margin: float,
    experts: int = 2,
    design_effect: float = 1.0,
    level: float = 0.05,
) -> int | None:
    """Return the items that decide the ceiling test at a one-sided level, if both kappas are what is assumed.

    :return: None if the assumed difference sits on the margin.
    """
    distance = abs(model_kappa - expert_kappa + margin)
    if distance < ON_THE_MARGIN:
        return None
    deviation = figure_deviation(
        "parity_difference",
        prevalence=prevalence,
        expert_kappa=expert_kappa,
        model_kappa=model_kappa,
        experts=experts,
    )
    return ceil(design_effect * (_NORMAL.inv_cdf(1 - level) * deviation / distance) ** 2)


def audit_items(prevalence: float, half_width: float, *, pool: int | None = None) -> int:
    """Return the size of a simple random audit whose share of positives has an interval of that half-width.

    n = z^2 p (1 - p) / half_width^2, with the finite population correction if the pool's size is given (Cochran 1977,
    equation 4.2).
    """
    _check_open("prevalence", prevalence)
    _check_open("half_width", half_width)
    infinite = (_Z95 / half_width) ** 2 * prevalence * (1 - prevalence)
    return ceil(infinite if pool is None else infinite / (1 + infinite / pool))


def stratified_audit_items(
    strata: Sequence[Stratum], half_width: float, *, floor: int = AUDIT_FLOOR
) -> tuple[int, ...]:
    """Return the items of each stratum of an audit whose weighted share of positives has that half-width.

    Neyman's allocation n_h ~ W_h S_h, with n = (sum W_h S_h)^2 z^2 / half_width^2 in all (Cochran 1977, equation
    5.26), and no stratum below ``floor``: a stratum's spread is a guess before it is labelled.

    :raises ValueError: the strata's shares do not add up to 1, or a share lies outside 0 to 1.
    """
    _check_open("half_width", half_width)
    shares = [stratum.share for stratum in strata]
    if abs(sum(shares) - 1) > 1e-6 or any(
        not 0 <= stratum.positive_share <= 1 or stratum.share < 0 for stratum in strata
    ):
        raise ValueError(f"strata: shares add up to {sum(shares):g}; expected shares from 0 to 1 that add up to 1")
    spread = [stratum.share * sqrt(stratum.positive_share * (1 - stratum.positive_share)) for stratum in strata]
    scale = sum(spread) * (_Z95 / half_width) ** 2
    return tuple(
        max(floor, ceil(scale * deviation)) if share > 0 else 0 for deviation, share in zip(spread, shares, strict=True)
    )


def _pattern_chances(patterns: Floats, prevalence: float, reliabilities: Sequence[float]) -> Floats:
    # A rater of reliability r calls positive: prevalence + (1 - prevalence) r of the true positives, and
    # prevalence (1 - r) of the true negatives. Two such raters agree with kappa r1 r2.
    chance = np.zeros(len(patterns))
    for truth, weight in ((1.0, prevalence), (0.0, 1 - prevalence)):
        likelihood = np.full(len(patterns), weight)
        for rater, reliability in enumerate(reliabilities):
            positive = prevalence + (truth - prevalence) * reliability
            likelihood = likelihood * np.where(patterns[:, rater] > 0, positive, 1 - positive)
        chance += likelihood
    return chance


def _check_open(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}: {value:g}; expected a number between 0 and 1")
