import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.models.label_model.answers import MAX_LEVELS, answers_of, expected_share

NAN = np.nan
VOTES = st.lists(st.one_of(st.just(NAN), st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=80)


def test_few_different_votes_are_answers_of_their_own() -> None:
    answers = answers_of(np.array([1.0, 0.0, 0.25, 0.0, 1.0, 1.0]))
    assert answers.code.tolist() == [2, 0, 1, 0, 2, 2]
    assert answers.counts.tolist() == [2, 1, 3]
    assert answers.centres.tolist() == [0, 0.25, 1]
    assert answers.ranks.tolist() == pytest.approx([1 / 6, 2.5 / 6, 4.5 / 6])
    assert (answers.silent, answers.ranged) == (None, False)


@pytest.mark.parametrize(
    ("votes", "code", "silent"),
    [
        ([1.0, NAN, 0.0], [2, 1, 0], 1),
        ([1.0, NAN, NAN], [1, 0, 0], 0),
        ([0.0, NAN, 0.25], [0, 2, 1], 2),
        ([NAN, NAN, NAN], [0, 0, 0], 0),
    ],
)
def test_no_vote_lies_between_no_and_yes(votes: list[float], code: list[int], silent: int) -> None:
    answers = answers_of(np.array(votes))
    assert answers.code.tolist() == code
    assert answers.silent == silent


def test_scores_are_cut_by_rank_and_finest_at_the_top() -> None:
    scores = np.random.default_rng(0).permutation(10_000) / 10_000
    answers = answers_of(scores)
    assert answers.ranged
    shares = answers.counts / answers.counts.sum()
    np.testing.assert_allclose(shares[[0, -1]], [0.0228, 0.0013], atol=2e-4)
    # The scale of the scores has no say.
    np.testing.assert_array_equal(answers_of(scores**9 / 1e3).code, answers.code)
    assert (np.diff(answers.centres) > 0).all()


@given(VOTES)
@settings(max_examples=200)
def test_answers_are_in_the_order_of_the_votes(given_votes: list[float]) -> None:
    votes = np.array(given_votes)
    answers = answers_of(votes)
    assert answers.counts.sum() == len(votes)
    assert (answers.counts > 0).all()
    assert len(answers.counts) <= MAX_LEVELS + 2
    filled = np.where(np.isnan(votes), np.nextafter(0.5, 0), votes)
    order = np.argsort(filled, kind="stable")
    assert (np.diff(answers.code[order].astype(int)) >= 0).all()
    same = filled[:, None] == filled[None, :]
    assert (answers.code[:, None] == answers.code[None, :])[same].all()
    voted = ~np.isnan(answers.centres)
    assert np.isnan(votes).any() == (answers.silent is not None)
    assert (np.diff(answers.centres[voted]) > 0).all()


def test_what_is_thought_beforehand_rises_and_has_the_prevalence_for_its_mean() -> None:
    answers = answers_of(np.random.default_rng(0).random(5_000))
    share = expected_share(answers, 0.05)
    assert (np.diff(share) > 0).all()
    assert np.average(share, weights=answers.counts) == pytest.approx(0.05)
    flat = expected_share(answers_of(np.full(7, 0.3)), 0.05)
    assert flat.tolist() == pytest.approx([0.05])
