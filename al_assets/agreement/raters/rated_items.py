"""How each rater answers: against the majority of the others, how often undecided, and whether that drifts."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Resampling, group_sums, resampled_sums
from al_assets.agreement.core.figures import Figure, slice_figure
from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells, ratio
from al_assets.agreement.core.labelled_items import SCORE_COLUMNS, SPLIT_COLUMNS, LabelledItems, labelled_items

MAJORITY = "(majority of the others)"
QUALITY_FIGURES = ("undecided_share", "positive_share", "signed_bias", "kappa_drift", "signed_bias_drift")
_CONFUSION = ("both_positive", "only_rater_positive", "only_others_positive", "both_negative")
_WIDTH = 12


@dataclass(frozen=True)
class RatedItems:
    """Items with their votes, and who cast them.

    :param items: in order of item id; split and scores are empty.
    :param raters: names of the columns of the votes.
    :param asked: shape (items, raters), iteration whose queue asked for the answer, "" where there is none.
    """

    items: LabelledItems
    raters: tuple[str, ...]
    asked: NDArray[np.str_]


def rated_items(votes: pl.DataFrame) -> RatedItems:
    """Return the votes as a matrix of items and raters.

    :param votes: current votes, the columns of ``labelled_items.VOTE_COLUMNS``; one row for each item and rater.
    :raises ValueError: a column is missing, a label unknown or a row repeated.
    """
    split = pl.DataFrame(schema=dict.fromkeys(SPLIT_COLUMNS, pl.String))
    scores = pl.DataFrame(schema=dict.fromkeys(SCORE_COLUMNS, pl.Float64)).cast(
        {"item_id": pl.String, "role": pl.String}
    )
    items = labelled_items(votes, split, scores)
    raters = votes["rater"].unique().sort()
    asked = np.full((len(items), len(raters)), "", dtype=object)
    rows = np.searchsorted(items.item_id, votes["item_id"].to_numpy().astype(np.str_))
    asked[rows, raters.search_sorted(votes["rater"]).to_numpy()] = votes["iteration"].to_list()
    return RatedItems(items, tuple(raters.to_list()), asked.astype(np.str_))


def leave_one_out_majority(votes: Floats) -> Floats:
    """Return, for each rater, the majority of the other raters' decisive votes.

    :param votes: shape (items, raters).
    :return: the same shape: 1, 0, or NaN where the others are tied or gave no decisive vote.
    """
    own = np.nan_to_num(votes)
    positive = own.sum(axis=1, keepdims=True) - own
    decisive = ~np.isnan(votes)
    lead = 2 * positive - (decisive.sum(axis=1, keepdims=True) - decisive)
    return np.where(lead > 0, 1.0, np.where(lead < 0, 0.0, np.nan))


def rater_confusion(votes: pl.DataFrame) -> pl.DataFrame:
    """Return each rater's answers counted, and their confusion with the majority of the others.

    :param votes: as in ``rated_items``.
    :return: one row for each rater, in order of name: rater, answers, undecided, positive, negative; compared, the
        items where the rater and the majority of the others are decisive, and of them both_positive,
        only_rater_positive, only_others_positive, both_negative; sensitivity and specificity, taking the others'
        majority for the truth, null where it is never positive (negative).
    """
    rated = rated_items(votes)
    given = rated.items.votes
    cells = pair_cells(given, leave_one_out_majority(given)).sum(axis=0).astype(np.int64)
    frame = pl.DataFrame(
        {
            "rater": rated.raters,
            "answers": (rated.asked != "").sum(axis=0),
            "undecided": ((rated.asked != "") & np.isnan(given)).sum(axis=0),
            "positive": (given == 1).sum(axis=0),
            "negative": (given == 0).sum(axis=0),
            "compared": cells.sum(axis=1),
            **{name: cells[:, place] for place, name in enumerate(_CONFUSION)},
        },
        schema_overrides={"rater": pl.String},
    )
    others_positive = pl.col("both_positive") + pl.col("only_others_positive")
    others_negative = pl.col("both_negative") + pl.col("only_rater_positive")
    return frame.with_columns(
        sensitivity=pl.when(others_positive > 0).then(pl.col("both_positive") / others_positive),
        specificity=pl.when(others_negative > 0).then(pl.col("both_negative") / others_negative),
    )


def quality_rows(rated: RatedItems, how: Resampling) -> list[Figure]:
    """Return each rater's figures of ``QUALITY_FIGURES`` with BCa intervals over groups.

    undecided_share is of all answers, positive_share of the decisive ones. signed_bias is the rater's share of
    positives less that of the majority of the others, on the items both answered: above 0 the rater is the more
    lenient with "positive". The drifts are the later half's kappa with that majority, or signed bias, less the
    earlier half's; iterations are divided where the rater's compared items come nearest to halves. Later items may
    be harder for everybody: a kappa drift that all raters share says more of the items than of the raters.
    """
    if not len(rated.items):
        return []
    answered = rated.asked != ""
    votes = rated.items.votes
    cells = pair_cells(votes, leave_one_out_majority(votes))
    later = _later_half(rated.asked, cells.sum(axis=-1) > 0)
    counts = np.stack([answered, answered & np.isnan(votes), votes == 1, votes == 0], axis=-1).astype(np.float64)
    features = np.concatenate([counts, cells * ~later[..., None], cells * later[..., None]], axis=-1)
    sums = group_sums(features.reshape(len(votes), -1), rated.items.group)
    distributions = resampled_sums(sums, _quality_of, how)
    seen = sums.reshape(len(sums), len(rated.raters), _WIDTH)
    rows = []
    for rater, name in enumerate(rated.raters):
        for figure in QUALITY_FIGURES:
            items, groups, undefined = _basis(figure, seen[:, rater])
            key = ("rater", name, MAJORITY if "_share" not in figure else None, figure)
            distribution = distributions[f"{rater} {figure}"]
            rows.append(
                slice_figure(
                    key, distribution, items=items, groups=groups, undefined=undefined,
                    leverage=1.0 if "_share" in figure else float("nan"),
                )
            )  # fmt: skip
    return rows


def _quality_of(totals: Floats) -> dict[str, Floats]:
    parts = totals.reshape(len(totals), -1, _WIDTH)
    answers, undecided, positive, negative = np.moveaxis(parts[..., :4], -1, 0)
    first, second = parts[..., 4:8], parts[..., 8:]
    figures = {
        "undecided_share": ratio(undecided, answers),
        "positive_share": ratio(positive, positive + negative),
        "signed_bias": _signed_bias(first + second),
        "kappa_drift": kappa_of(second) - kappa_of(first),
        "signed_bias_drift": _signed_bias(second) - _signed_bias(first),
    }
    return {f"{rater} {name}": value[:, rater] for name, value in figures.items() for rater in range(parts.shape[1])}


def _basis(figure: str, seen: Floats) -> tuple[int, int, str]:
    """Return the items and independent groups a rater's figure rests on, and why it is undefined if it is."""
    compared = (seen[:, 4:8].sum(axis=1), seen[:, 8:].sum(axis=1))
    if figure == "undecided_share":
        return *_size(seen[:, 0]), "no answer"
    if figure == "positive_share":
        return *_size(seen[:, 2] + seen[:, 3]), "no decisive vote"
    if figure == "signed_bias":
        return *_size(compared[0] + compared[1]), "no item on which the others have a majority"
    halves = [_size(half) for half in compared]
    undefined = "kappa is undefined in one of the halves: one label only"
    if not min(items for items, _ in halves):
        undefined = "a drift takes answers from two iterations on items where the others have a majority"
    return sum(items for items, _ in halves), min(groups for _, groups in halves), undefined


def _size(items_of_groups: Floats) -> tuple[int, int]:
    return round(float(items_of_groups.sum())), int((items_of_groups > 0).sum())


def _later_half(asked: NDArray[np.str_], compared: NDArray[np.bool_]) -> NDArray[np.bool_]:
    later = np.zeros(asked.shape, dtype=np.bool_)
    for rater in range(asked.shape[1]):
        iterations, counts = np.unique(asked[compared[:, rater], rater], return_counts=True)
        if len(iterations) < 2:
            continue
        before = counts.cumsum()[:-1]
        cut = iterations[1 + int(np.argmin(np.abs(2 * before - counts.sum())))]
        later[:, rater] = asked[:, rater] >= cut
    return later


def _signed_bias(cells: Floats) -> Floats:
    return ratio(cells[..., 1] - cells[..., 2], cells.sum(axis=-1))
