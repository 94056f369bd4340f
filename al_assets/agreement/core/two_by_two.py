"""Agreement from sums over items: figures of 2 x 2 tables and of vote counts, for any number of them at once.

A table is an array whose last axis holds the number, or weight, of the items that both raters call positive, only the
first, only the second, and neither: a, b, c, d.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TABLE_FIGURES = (
    "cohen_kappa",
    "krippendorff_alpha",
    "gwet_ac1",
    "observed_agreement",
    "positive_agreement",
    "negative_agreement",
    "prevalence_index",
    "bias_index",
)


def pair_cells(first: Floats, second: Floats) -> Floats:
    """Return each item's place in the 2 x 2 table as four indicators: both, first only, second only, neither.

    :return: the inputs' shape with a last axis of 4; all zero where either label is NaN.
    """
    common = ~(np.isnan(first) | np.isnan(second))
    a, b = np.where(common, first, 0.0), np.where(common, second, 0.0)
    return np.stack([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)], axis=-1) * common[..., None]


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
