"""Cohen kappa and the figures reported beside it, for one sample or for thousands of resamples at once.

Votes are float arrays of shape (items, raters): 1 positive, 0 negative, NaN missing or undecided. Every figure is a
function of weighted sums over items, so a batch of resamples is one matrix product with the items' weights.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from al_assets.agreement.core.two_by_two import (
    Floats,
    ac1_of,
    alpha_of,
    bias_of,
    fleiss_of,
    kappa_of,
    mean_defined,
    negative_of,
    observed_of,
    pair_cells,
    positive_of,
    prevalence_of,
    vote_counts,
)

__all__ = [
    "PANEL_FIGURES",
    "Floats",
    "Panel",
    "cohen_kappa",
    "fleiss_kappa",
    "gwet_ac1",
    "kappa_of",
    "krippendorff_alpha",
    "mean_defined",
    "mean_model_kappa",
    "mean_pairwise_kappa",
    "negative_of",
    "observed_of",
    "pair_cells",
    "positive_of",
]

PANEL_FIGURES = (
    "expert_expert_kappa",
    "fleiss_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "observed_agreement",
    "positive_agreement",
    "negative_agreement",
    "prevalence_index",
    "bias_index",
)


def cohen_kappa(first: Floats, second: Floats, weights: Floats | None = None) -> float:
    """Return Cohen's kappa (1960) of two raters: (Po - Pe) / (1 - Pe).

    :param first: shape (items,), 1, 0 or NaN; an item where either is NaN is left out.
    :param weights: shape (items,), >= 0; None counts every item once.
    :return: -1 to 1; NaN where it is undefined: no common item, or both raters use one and the same label only.
    """
    return float(kappa_of(_weighted_cells(first, second, weights)))


def mean_pairwise_kappa(votes: Floats, weights: Floats | None = None) -> float:
    """Return the mean of Cohen's kappa over all pairs of raters; NaN if no pair has a defined kappa.

    A pair whose own kappa is undefined (no common item, one label only) is left out of the mean.
    """
    return float(Panel(votes).figures(_rows(weights, votes))["expert_expert_kappa"][0])


def mean_model_kappa(model: Floats, votes: Floats, weights: Floats | None = None) -> float:
    """Return the mean over raters of Cohen's kappa between the model and that rater.

    Comparable with ``mean_pairwise_kappa`` of the same votes: only items with at least two votes count, so both
    means rest on the same items. Kappa with the majority vote would not be comparable: a consensus is less noisy
    than a single rater and flatters the model.

    :param model: shape (items,), 1, 0 or NaN.
    """
    return float(Panel(votes, {"model": model}).figures(_rows(weights, votes))["model_expert_kappa"][0])


def gwet_ac1(votes: Floats, weights: Floats | None = None) -> float:
    """Return Gwet's AC1 (2008) for any number of raters and missing votes; NaN if no item has two votes."""
    return float(Panel(votes).figures(_rows(weights, votes))["gwet_ac1"][0])


def fleiss_kappa(votes: Floats, weights: Floats | None = None) -> float:
    """Return Fleiss' kappa (1971); NaN if no item has two votes or only one label occurs.

    Missing votes as in Gwet (2014, Handbook of Inter-Rater Reliability, 4th ed.): agreement is the mean over items
    with two votes or more, the share of each label the mean over all items, so it can then fall below -1. Of two raters
    it is Scott's pi.
    """
    return float(Panel(votes).figures(_rows(weights, votes))["fleiss_kappa"][0])


def krippendorff_alpha(votes: Floats, weights: Floats | None = None) -> float:
    """Return Krippendorff's alpha (nominal); NaN if no item has two votes or only one label occurs.

    :param weights: counts of each item; weights of another scale should average 1, as n - 1 enters the formula.
    """
    return float(Panel(votes).figures(_rows(weights, votes))["krippendorff_alpha"][0])


