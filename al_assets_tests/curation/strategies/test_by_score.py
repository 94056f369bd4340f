import numpy as np
import polars as pl
import pytest

from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.by_score import (
    Disagreement,
    Entropy,
    Margin,
    TopScored,
    UniformRandom,
    implied_threshold,
    uncertainty,
)
from al_assets_tests.support.pools import six


def test_top_scored_takes_the_highest() -> None:
    assert TopScored().rank(six(), 3, 0).tolist() == [1, 3, 5]


def test_margin_takes_the_nearest_to_the_threshold_and_entropy_to_one_half() -> None:
    scores = np.array([0.05, 0.18, 0.24, 0.5, 0.9])
    candidates = Candidates(pl.Series("item_id", list("abcde")), scores, scores >= 0.2)
    assert implied_threshold(scores, scores >= 0.2) == pytest.approx(0.21)
    # Both are as near, the threshold being half-way between them.
    assert set(Margin().rank(candidates, 2, 0)) == {1, 2}
    assert Entropy().rank(candidates, 2, 0).tolist() == [3, 2]


def test_threshold_of_one_label_is_the_item_nearest_to_changing_it() -> None:
    assert implied_threshold(np.array([0.1, 0.9]), np.array([False, True])) == pytest.approx(0.5)
    assert implied_threshold(np.array([0.1, 0.3]), np.array([False, False])) == 0.3
    assert implied_threshold(np.array([0.6, 0.7]), np.array([True, True])) == 0.6
    assert np.isnan(implied_threshold(np.zeros(0), np.zeros(0, dtype=bool)))


def test_disagreement_takes_the_largest_and_needs_several_labelers() -> None:
    assert Disagreement().rank(six(disagreement=np.array([0.1, 0.0, 0.9, 0.3, 0.2, 0.0])), 2, 0).tolist() == [2, 3]
    with pytest.raises(ValueError, match="one labeler alone cannot disagree"):
        Disagreement().rank(six(), 2, 0)


def test_random_is_uniform() -> None:
    counts = dict.fromkeys("abcdef", 0)
    for seed in range(3_000):
        picked = UniformRandom().pick(six(), 2, seed)
        for item in picked["item_id"]:
            counts[item] += 1
    assert picked["inclusion_probability"].to_list() == pytest.approx([1 / 3, 1 / 3])
    # Six standard deviations of a binomial with 3,000 trials.
    assert all(abs(count - 1_000) < 155 for count in counts.values())


def test_ties_are_drawn_by_lot() -> None:
    scores = np.full(30, 0.5)
    candidates = Candidates(pl.Series("item_id", [str(row) for row in range(30)]), scores, scores >= 0.5)
    assert len({tuple(TopScored().rank(candidates, 5, seed)) for seed in range(5)}) == 5


def test_uncertainty_is_one_at_the_threshold_and_zero_at_the_ends() -> None:
    scores = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    candidates = Candidates(pl.Series("item_id", list("abcde")), scores, np.array([False, False, True, True, True]))
    # The threshold is .15.
    assert uncertainty(candidates) == pytest.approx([0, 2 / 3, 0.8 / 0.85, 0.4 / 0.85, 0])
    for label in (False, True):
        end = Candidates(pl.Series("item_id", ["a", "b"]), np.full(2, float(label)), np.full(2, label))
        assert uncertainty(end).tolist() == [1, 1]
