import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_assets.curation.strategies.base import (
    PICKS,
    SHORT_LIST,
    Candidates,
    Ranked,
    draw_from_ranking,
    draw_order,
    ranked_for,
    short_list,
)
from al_assets.curation.strategies.by_score import TopScored
from al_assets_tests.support.pools import six

shares = st.sampled_from([0.0, 0.1, 0.5, 0.75, 1.0])


@given(st.integers(0, 40), st.integers(0, 30), shares, st.integers(0, 5))
def test_as_many_are_drawn_as_there_are(ranked: int, budget: int, exploration: float, seed: int) -> None:
    places, chances = draw_from_ranking(ranked, budget, exploration, seed)
    assert len(places) == len(chances) == min(budget, ranked)
    assert (np.diff(places) > 0).all()
    assert ((places >= 0) & (places < ranked)).all()
    assert ((chances > 0) & (chances <= 1)).all()
    certain, _ = short_list(ranked, budget, exploration)
    assert places[:certain].tolist() == list(range(certain))
    assert sorted(draw_order(ranked, budget, exploration, seed)) == list(range(ranked))


@given(st.integers(0, 30), shares, st.integers(0, 5), st.lists(st.booleans(), max_size=60))
def test_what_is_not_free_is_not_drawn(budget: int, exploration: float, seed: int, free: list[bool]) -> None:
    may = np.array(free, dtype=np.bool_)
    places, chances = draw_from_ranking(len(free), budget, exploration, seed, may)
    assert len(places) == min(budget, sum(free))
    assert may[places].all()
    assert ((chances > 0) & (chances <= 1)).all()


@pytest.mark.parametrize(
    ("ranked", "budget", "exploration", "taken"), [(40, 8, 0.5, ()), (13, 8, 0.5, ()), (40, 8, 0.5, (1, 2, 6, 30))]
)
def test_chances_are_those_of_the_draw(ranked: int, budget: int, exploration: float, taken: tuple[int, ...]) -> None:
    times = 4_000
    free = ~np.isin(np.arange(ranked), taken)
    counts, told = np.zeros(ranked), np.zeros(ranked)
    for seed in range(times):
        places, chances = draw_from_ranking(ranked, budget, exploration, seed, free)
        counts[places] += 1
        told[places] = chances
    # Five standard deviations of a binomial, and exactly none where the draw is certain.
    spread = 5 * np.sqrt(times * told * (1 - told))
    assert (np.abs(counts - times * told) <= spread + 1e-6).all()
    # Every item of the head and the short list was seen, so what is told is complete.
    assert told.sum() == pytest.approx(budget)


def test_weighted_picks_speak_for_the_head_and_the_short_list() -> None:
    values = np.random.default_rng(0).random(100)
    certain, listed = short_list(100, 20, 0.5)
    assert (certain, listed) == (10, 10 * SHORT_LIST)
    sums = []
    for seed in range(2_000):
        places, chances = draw_from_ranking(100, 20, 0.5, seed)
        sums.append((values[places] / chances).sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - values[: certain + listed].sum()) < 4 * error


def test_worked_example() -> None:
    assert short_list(100, 10, 0.3) == (7, 12)
    assert ranked_for(10, 0.3) == 19
    places, chances = draw_from_ranking(100, 10, 0.3, 0)
    assert chances.tolist() == [1.0] * 7 + [0.25] * 3
    assert places.max() < 19
    assert draw_from_ranking(5, 3, 0.0, 0)[0].tolist() == [0, 1, 2]


def test_ranked_tells_rank_and_chance() -> None:
    picks = Ranked(TopScored(), exploration=0.5).pick(six(), 2, 0)
    assert picks.schema == PICKS
    assert picks["item_id"][0] == "b"
    assert picks["rank"].to_list()[0] == 0
    assert picks["inclusion_probability"].to_list() == [1.0, 0.25]
    assert picks["reason"].to_list() == ["promising"] * 2
    assert Ranked(TopScored(), exploration=0.0).pick(six(), 3, 0)["item_id"].to_list() == ["b", "d", "f"]


def test_budget_and_exploration_out_of_range() -> None:
    with pytest.raises(ValueError, match="budget: -2 is too small"):
        Ranked(TopScored()).pick(six(), -2, 0)
    with pytest.raises(ValueError, match="exploration: 1.5 is not a share"):
        Ranked(TopScored(), exploration=1.5).pick(six(), 2, 0)


def test_candidates_are_checked() -> None:
    with pytest.raises(ValueError, match="scores: 2 of 3 are NaN or outside"):
        Candidates(pl.Series(list("abc")), np.array([np.nan, 1.5, 0.5]), np.array([True, True, False]))
    with pytest.raises(ValueError, match="labels: 2 rows for 6 items"):
        six(labels=np.zeros(2))
    with pytest.raises(ValueError, match="vectors: none given, and the strategy 'badge' looks at them"):
        six().required_vectors("badge")


def test_open_and_labelled_rows() -> None:
    candidates = six(
        labels=np.array([np.nan, 1, np.nan, np.nan, 0, np.nan]), free=np.array([True, True, True, False, True, True])
    )
    assert candidates.open_rows.tolist() == [0, 2, 5]
    assert candidates.labelled_rows.tolist() == [1, 4]
    assert six().open_rows.tolist() == list(range(6))
    assert six().labelled_rows.tolist() == []
