"""Which votes to ask for again: those that the other raters and a model together make least likely to be right.

Only votes that a student learns from. To correct what contradicts a model, and that alone, makes raters agree with the
model and with each other whoever is right: in simulation, 5 % of the votes asked again took student-expert kappa from
.54 to .63 and expert-expert kappa from .75 to .93, where reading everything again gave .58 and .84. So agreement rests
on first answers (``labelled_items``), whatever a listed item measures, and items that only measure are never listed.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import (
    LabelledItems,
    aligned,
    require_columns,
)
from al_assets.agreement.raters.rated_items import RatedItems, rated_items
from al_assets.formatting import decimal
from al_assets.tables import ASK_AGAIN

_SMALLEST = 1e-6
_WORD = {1.0: "positive", 0.0: "negative"}


class DoubtfulVotes(NamedTuple):
    """Votes more in doubt than a limit.

    :param listed: of items that a student learns from, a frame of the table ``ask_again``, worst first.
    :param held_out: how many more there are on items that only measure, which are not to be asked again by a list.
    """

    listed: pl.DataFrame
    held_out: int


def votes_to_ask_again(
    votes: pl.DataFrame,
    scores: pl.DataFrame,
    split: pl.DataFrame,
    *,
    max_quality: float = 0.5,
    limit: int | None = None,
) -> DoubtfulVotes:
    """Return the decisive votes on items that teach whose CROWDLAB quality is lowest, worst first.

    The quality of a vote is the probability of its label after all votes and the model's score have been weighed by
    how reliable their givers are: see ``crowdlab_quality``. "Cannot decide" is no label and is never listed: see
    ``policy_gaps``.

    :param votes: current votes, the columns of ``labelled_items.VOTE_COLUMNS``; one row for each item and rater.
        Those on other items help to judge the raters.
    :param scores: item_id, p_positive in [0, 1] for every item with a decisive vote, by a model that was not trained
        on that item's votes; a model that was will agree with their mistakes.
    :param split: item_id, teaches; items that it does not know are not listed.
    :param max_quality: votes of a lower quality are listed; at .5, those that are more likely wrong than right.
    :param limit: at most this many votes; None for all.
    :raises ValueError: a column is missing, an item with a decisive vote has no score in [0, 1], or none teaches.
    """
    require_columns(split, "split", ("item_id", "teaches"))
    # What stands now is in doubt, not what was first said.
    rated = rated_items(votes.drop("first_label", strict=False))
    kept = rated.items.decisive > 0
    items = rated.items.where(kept)
    if not len(items):
        return DoubtfulVotes(pl.DataFrame(schema=ASK_AGAIN.schema), 0)
    teaches = aligned(split, items.item_id, "teaches")
    held_out = teaches == 0
    if held_out.all():
        raise ValueError(
            f"split: all {len(items)} items with votes and a score are held out for evaluation; to correct there what "
            "contradicts the model would only raise every kappa. Read all of them again, blind, under a new version of "
            "the policy, or have the items that teach scored out of fold: calibration.folds above 1"
        )
    positive = _scores_of(scores, items)
    # Rounded, because the last digits may differ between machines, and ties are put in order by name.
    quality = np.round(crowdlab_quality(items.votes, positive), 12)
    in_doubt = quality < max_quality
    listed = np.argwhere(in_doubt & (teaches == 1)[:, None])
    rows = [_row(rated, items, positive, quality, int(item), int(rater)) for item, rater in listed]
    frame = pl.DataFrame(rows, schema=ASK_AGAIN.schema, orient="row").sort("quality", "item_id", "rater")
    return DoubtfulVotes(frame if limit is None else frame.head(limit), int(in_doubt[held_out].sum()))


def crowdlab_quality(votes: Floats, positive: Floats) -> Floats:
    """Return the CROWDLAB quality of every vote: the probability of its label given all votes and the model.

    The model's score and every vote on the item are averaged, a vote speaking for its label as strongly as votes
    agree with the consensus on the whole. A rater weighs as much as agreement with the other raters exceeds that of
    always giving the commoner label; the model likewise, by its agreement with the consensus, times the square root
    of the mean number of votes (Goh, Tkachenko and Mueller 2022, arXiv 2210.06812, section 3, for two classes; the
    consensus is the label of the higher quality, from a first pass with the majority). Equal to cleanlab's
    ``get_label_quality_multiannotator``, except that nothing is left to chance: a tied item takes the model's label,
    then the rarer one, then negative.

    :param votes: shape (items, raters), each item with a decisive vote.
    :param positive: shape (items,), the model's probability of positive.
    :return: the shape of votes, 0 to 1, NaN where there is no vote; while no item has two, the model's probability.
    """
    several = (~np.isnan(votes)).sum(axis=1) > 1
    share = positive
    if several.any():
        majority = _majority(votes, positive)
        first = _posterior(votes, positive, majority, several)
        # Rounded, so that the last digits do not settle what is tied.
        lead = np.round(first - 0.5, 9)
        consensus = np.where(lead > 0, 1.0, np.where(lead < 0, 0.0, majority))
        share = _posterior(votes, positive, consensus, several)
    # Where a vote is NaN, so is its quality.
    return votes * share[:, None] + (1 - votes) * (1 - share[:, None])


def _majority(votes: Floats, positive: Floats) -> Floats:
    labels = votes[~np.isnan(votes)]
    rarer = float(labels.mean() < 0.5)
    by_model = np.where(positive > 0.5, 1.0, np.where(positive < 0.5, 0.0, rarer))
    lead = np.nansum(2 * votes - 1, axis=1)
    return np.where(lead > 0, 1.0, np.where(lead < 0, 0.0, by_model))


def _posterior(votes: Floats, positive: Floats, consensus: Floats, several: NDArray[np.bool_]) -> Floats:
    """Return the probability of positive of each item, shape (items,)."""
    voted = ~np.isnan(votes)
    count = voted.sum(axis=1)
    agreeing = (votes == consensus[:, None]).sum(axis=1) / count
    likelihood = float(agreeing[several].mean())
    known = consensus[several]
    commoner = float(known.mean() > 0.5)
    chance_error = max(float((known != commoner).mean()), _SMALLEST)
    weights = np.maximum(1 - (1 - _agreement_with_others(votes)) / chance_error, _SMALLEST)
    model_error = float(((positive[several] > 0.5) != known).mean())
    model_weight = max(1 - model_error / chance_error, _SMALLEST) * float(np.sqrt(count.mean()))
    spoken = np.where(voted, np.where(votes == 1, likelihood, 1 - likelihood), 0.0)
    return np.asarray((positive * model_weight + spoken @ weights) / (model_weight + voted @ weights))


def _agreement_with_others(votes: Floats) -> Floats:
    """Return each rater's share of agreeing pairs of votes; a rater who shares no item gets the others' mean."""
    voted = ~np.isnan(votes)
    same = np.where(votes == 1, (votes == 1).sum(axis=1, keepdims=True), (votes == 0).sum(axis=1, keepdims=True)) - 1
    others = voted.sum(axis=1, keepdims=True) - 1
    pairs = (others * voted).sum(axis=0)
    agreement = np.where(pairs > 0, (same * voted).sum(axis=0) / np.maximum(pairs, 1), np.nan)
    return np.where(pairs > 0, agreement, np.nanmean(agreement))


def _scores_of(scores: pl.DataFrame, items: LabelledItems) -> Floats:
    require_columns(scores, "scores", ("item_id", "p_positive"))
    if scores["item_id"].is_duplicated().any():
        raise ValueError("scores: an item_id is repeated; give one score for each item")
    positive = aligned(scores, items.item_id, "p_positive")
    unscored = ~((positive >= 0) & (positive <= 1))
    if unscored.any():
        raise ValueError(
            f"scores.p_positive: {int(unscored.sum())} of {len(items)} items with votes have none in [0, 1], such as "
            f"{str(items.item_id[unscored][0])!r}; score them, or leave their votes out"
        )
    return positive


def _row(
    rated: RatedItems, items: LabelledItems, positive: Floats, quality: Floats, item: int, rater: int
) -> tuple[str, str, str, float, str]:
    label = float(items.votes[item, rater])
    others = np.delete(items.votes[item], rater)
    given = others[~np.isnan(others)]
    against = int((given != label).sum())
    opposite = _WORD[1 - label]
    others_say = (
        f"{against} of {len(given)} other raters said {opposite}" if len(given) else "no other rater gave a label"
    )
    model_says = f"the model gives positive {decimal(float(positive[item]))}"
    return (
        str(items.item_id[item]),
        rated.raters[rater],
        _WORD[label],
        float(quality[item, rater]),
        f"{others_say}; {model_says}",
    )
