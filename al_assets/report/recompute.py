"""A figure's value from the items it rests on, by the formula in ``descriptions``: the check of a page.

Written for reading, one weighting at a time; ``agreement`` computes the same for thousands of resamples at once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import (
    Floats,
    fleiss_kappa,
    gwet_ac1,
    kappa_of,
    krippendorff_alpha,
    negative_of,
    observed_of,
    pair_cells,
    positive_of,
)
from al_assets.agreement.core.undecided import ALPHA, BEST, WORST, alpha_of_three, answer_counts
from al_assets.agreement.population.thresholds import average_precision
from al_assets.agreement.report.undecided_figures import LEFT_OUT
from al_assets.report.traced_items import Rows

Recompute = Callable[[Rows, Floats], float]
"""Items and how much each counts, shape (items,) -> the figure; NaN where it is undefined."""

NAN = float("nan")


def pooled_kappa(rows: Rows, weights: Floats, model: str | None = None) -> float:
    """Return kappa pooled over pairs of raters, or over raters with a model."""
    differing = by_chance = 0.0
    shares = {name: _answer_shares(labels, weights) for name, labels in rows.answers(model).items()}
    for first, second, cells in rows.pairs(model):
        a, b, c, d = (float(cell) for cell in weights @ cells)
        if a + b + c + d > 0:
            (p, not_p), (q, not_q) = shares[first], shares[second]
            differing += b + c
            by_chance += (a + b + c + d) * (p * not_q + not_p * q)
    return 1 - differing / by_chance if by_chance > 0 else NAN


def _answer_shares(labels: Floats, weights: Floats) -> tuple[float, float]:
    positive, negative = float(weights @ (labels == 1)), float(weights @ (labels == 0))
    total = positive + negative
    return (positive / total, negative / total) if total > 0 else (NAN, NAN)


def mean_kappa(model: str | None = None) -> Recompute:
    """Return the plain mean of kappa over pairs of raters, or over raters with a model, without undefined pairs."""
    return lambda rows, weights: _mean([float(kappa_of(weights @ cells)) for _, _, cells in rows.pairs(model)])


def model_kappa(model: str) -> Recompute:
    """Return the pooled kappa of a model with the raters."""
    return lambda rows, weights: pooled_kappa(rows, weights, model)


def difference(first: Recompute, second: Recompute) -> Recompute:
    """Return the difference of two figures on the same items."""
    return lambda rows, weights: first(rows, weights) - second(rows, weights)


def labels_kappa(first: str, second: str) -> Recompute:
    """Return the kappa of two models' labels."""
    return lambda rows, weights: float(kappa_of(weights @ pair_cells(rows.label(first), rows.label(second))))


def f_change(rows: Rows, weights: Floats) -> float:
    """Return 1 - 2a / (2a + b + c) of the student's and the student before's labels."""
    return 1 - float(positive_of(weights @ pair_cells(rows.label("student"), rows.label("earlier"))))


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else NAN


def _pooled(rows: Rows, weights: Floats) -> Floats:
    return np.asarray(sum(weights @ cells for _, _, cells in rows.pairs()))


def _index(one: int, other: int) -> Recompute:
    def recompute(rows: Rows, weights: Floats) -> float:
        tables = [weights @ cells for _, _, cells in rows.pairs()]
        return _mean([abs(float(t[one] - t[other])) / float(t.sum()) if t.sum() > 0 else NAN for t in tables])

    return recompute


def _share(numerator: Callable[[Rows], NDArray[Any]], denominator: Callable[[Rows], NDArray[Any]]) -> Recompute:
    def recompute(rows: Rows, weights: Floats) -> float:
        total = float(weights @ denominator(rows))
        return float(weights @ numerator(rows)) / total if total > 0 else NAN

    return recompute


def _called(model: str) -> dict[str, Recompute]:
    return {
        "precision": _share(lambda rows: rows.labels[model] * rows.positive_share, lambda rows: rows.labels[model]),
        "recall": _share(lambda rows: rows.labels[model] * rows.positive_share, lambda rows: rows.positive_share),
        "positive_share": _share(lambda rows: rows.labels[model], lambda rows: np.ones(len(rows))),
        "average_precision": lambda rows, weights: float(
            average_precision(rows.scores[model], rows.positive_share, weights[None, :])[0]
        ),
    }


def _bounds(model: str, name: str) -> dict[str, Recompute]:
    """Return the worst and the best of a kappa, were every "cannot decide" decided; "" for experts among themselves."""

    def bound(end: str) -> Recompute:
        return lambda rows, weights: pooled_kappa(rows.decided(end, model or None), weights, model or None)

    return {f"{name}_{end}": bound(end) for end in (WORST, BEST)}


_UNDECIDED: dict[str, Recompute] = {
    ALPHA: lambda rows, weights: float(alpha_of_three(weights @ answer_counts(rows.votes, rows.undecided_by))),
    **_bounds("", "expert_expert_kappa"),
    **_bounds("student", "model_expert_kappa"),
    **_bounds("incumbent", "incumbent_expert_kappa"),
}
UNDECIDED_FIGURES = frozenset(_UNDECIDED)
FROM_ITEMS: dict[str, Recompute] = {
    "expert_expert_kappa": pooled_kappa,
    "expert_expert_mean_kappa": mean_kappa(),
    "model_expert_mean_kappa": mean_kappa("student"),
    "incumbent_expert_mean_kappa": mean_kappa("incumbent"),
    "model_expert_kappa": model_kappa("student"),
    "incumbent_expert_kappa": model_kappa("incumbent"),
    "parity_difference": difference(model_kappa("student"), pooled_kappa),
    "student_gain": difference(model_kappa("student"), model_kappa("incumbent")),
    "gain_over_recommended": difference(model_kappa("student"), model_kappa("recommended")),
    "panel_gain": difference(model_kappa("student"), model_kappa("earlier")),
    "krippendorff_alpha": lambda rows, weights: krippendorff_alpha(rows.votes, weights),
    "fleiss_kappa": lambda rows, weights: fleiss_kappa(rows.votes, weights),
    "gwet_ac1": lambda rows, weights: gwet_ac1(rows.votes, weights),
    "observed_agreement": lambda rows, weights: float(observed_of(_pooled(rows, weights))),
    "positive_agreement": lambda rows, weights: float(positive_of(_pooled(rows, weights))),
    "negative_agreement": lambda rows, weights: float(negative_of(_pooled(rows, weights))),
    "prevalence_index": _index(0, 3),
    "bias_index": _index(1, 2),
    "prevalence": _share(lambda rows: rows.positive_share, lambda rows: np.ones(len(rows))),
    **_called("student"),
    **{f"incumbent_{name}": function for name, function in _called("incumbent").items()},
    **_UNDECIDED,
    LEFT_OUT: lambda rows, weights: float(weights @ (rows.decisive < 2)),
    "undecided_share": _share(lambda rows: rows.undecided, lambda rows: rows.undecided + rows.decisive),
    "incumbent_agreement": labels_kappa("student", "incumbent"),
    "stop_set_agreement": labels_kappa("student", "earlier"),
    "predicted_f_change": f_change,
    "brier_score": _share(
        lambda rows: (rows.scores["probability"] - rows.positive_share) ** 2, lambda rows: np.ones(len(rows))
    ),
}
