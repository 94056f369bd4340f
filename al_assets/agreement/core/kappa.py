"""Cohen kappa and the figures reported beside it, for one sample or for thousands of resamples at once.

Votes are float arrays of shape (items, raters): 1 positive, 0 negative, NaN missing or undecided. Every figure is a
function of weighted sums over items, so a batch of resamples is one matrix product with the items' weights.

A 2 x 2 table is an array whose last axis holds the number, or weight, of the items that both raters call positive, only
the first, only the second, and neither: a, b, c, d.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cohen_kappa(first: Floats, second: Floats, weights: Floats | None = None) -> float:
    """Return Cohen's kappa (1960) of two raters: (Po - Pe) / (1 - Pe).

    :param first: shape (items,), 1, 0 or NaN; an item where either is NaN is left out.
    :param weights: shape (items,), >= 0; None counts every item once.
    :return: -1 to 1; NaN where it is undefined: no common item, or both raters use one and the same label only.
    """
    votes = np.stack([first, second], axis=1).astype(np.float64)
    _check_votes(votes)
    return float(kappa_of(_rows(weights, votes)[0] @ pair_cells(votes[:, 0], votes[:, 1])))


def pooled_kappa(votes: Floats, weights: Floats | None = None) -> float:
    """Return Cohen's kappa pooled over all pairs of raters; NaN if no item has two votes or one label only occurs.

    sum n_ij (Po_ij - Pe_ij) / sum n_ij (1 - Pe_ij) over pairs i < j that share n_ij items, with Pe_ij from each rater's
    positive share over all of their items: equal to Cohen's kappa for two raters who answer everything. The plain mean
    of the pairs' kappas, ``mean_pairwise_kappa``, is biased low where pairs share few items: with 20 raters and 150
    items it is .50 where kappa is .80, as Pe then comes from a handful of items, and pairs without a positive are lost.
    """
    return float(Panel(votes).kappas(_rows(weights, votes))["expert_expert_kappa"][0])


def pooled_model_kappa(model: Floats, votes: Floats, weights: Floats | None = None) -> float:
    """Return Cohen's kappa between a model and each rater, pooled over the raters as in ``pooled_kappa``.

    Comparable with ``pooled_kappa`` of the same votes: only items with at least two votes count, so both rest on the
    same items. Kappa with the majority vote would not be comparable: a consensus is less noisy than a single rater and
    flatters the model.

    :param model: shape (items,), 1, 0 or NaN.
    """
    return float(Panel(votes, {"model": model}).kappas(_rows(weights, votes))["model_expert_kappa"][0])


def mean_pairwise_kappa(votes: Floats, weights: Floats | None = None) -> float:
    """Return the plain mean of Cohen's kappa over all pairs of raters; NaN if no pair has a defined kappa.

    A pair whose own kappa is undefined (no common item, one label only) is left out of the mean.
    """
    return float(Panel(votes).figures(_rows(weights, votes))["expert_expert_mean_kappa"][0])


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
    :param models: name -> shape (items,) labels of a model; each adds the figures ``<name>_expert_kappa``, pooled over
        raters, and ``<name>_expert_mean_kappa``, their plain mean.
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
            parts[f"{name} answers"] = _answers(np.where(decisive >= 2, labels, np.nan)[:, None])
        parts["answers"] = _answers(shared)
        parts["counts"] = vote_counts(votes)[:, None, :]
        self._left, self._right = left, right
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
        """Return the pooled kappas alone, in a fraction of the time of all figures; otherwise as ``figures``."""
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
            "expert_expert_mean_kappa": mean_defined(kappa_of(pairs)),
            "fleiss_kappa": fleiss_of(sums["counts"][:, 0]),
            "krippendorff_alpha": alpha_of(sums["counts"][:, 0]),
            "gwet_ac1": ac1_of(sums["counts"][:, 0]),
            "observed_agreement": observed_of(pooled),
            "positive_agreement": positive_of(pooled),
            "negative_agreement": negative_of(pooled),
            "prevalence_index": mean_defined(prevalence_of(pairs)),
            "bias_index": mean_defined(bias_of(pairs)),
        }
        means = {f"{name}_expert_mean_kappa": mean_defined(kappa_of(sums[name])) for name in self._models}
        return {**figures, **kappas, **means}

    def _kappas(self, sums: Mapping[str, Floats]) -> dict[str, Floats]:
        raters = sums["answers"]
        kappas = {"expert_expert_kappa": _pooled(sums["pairs"], raters[:, self._left], raters[:, self._right])}
        for name in self._models:
            kappas[f"{name}_expert_kappa"] = _pooled(sums[name], sums[f"{name} answers"], raters)
        return kappas

    def _split(self, totals: Floats) -> dict[str, Floats]:
        sums, start = {}, 0
        for name, (columns, cells) in self._shapes.items():
            sums[name] = totals[:, start : start + columns * cells].reshape(len(totals), columns, cells)
            start += columns * cells
        return sums


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


def pair_cells(first: Floats, second: Floats) -> Floats:
    """Return each item's place in the 2 x 2 table as four indicators: both, first only, second only, neither.

    :return: the inputs' shape with a last axis of 4; all zero where either label is NaN.
    """
    common = ~(np.isnan(first) | np.isnan(second))
    a, b = np.where(common, first, 0.0), np.where(common, second, 0.0)
    return np.stack([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)], axis=-1) * common[..., None]


def _answers(labels: Floats) -> Floats:
    """Return whether each label is positive, and whether negative: shape (items, raters, 2)."""
    return np.stack([labels == 1, labels == 0], axis=-1).astype(np.float64)


def _pooled(cells: Floats, first: Floats, second: Floats) -> Floats:
    """Return 1 - sum (b + c) / sum n (1 - Pe) over pairs, where 1 - Pe = p1 q2 + q1 p2 is exactly 0 when undefined.

    :param cells: shape (batch, pairs, 4).
    :param first: positive and negative answers of each pair's first, over all of their items: (batch, pairs or 1, 2).
    """
    p, q = (ratio(answers, answers.sum(axis=-1, keepdims=True)) for answers in (first, second))
    chance = p[..., 0] * q[..., 1] + p[..., 1] * q[..., 0]
    # Who answered nothing shares no item with anybody.
    expected = (cells.sum(axis=-1) * np.nan_to_num(chance)).sum(axis=-1)
    return 1 - ratio((cells[..., 1] + cells[..., 2]).sum(axis=-1), expected)


def kappa_of(cells: Floats) -> Floats:
    """Return Cohen's kappa of 2 x 2 tables, the last axis as in ``pair_cells``; NaN where it is undefined.

    Written as 2 (ad - bc) / ((a + b)(b + d) + (a + c)(c + d)), whose denominator is exactly 0 when undefined.
    """
    a, b, c, d = np.moveaxis(cells, -1, 0)
    return ratio(2 * (a * d - b * c), (a + b) * (b + d) + (a + c) * (c + d))


def observed_of(cells: Floats) -> Floats:
    """Return the observed agreement of 2 x 2 tables; NaN for an empty table."""
    return ratio(cells[..., 0] + cells[..., 3], cells.sum(axis=-1))


def positive_of(cells: Floats) -> Floats:
    """Return the positive agreement of 2 x 2 tables; NaN if nobody says positive."""
    return ratio(2 * cells[..., 0], 2 * cells[..., 0] + cells[..., 1] + cells[..., 2])


def negative_of(cells: Floats) -> Floats:
    """Return the negative agreement of 2 x 2 tables; NaN if nobody says negative."""
    return ratio(2 * cells[..., 3], 2 * cells[..., 3] + cells[..., 1] + cells[..., 2])


def table_figures(cells: Floats) -> dict[str, Floats]:
    """Return every figure of two raters from 2 x 2 tables, in the order of ``TABLE_FIGURES``.

    :param cells: last axis as in ``pair_cells``.
    :return: figure -> the other axes of cells; NaN where it is undefined.
    """
    counts = cells @ _COUNTS_OF_CELLS
    return {
        "cohen_kappa": kappa_of(cells),
        "krippendorff_alpha": alpha_of(counts),
        "gwet_ac1": ac1_of(counts),
        "observed_agreement": observed_of(cells),
        "positive_agreement": positive_of(cells),
        "negative_agreement": negative_of(cells),
        "prevalence_index": prevalence_of(cells),
        "bias_index": bias_of(cells),
    }


def mean_defined(values: Floats) -> Floats:
    """Return the mean over the last axis of what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def prevalence_of(cells: Floats) -> Floats:
    """Return the prevalence index |a - d| / n (Byrt, Bishop and Carlin 1993); NaN for an empty table."""
    return ratio(np.abs(cells[..., 0] - cells[..., 3]), cells.sum(axis=-1))


