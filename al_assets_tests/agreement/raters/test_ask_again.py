import numpy as np
import polars as pl
import pytest
from cleanlab.multiannotator import get_label_quality_multiannotator
from numpy.typing import NDArray

from al_assets.agreement.raters.ask_again import crowdlab_quality, votes_to_ask_again
from al_assets.tables import ASK_AGAIN
from al_assets_tests.support.votes import noisy_votes, votes_frame


def _scores(positive: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{item:05d}" for item in range(len(positive))], "p_positive": positive})


def _split(items: int, *, teaches: bool = True) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{item:05d}" for item in range(items)], "teaches": [teaches] * items})


@pytest.mark.parametrize("seed", range(40))
def test_the_quality_of_votes_equals_cleanlab(seed: int) -> None:
    generator = np.random.default_rng(seed)
    votes = noisy_votes(
        seed,
        items=int(generator.integers(5, 80)),
        raters=int(generator.integers(2, 6)),
        error=generator.uniform(0, 0.35),
        missing=generator.uniform(0, 0.6),
        prevalence=generator.uniform(0.1, 0.6),
    )
    votes = votes[~np.isnan(votes).all(axis=1)]
    votes = votes[:, ~np.isnan(votes).all(axis=0)]
    positive = generator.random(len(votes))
    expected = get_label_quality_multiannotator(votes, np.stack([1 - positive, positive], axis=1), verbose=False)
    np.testing.assert_allclose(crowdlab_quality(votes, positive), expected["detailed_label_quality"], atol=1e-9)


def test_planted_wrong_votes_are_found() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(300) < 0.3
    votes = np.repeat(truth[:, None], 4, axis=1).astype(np.float64)
    wrong = generator.choice(300, 30, replace=False)
    votes[wrong, wrong % 4] = 1 - votes[wrong, wrong % 4]
    positive = np.clip(np.where(truth, 0.7, 0.3) + 0.15 * generator.normal(size=300), 0, 1)
    found = votes_to_ask_again(votes_frame(votes), _scores(positive), _split(300), max_quality=1, limit=30).listed
    planted = {(f"i{item:05d}", f"r{item % 4}") for item in wrong}
    listed = found.select("item_id", "rater").rows()
    assert len(planted & set(listed)) == 30
    assert found["quality"].is_sorted()
    first = found.row(0, named=True)
    opposite = "negative" if first["label"] == "positive" else "positive"
    score = positive[int(first["item_id"][1:])]
    assert first["why"] == f"3 of 3 other raters said {opposite}; the model gives positive {score:.2f}"


def test_while_no_item_has_two_votes_the_model_alone_is_asked() -> None:
    votes = np.array([[1.0, np.nan], [np.nan, 0.0], [0.0, np.nan], [np.nan, np.nan]])
    frame = votes_frame(votes, undecided=[(3, 0)])
    found = votes_to_ask_again(frame, _scores(np.array([0.1, 0.2, 0.6])), _split(3)).listed
    assert found.drop("why").rows() == [("i00000", "r0", "positive", 0.1), ("i00002", "r0", "negative", 0.4)]
    assert found["why"][0] == "no other rater gave a label; the model gives positive 0.10"


def test_ties_are_settled_without_chance() -> None:
    votes = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    positive = np.array([0.5, 0.5, 0.5, 0.5, 0.5])
    state = np.random.get_state()  # noqa: NPY002 - what cleanlab would draw from
    first, again = crowdlab_quality(votes, positive), crowdlab_quality(votes, positive)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_equal(np.random.get_state(), state)  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 2, 7, 8, 9, 12, 14, 17, 19])
def test_what_votes_and_model_leave_tied_takes_the_rarer_label_as_in_cleanlab(seed: int) -> None:
    generator = np.random.default_rng(seed)
    votes = (generator.random((30, 3)) < 0.35).astype(np.float64)
    votes[generator.random(30) < 0.7, 0] = np.nan
    tied = np.nansum(2 * votes - 1, axis=1) == 0
    assert tied.sum() >= 4
    positive = np.where(tied, 0.5, generator.random(30))
    expected = get_label_quality_multiannotator(votes, np.stack([1 - positive, positive], axis=1), verbose=False)
    np.testing.assert_allclose(crowdlab_quality(votes, positive), expected["detailed_label_quality"], atol=1e-9)


def test_raters_who_never_meet_another_are_no_obstacle() -> None:
    votes = np.full((12, 4), np.nan)
    votes[:5, 0], votes[:5, 1] = 1, [1, 1, 1, 1, 0]
    votes[5:, 2] = 0
    found = crowdlab_quality(votes, np.linspace(0.9, 0.1, 12))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(votes))
    assert ((found >= 0) & (found <= 1))[~np.isnan(found)].all()


def test_items_without_a_score_are_refused() -> None:
    frame = votes_frame(noisy_votes(0, items=4))
    with pytest.raises(ValueError, match=r"scores.p_positive: 1 of 4 items .* such as 'i00003'"):
        votes_to_ask_again(frame, _scores(np.array([0.1, 0.2, 0.3])), _split(4))
    with pytest.raises(ValueError, match=r"scores.p_positive: 1 of 4 items .* such as 'i00001'"):
        votes_to_ask_again(frame, _scores(np.array([0.1, np.nan, 0.3, 0.2])), _split(4))
    with pytest.raises(ValueError, match=r"scores.p_positive: 1 of 4"):
        votes_to_ask_again(frame, _scores(np.array([0.1, 1.5, 0.3, 0.2])), _split(4))
    with pytest.raises(ValueError, match="scores: columns p_positive are missing"):
        votes_to_ask_again(frame, _scores(np.zeros(4)).drop("p_positive"), _split(4))
    with pytest.raises(ValueError, match="scores: an item_id is repeated"):
        votes_to_ask_again(frame, pl.concat([_scores(np.zeros(4))] * 2), _split(4))


def test_without_votes_nothing_is_asked_again() -> None:
    found = votes_to_ask_again(votes_frame(np.empty((0, 2))), _scores(np.zeros(1)), _split(1))
    assert found.listed.schema == ASK_AGAIN.schema
    assert (found.listed.height, found.held_out) == (0, 0)


def test_held_out_items_are_counted_and_never_listed() -> None:
    votes, positive = noisy_votes(3, items=90), np.random.default_rng(3).random(90)
    everything = votes_to_ask_again(votes_frame(votes), _scores(positive), _split(90))
    assert everything.held_out == 0
    split = pl.concat([_split(40), _split(90, teaches=False)[40:]])
    found = votes_to_ask_again(votes_frame(votes), _scores(positive), split)
    assert found.held_out > 0
    assert found.listed.height + found.held_out == everything.listed.height
    assert found.listed.equals(everything.listed.filter(pl.col("item_id") < "i00040"))
    with pytest.raises(ValueError, match=r"all 90 items with votes and a score are held out .* calibration.folds"):
        votes_to_ask_again(votes_frame(votes), _scores(positive), _split(90, teaches=False))
    unknown = votes_to_ask_again(votes_frame(votes), _scores(positive), _split(40))
    assert unknown.listed.equals(found.listed)
    assert unknown.held_out == 0


def test_what_was_corrected_is_judged_by_the_answer_of_now() -> None:
    votes = np.repeat((np.arange(40) % 2)[:, None], 3, axis=1).astype(np.float64)
    first = votes_frame(votes).with_columns(first_label=pl.lit("negative"))
    scores = _scores(np.where(votes[:, 0] == 1, 0.9, 0.1))
    assert votes_to_ask_again(first, scores, _split(40)).listed.is_empty()
