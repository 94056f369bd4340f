"""What a labeler, and in a combination each of its members, thinks of every item of the pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.models.label_model.fitted_model import calls_of, disagreement_of, vote_threshold
from al_assets.models.labelers.combination import CombinationLabeler, LabelModelLabeler
from al_assets.models.labelers.protocol import Labeler
from al_assets.models.scoring import ValueStore, score_texts

Floats = NDArray[np.float64]
_FIGURES = pl.Schema(dict.fromkeys(("coverage", "sensitivity", "specificity", "weight"), pl.Float64()))
_MEMBERS = pl.Schema({"member": pl.String(), **_FIGURES})


@dataclass(frozen=True, eq=False)
class Opinions:
    """Scores of the pool, and how its members came to them.

    :param p_positive: shape (items,).
    :param disagreement: shape (items,), 0 to 1, see ``disagreement_of``; None with a single labeler, as are ``calls``.
    :param calls: shape (items, members), 1 where a member says yes, 0 no, NaN where it abstains.
    :param members: one row for each: member, coverage, sensitivity, specificity, weight; no rows with a single labeler.
    """

    p_positive: Floats
    disagreement: Floats | None
    calls: Floats | None
    members: pl.DataFrame

    def member_table(self, labels: NDArray[np.bool_]) -> pl.DataFrame:
        """Return ``members`` with the share of each one's votes that say yes, and that say what the labels say.

        :param labels: shape (items,), what the combination calls them.
        """
        if self.calls is None:
            return self.members
        voted = ~np.isnan(self.calls)
        given = np.maximum(voted.sum(axis=0), 1)
        yes, agreeing = (self.calls == 1).sum(axis=0) / given, (self.calls == labels[:, None]).sum(axis=0) / given
        columns = [pl.Series("says_yes", yes), pl.Series("agreement", agreeing)]
        silent = pl.Series("silent", ~voted.any(axis=0))
        return self.members.with_columns(
            pl.when(silent).then(None).otherwise(column).alias(column.name) for column in columns
        )


def opinions_on_pool(
    labeler: Labeler,
    hashes: Sequence[str],
    texts: Sequence[str],
    store: ValueStore,
    progress: Callable[[int, int], None] | None = None,
) -> Opinions:
    """Return what the labeler thinks of the pool; a label model that was never fitted is fitted to it and kept.

    :param hashes: one for each text.
    :param store: of the labeler's scores; a combination has those of its members.
    """
    if not isinstance(labeler, CombinationLabeler):
        scores = score_texts(labeler, hashes, texts, store, progress)
        return Opinions(scores, None, None, _MEMBERS.to_frame())
    votes = labeler.kept_votes(hashes, texts, progress)
    if isinstance(labeler, LabelModelLabeler):
        model = labeler.model if labeler.is_fitted else labeler.fit(votes)
        p_positive, thresholds, weights = model.posterior(votes), model.thresholds, model.weights
        rows = [{figure: getattr(member, figure) for figure in _FIGURES} for member in model.members]
    else:
        p_positive, weights = labeler.combine(votes), labeler.weights
        thresholds = np.array([vote_threshold(column, labeler.prior) for column in votes.T])
        coverage = (~np.isnan(votes)).mean(axis=0)
        rows = [{"coverage": share, "weight": weight} for share, weight in zip(coverage, weights, strict=True)]
    names = pl.Series("member", [member.name for member in labeler.members])
    members = pl.DataFrame(rows, schema=_FIGURES).select(names, *_FIGURES)
    calls = calls_of(votes, thresholds)
    return Opinions(p_positive, disagreement_of(calls, weights), calls, members)