def bias_of(cells: Floats) -> Floats:
    """Return the bias index |b - c| / n (Byrt, Bishop and Carlin 1993); NaN for an empty table."""
    return ratio(np.abs(cells[..., 1] - cells[..., 2]), cells.sum(axis=-1))


def vote_counts(votes: Floats) -> Floats:
    """Return what an item adds to the sums that the figures of any number of raters are functions of.

    :param votes: shape (items, raters).
    :return: shape (items, 7): positive votes, negative votes, discordance (2 x positive x negative / (votes - 1)),
        share of agreeing pairs of votes, 1 for having two votes - these five 0 for items with fewer than two - then
        the share of positive and the share of negative votes.
    """
    positive = np.nansum(votes, axis=1)
    total = (~np.isnan(votes)).sum(axis=1).astype(np.float64)
    negative, several = total - positive, total >= 2
    agreeing_pairs = positive * (positive - 1) + negative * (negative - 1)
    return np.stack(
        [
            positive * several,
            negative * several,
            2 * positive * negative / np.maximum(total - 1, 1) * several,
            agreeing_pairs / np.maximum(total * (total - 1), 1) * several,
            several.astype(np.float64),
            positive / np.maximum(total, 1),
            # Its own sum rather than 1 - share: exactly 0 while nobody says negative, whatever the weights.
            negative / np.maximum(total, 1),
        ],
        axis=1,
    )


