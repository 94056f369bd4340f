"""The default strategy: boundary pairs, beside them promising items while the labeler is weak, stand-ins after them."""

from dataclasses import dataclass, replace

import polars as pl

from al_assets.curation.checks import check_at_least, check_share
from al_assets.curation.strategies.base import EXPLORATION, PICKS, Candidates, Ranked, Strategy
from al_assets.curation.strategies.by_score import Margin, TopScored
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs
from al_assets.curation.strategies.registry import strategy


@strategy(
    "boundary_pairs",
    build=lambda exploration, promising: BoundaryShare(promising, exploration),
    sentence="Half of a boundary pair: two items near each other that the incumbent calls by different labels.",
    order="boundary pairs",
)
@dataclass(frozen=True)
class BoundaryShare:
    """Boundary pairs, promising items to their part, and what stands in for pairs that there are not.

    If pairs run out, items called positive follow (top-scored), then those nearest to the threshold (margin).

    :param promising: the part of the budget for top-scored items instead of pairs, 0 to 1, see ``cold_start``.
    :param exploration: the part of each that is drawn by lot from a short list, 0 to 1.
    """

    promising: float = 0.0
    exploration: float = EXPLORATION
    reason: str = "boundary"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return pairs, then promising items, then stand-ins; their number is even where there are pairs enough."""
        check_at_least("budget", budget, 0)
        pairs, top_scored = divide_boundary(budget, self.promising)
        called = replace(candidates, free=candidates.free_items & candidates.positive)
        parts: tuple[tuple[Strategy, Candidates, int], ...] = (
            (BoundaryPairs(self.exploration), candidates, 2 * pairs),
            (Ranked(TopScored(), self.exploration), candidates, top_scored),
            (Ranked(TopScored(), self.exploration), called, budget),
            (Ranked(Margin(), self.exploration), candidates, budget),
        )
        picked = PICKS.to_frame()
        for part, among, most in parts:
            room = min(most, budget - picked.height)
            if room:
                picked = pl.concat([picked, part.pick(among.without(picked), room, seed)])
        return picked


def divide_boundary(budget: int, promising: float) -> tuple[int, int]:
    """Return how many pairs (two items each) and how many promising items a boundary budget pays for.

    :raises CurationError: ``promising`` is not between 0 and 1.
    """
    check_share("promising", promising)
    top_scored = round(promising * budget)
    return (budget - top_scored) // 2, top_scored
