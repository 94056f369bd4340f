import polars as pl
import pytest

from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.report.inputs import asked_items, completed

VOTES = pl.DataFrame(
    {"item_id": ["a", "a", "b"], "rater": ["r", "s", "r"], "label": ["positive", "negative", "positive"]}
)
SCORES = pl.DataFrame({"item_id": ["a", "b", "c"], "p_student": [0.9, 0.2, 0.1]})


def test_votes_and_scores_alone_are_a_simple_random_sample_held_out() -> None:
    votes, split, scores = completed(VOTES, None, SCORES)
    assert split.sort("item_id").rows(named=True) == [
        {"item_id": item, "reason": "control", "iteration": "0000", "split": "evaluation"} for item in "ab"
    ]
    assert scores["role"].to_list() == ["evaluation", "evaluation", "stop_set"]
    assert scores["p_incumbent"].null_count() == scores["incumbent_label"].null_count() == 3
    asked = asked_items(votes)
    assert asked["item_id"].to_list() == ["a", "b"]
    sample = pool_design(asked).sample(
        asked["item_id"].to_numpy().astype(str), asked["item_id"].is_not_null().to_numpy()
    )
    assert sample.weights.tolist() == [1.0, 1.0]


def test_what_is_known_stays() -> None:
    votes = VOTES.with_columns(iteration=pl.lit("0002"), reason=pl.lit("audit"))
    split = pl.DataFrame({"item_id": ["a"], "split": ["fine-tuning"], "reason": ["audit"], "iteration": ["0002"]})
    scores = SCORES.with_columns(role=pl.lit("stop_set"), p_incumbent=pl.lit(0.5), incumbent_label=pl.lit(value=True))
    found = completed(votes, split, scores)
    assert found[0]["iteration"].unique().to_list() == ["0002"]
    assert found[1].equals(split)
    assert found[2].equals(scores)


def test_a_stratum_without_a_chance_is_no_simple_random_sample() -> None:
    votes = completed(VOTES, None, SCORES)[0].with_columns(stratum=pl.lit("score 1/2"))
    with pytest.raises(ValueError, match="inclusion_probability: 2 of 2 random items have none"):
        pool_design(asked_items(votes))
