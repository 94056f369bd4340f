from itertools import combinations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.demo import vader


@pytest.fixture(scope="module")
def texts() -> pl.DataFrame:
    return vader.load_texts()


def mean_expert_kappa(votes: np.ndarray) -> float:
    return float(np.mean([cohen_kappa_score(votes[:, i], votes[:, j]) for i, j in combinations(range(3), 2)]))


def test_texts_are_complete_and_clean(texts: pl.DataFrame) -> None:
    assert dict(texts["source"].value_counts().iter_rows()) == {"tweet": 4_200, "product_review": 3_708}
    assert texts["item_id"].n_unique() == texts.height
    assert (texts["ratings"].list.len() >= 20).all()
    everything = pl.Series([rating for ratings in texts["ratings"].to_list() for rating in ratings])
    assert everything.is_between(-4, 4).all()
    assert not texts["text"].str.contains("&amp;|\ufeff|\t").any()
    assert (texts["text"].str.len_chars() > 0).all()
    assert texts.row(1) == ("tweet-2", "Yay. Another good phone interview.", "tweet", texts["ratings"][1].to_list())


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match="sources: 'tweets' is unknown; the sources are tweet, "):
        vader.load_texts(["tweets"])
    assert vader.load_texts([]).schema == vader.SCHEMA


@pytest.mark.parametrize(
    ("source", "prevalence", "experts", "crowd"),
    [("tweet", 0.138, 0.76, 0.64), ("product_review", 0.157, 0.76, 0.66), ("editorial", 0.08, 0.48, 0.35)],
)
def test_experts_agree_as_measured_before(source: str, prevalence: float, experts: float, crowd: float) -> None:
    ratings = vader.load_texts([source])["ratings"].to_list()
    votes = vader.simulate_experts(ratings)
    worker = vader.simulate_crowd(ratings)
    assert votes.mean() == pytest.approx(prevalence, abs=0.01)
    assert mean_expert_kappa(votes) == pytest.approx(experts, abs=0.03)
    with_expert = [cohen_kappa_score(worker[:, 0], votes[:, expert]) for expert in range(3)]
    assert np.mean(with_expert) == pytest.approx(crowd, abs=0.03)


def test_a_vote_depends_on_seed_and_ratings_alone(texts: pl.DataFrame) -> None:
    ratings = texts["ratings"][:200].to_list()
    votes = vader.simulate_experts(ratings, seed=3)
    assert np.array_equal(vader.simulate_experts(ratings[::-1], seed=3)[::-1], votes)
    assert np.array_equal(vader.simulate_experts(ratings[50:60], seed=3), votes[50:60])
    assert not np.array_equal(vader.simulate_experts(ratings, seed=4), votes)


def test_experts_use_disjoint_raters_and_the_median() -> None:
    # Nine of fifteen say -3: some expert must have at least three of them, and the votes are medians of five each.
    ratings = [-3.0] * 9 + [2.0] * 6
    for seed in range(20):
        votes = vader.simulate_experts([ratings], seed=seed)[0]
        assert votes.sum() in (1, 2, 3)
        pooled = vader.simulate_experts([ratings], experts=15, raters_per_expert=1, seed=seed)[0]
        assert pooled.sum() == 9
        assert votes.tolist() == (pooled.reshape(3, 5).sum(axis=1) >= 3).tolist()


def test_the_crowd_does_not_reuse_the_experts_raters() -> None:
    ratings = [-3.0] * 8 + [2.0] * 8
    experts = vader.simulate_experts([ratings], experts=15, raters_per_expert=1, seed=1)[0]
    assert experts.sum() + vader.simulate_crowd([ratings], seed=1)[0].sum() == 8


def test_too_few_ratings_give_no_vote() -> None:
    votes = vader.simulate_experts([[-3.0] * 12])
    assert votes[0, :2].tolist() == [1, 1]
    assert np.isnan(votes[0, 2])
    assert np.isnan(vader.simulate_crowd([[-3.0] * 15])).all()
    assert vader.simulate_experts([]).shape == (0, 3)


@pytest.mark.parametrize("name", ["experts", "raters_per_expert"])
def test_a_count_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: 0 is too few"):
        vader.simulate_experts([[1.0]], **{name: 0})
    with pytest.raises(ValueError, match="skip: -1 is negative"):
        vader.simulate_crowd([[1.0]], skip=-1)


def test_majority_is_nan_where_tied_or_empty() -> None:
    nan = np.nan
    votes = np.array([[1, 1, 0], [0, 0, 1], [1, 0, nan], [nan, nan, nan], [1, nan, nan]])
    assert np.array_equal(vader.majority(votes), [1, 0, nan, nan, 1], equal_nan=True)


def test_a_sample_is_random_but_repeatable(texts: pl.DataFrame) -> None:
    sample = vader.sample_pool(texts, 1_000, seed=5)
    assert sample["item_id"].n_unique() == 1_000
    assert sample.equals(vader.sample_pool(texts, 1_000, seed=5))
    assert not sample.equals(vader.sample_pool(texts, 1_000, seed=6))
    assert vader.sample_pool(texts, 99_999).height == texts.height
