import polars as pl
import pytest

from al_assets.curation.strategies.base import PICKS, Candidates, Ranked, Strategy
from al_assets.curation.strategies.by_score import Margin, TopScored, UniformRandom
from al_assets.curation.strategies.ranked_pairs import BoundaryPairs, rank_pairs
from al_assets.curation.strategies.registry import Mixture
from al_assets_tests.curation.strategies.test_ranked_pairs import pair_frame
from al_assets_tests.support.pools import six, topics

TOP = Ranked(TopScored(), exploration=0.0)
NEAR = Ranked(Margin(), exploration=0.0)


def test_parts_pick_what_those_before_them_left() -> None:
    picks = Mixture(((TOP, 0.5), (NEAR, 0.5))).pick(six(), 4, 0)
    assert picks.schema == PICKS
    # Margin would take c and f, of which both are free, as b and d are the top scored.
    assert picks["item_id"][:2].to_list() == ["b", "d"]
    assert set(picks["item_id"][2:]) == {"c", "f"}
    assert picks["reason"].to_list() == ["promising"] * 2 + ["margin"] * 2
    assert picks["rank"].to_list() == [0, 1, 0, 1]
    again = Mixture(((NEAR, 0.5), (TOP, 0.5))).pick(six(), 4, 0)
    assert again["item_id"][2:].to_list() == ["b", "d"]


def few_pairs(*pairs: tuple[str, str]) -> Candidates:
    frame = pair_frame([(one, other, 0.5, 0.5, 0, 0) for one, other in pairs])
    return six(pairs=rank_pairs(frame))


@pytest.mark.parametrize("pairs_first", [True, False])
def test_what_a_part_cannot_fill_goes_to_the_others(pairs_first: bool) -> None:
    parts: list[tuple[Strategy, float]] = [(BoundaryPairs(0.0), 0.8), (TOP, 0.2)]
    candidates = few_pairs(("f", "c"))
    picks = Mixture(tuple(parts if pairs_first else parts[::-1])).pick(candidates, 5, 0)
    assert picks.height == 5
    assert picks["item_id"].is_unique().all()
    assert picks["reason"].to_list().count("boundary") == 2
    # The first part has its turn again, from rank 0 of what is left.
    ranks = picks.filter(pl.col("reason") == "promising")["rank"].to_list()
    assert ranks == ([0, 1, 2] if pairs_first else [0, 0, 1])


def test_an_odd_budget_of_pairs_passes_one_on() -> None:
    picks = Mixture(((BoundaryPairs(0.0), 0.75), (TOP, 0.25))).pick(few_pairs(("f", "c"), ("d", "a")), 4, 0)
    assert picks["reason"].to_list() == ["boundary"] * 2 + ["promising"] * 2


def test_a_part_without_share_picks_nothing() -> None:
    picks = Mixture(((BoundaryPairs(0.0), 1.0), (TOP, 0.0))).pick(few_pairs(("f", "c")), 4, 0)
    assert picks["item_id"].to_list() == ["f", "c"]


def test_parts_draw_by_lots_of_their_own() -> None:
    picks = Mixture(((UniformRandom(), 0.5), (UniformRandom(), 0.5))).pick(topics(40), 20, 0)
    assert picks["inclusion_probability"].to_list() == pytest.approx([10 / 40] * 10 + [10 / 30] * 10)
    assert picks["item_id"].is_unique().all()


@pytest.mark.parametrize("shares", [(), (0.5,), (0.7, 0.7)])
def test_shares_must_add_up(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="they must add up to 1"):
        Mixture(tuple((TOP, share) for share in shares))
    with pytest.raises(ValueError, match="shares.promising: -0.5 is not a share"):
        Mixture(((TOP, -0.5), (NEAR, 1.5)))


def test_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="budget: -2 is too small"):
        Mixture(((TOP, 1.0),)).pick(six(), -2, 0)
