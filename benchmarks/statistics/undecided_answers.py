"""How far "cannot decide" on hard items flatters kappa, and whether worst and best kappa hold the truth.

The truth is what the raters would have agreed had each of them been made to choose. On an ambiguous item they would
have said one or the other like the toss of a coin; half of the time they say that they cannot decide instead.
"""

from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.kappa import Panel
from al_assets.agreement.core.undecided import BEST, WORST, UndecidedPanel

FIGURES = ("expert_expert_kappa", "model_expert_kappa")
_AMBIGUOUS, _UNDECIDED = 0.15, 0.5
_POSITIVE, _CLEAR, _SLIP, _MODEL_SLIP = 0.25, 0.97, 0.02, 0.06


@dataclass(frozen=True)
class UndecidedCell:
    """What is said of samples in which raters could not decide some items.

    :param undecided: share of the answers.
    :param truth: mean kappa of the answers they would have given; ``decisive`` mean kappa of those they gave.
    :param worst: mean of the worst kappa; ``best`` likewise.
    :param held: share of the samples in which worst and best held the kappa of the answers they would have given.
    """

    figure: str
    raters: int
    items: int
    undecided: float
    truth: float
    decisive: float
    worst: float
    best: float
    held: float


def undecided_answers(
    *, samples: int, seed: int, raters: tuple[int, ...] = (2, 3), items: int = 300
) -> list[UndecidedCell]:
    """Simulate samples of items that every rater answers, or cannot decide."""
    cells = []
    for count in raters:
        rng = np.random.default_rng((seed, count))
        rows = [_sample(count, items, rng) for _ in range(samples)]
        for place, figure in enumerate(FIGURES):
            truth, decisive, worst, best = np.array([each[1:][place] for each in rows]).T
            held = (worst <= truth + 1e-9) & (truth <= best + 1e-9)
            shares = [each[0] for each in rows]
            means = (float(np.mean(each)) for each in (shares, truth, decisive, worst, best, held))
            cells.append(UndecidedCell(figure, count, items, *means))
    return cells


def _sample(raters: int, items: int, rng: np.random.Generator) -> tuple[float, list[float], list[float]]:
    """Return the share of undecided answers, and of each figure: the truth, of decisive votes alone, worst and best."""
    lot = rng.random(items)
    ambiguous = lot >= 1 - _AMBIGUOUS
    positive = lot < _POSITIVE
    chance = np.where(ambiguous, 0.5, np.where(positive, _CLEAR, _SLIP))
    votes = (rng.random((items, raters)) < chance[:, None]).astype(np.float64)
    undecided = ambiguous[:, None] & (rng.random((items, raters)) < _UNDECIDED)
    called = np.where(ambiguous, rng.random(items) < 0.5, positive ^ (rng.random(items) < _MODEL_SLIP))
    models, ones = {"model": called.astype(np.float64)}, np.ones((1, items))
    given = np.where(undecided, np.nan, votes)
    true, decisive = (Panel(each, models).kappas(ones) for each in (votes, given))
    bounds = UndecidedPanel(given, undecided, models).figures(ones)
    found = [
        [float(each[0]) for each in (true[name], decisive[name], bounds[f"{name}_{WORST}"], bounds[f"{name}_{BEST}"])]
        for name in FIGURES
    ]
    return float(undecided.mean()), found[0], found[1]