def alpha_of(sums: Floats) -> Floats:
    """Return Krippendorff's nominal alpha from sums of ``vote_counts``; NaN where it is undefined."""
    positive, negative, discordance = sums[..., 0], sums[..., 1], sums[..., 2]
    values = positive + negative
    expected = ratio(2 * positive * negative, values * (values - 1))
    return 1 - ratio(ratio(discordance, values), expected)


def fleiss_of(sums: Floats) -> Floats:
    """Return Fleiss' kappa from sums of ``vote_counts``; NaN where it is undefined."""
    observed = ratio(sums[..., 3], sums[..., 4])
    positive, negative = sums[..., 5], sums[..., 6]
    return 1 - ratio(1 - observed, ratio(2 * positive * negative, (positive + negative) ** 2))


def ac1_of(sums: Floats) -> Floats:
    """Return Gwet's AC1 from sums of ``vote_counts``; NaN without an item with two votes."""
    observed = ratio(sums[..., 3], sums[..., 4])
    share = ratio(sums[..., 5], sums[..., 5] + sums[..., 6])
    expected = 2 * share * (1 - share)
    return (observed - expected) / (1 - expected)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient; NaN where the denominator is not above 0."""
    safe = np.where(denominator > 0, denominator, 1.0)
    return np.where(denominator > 0, numerator / safe, np.nan)


_COUNTS_OF_CELLS = vote_counts(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
TABLE_FIGURES = tuple(table_figures(np.zeros(4)))