class Panel:
    """The agreement figures of a set of items, for any number of weightings of those items.

    :param votes: shape (items, raters).
    :param models: name -> shape (items,) labels of a model; each adds the figure ``<name>_expert_kappa``.
    """

    def __init__(self, votes: Floats, models: Mapping[str, Floats] | None = None) -> None:
        _check_votes(votes)
        self._models = tuple(models or {})
        decisive = (~np.isnan(votes)).sum(axis=1)
        shared = np.where((decisive >= 2)[:, None], votes, np.nan)
        pairs = list(combinations(range(votes.shape[1]), 2))
        left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        parts = {"pairs": pair_cells(shared[:, left], shared[:, right])}
        for name, labels in (models or {}).items():
            if labels.shape != votes.shape[:1]:
                raise ValueError(f"models[{name!r}]: shape {labels.shape}; expected one label for {len(votes)} items")
            parts[name] = pair_cells(np.broadcast_to(labels[:, None], shared.shape), shared)
        parts["counts"] = vote_counts(votes)[:, None, :]
        self._shapes = {name: part.shape[1:] for name, part in parts.items()}
        flat = [part.reshape(len(votes), part.shape[1] * part.shape[2]) for part in parts.values()]
        self.features = np.concatenate(flat, axis=1)

    def figures(self, weights: Floats) -> dict[str, Floats]:
        """Return each figure for each weighting.

        :param weights: shape (batch, items), >= 0: how often, or how heavily, each item counts.
        :return: figure -> shape (batch,), NaN where it is undefined.
        """
        return self.figures_of(weights @ self.features)

    def kappas(self, weights: Floats) -> dict[str, Floats]:
        """Return the mean kappas alone, which take a fraction of the time of all figures; otherwise as ``figures``."""
        return self._kappas(self._split(weights @ self.features))

    def figures_of(self, totals: Floats) -> dict[str, Floats]:
        """Return each figure from sums of ``features`` over items.

        :param totals: shape (batch, features).
        :return: figure -> shape (batch,), NaN where it is undefined.
        """
        sums = self._split(totals)
        kappas, pairs = self._kappas(sums), sums["pairs"]
        pooled = pairs.sum(axis=1)
        figures = {
            "expert_expert_kappa": kappas["expert_expert_kappa"],
            "fleiss_kappa": fleiss_of(sums["counts"][:, 0]),
            "krippendorff_alpha": alpha_of(sums["counts"][:, 0]),
            "gwet_ac1": ac1_of(sums["counts"][:, 0]),
            "observed_agreement": observed_of(pooled),
            "positive_agreement": positive_of(pooled),
            "negative_agreement": negative_of(pooled),
            "prevalence_index": mean_defined(prevalence_of(pairs)),
            "bias_index": mean_defined(bias_of(pairs)),
        }
        return {**figures, **kappas}

    def _kappas(self, sums: Mapping[str, Floats]) -> dict[str, Floats]:
        among = {"expert_expert_kappa": mean_defined(kappa_of(sums["pairs"]))}
        return among | {f"{name}_expert_kappa": mean_defined(kappa_of(sums[name])) for name in self._models}

    def _split(self, totals: Floats) -> dict[str, Floats]:
        sums, start = {}, 0
        for name, (columns, cells) in self._shapes.items():
            sums[name] = totals[:, start : start + columns * cells].reshape(len(totals), columns, cells)
            start += columns * cells
        return sums


def _weighted_cells(first: Floats, second: Floats, weights: Floats | None) -> Floats:
    votes = np.stack([first, second], axis=1).astype(np.float64)
    _check_votes(votes)
    cells: Floats = _rows(weights, votes)[0] @ pair_cells(votes[:, 0], votes[:, 1])
    return cells


def _rows(weights: Floats | None, votes: Floats) -> Floats:
    if weights is None:
        return np.ones((1, len(votes)))
    if weights.shape != votes.shape[:1] or not bool((weights >= 0).all()):
        raise ValueError(f"weights: shape {weights.shape}; expected {len(votes)} numbers >= 0, one for each item")
    return weights[None, :].astype(np.float64)


def _check_votes(votes: Floats) -> None:
    if votes.ndim != 2:
        raise ValueError(f"votes: shape {votes.shape}; expected (items, raters)")
    wrong = ~(np.isnan(votes) | (votes == 0) | (votes == 1))
    if wrong.any():
        raise ValueError(f"votes: {votes[wrong][0]!r} is no vote; expected 1 (positive), 0 (negative) or NaN (missing)")
