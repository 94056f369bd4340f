import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.core.bootstrap import Resampling
from al_assets.agreement.core.figures import Figure
from al_assets.agreement.raters.rated_items import (
    MAJORITY,
    leave_one_out_majority,
    quality_rows,
    rated_items,
    rater_confusion,
)
from al_assets_tests.support.votes import noisy_votes, votes_frame

NAN = float("nan")
FEW = Resampling(resamples=400)


def _quality(frame: pl.DataFrame, how: Resampling = FEW) -> dict[tuple[str, str], Figure]:
    return {(str(row.slice), row.figure): row for row in quality_rows(rated_items(frame), how)}


def test_the_majority_leaves_out_the_rater_and_ties() -> None:
    votes = np.array([[1, 1, 0, NAN], [1, 0, 0, 0], [NAN, 1, NAN, NAN], [NAN, NAN, NAN, NAN], [1, 1, 0, 0]])
    expected = np.array(
        [[NAN, NAN, 1, 1], [0, 0, 0, 0], [1, NAN, 1, 1], [NAN, NAN, NAN, NAN], [0, 0, 1, 1]], dtype=np.float64
    )
    np.testing.assert_array_equal(leave_one_out_majority(votes), expected)


@settings(max_examples=60)
@given(
    votes=arrays(
        np.float64, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.sampled_from([0.0, 1.0, NAN])
    )
)
def test_the_majority_equals_a_plain_count(votes: NDArray[np.float64]) -> None:
    found = leave_one_out_majority(votes)
    for item, rater in np.ndindex(*votes.shape):
        others = np.delete(votes[item], rater)
        positive, negative = int((others == 1).sum()), int((others == 0).sum())
        expected = NAN if positive == negative else float(positive > negative)
        np.testing.assert_equal(found[item, rater], expected)


def test_the_confusion_of_each_rater_with_the_others() -> None:
    votes = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0], [NAN, 1, 1], [NAN, 0, NAN]])
    frame = votes_frame(votes, raters=["zoe", "ann", "bob"], undecided=[(5, 0)])
    found = rater_confusion(frame)
    assert found["rater"].to_list() == ["ann", "bob", "zoe"]
    zoe = found.row(2, named=True)
    # The others of zoe agree on items 0, 3, 4 and 5 only, and on item 5 zoe could not decide.
    assert zoe == {
        "rater": "zoe", "answers": 6, "undecided": 1, "positive": 3, "negative": 2, "compared": 3,
        "both_positive": 1, "only_rater_positive": 1, "only_others_positive": 0, "both_negative": 1,
        "sensitivity": 1.0, "specificity": 0.5,
    }  # fmt: skip
    strict = rater_confusion(votes_frame(np.zeros((3, 2))))
    assert strict["sensitivity"].to_list() == [None, None]
    assert strict["specificity"].to_list() == [1, 1]


def test_shares_bias_and_drift_of_a_rater() -> None:
    votes = noisy_votes(0, items=200, raters=3)
    # From the third iteration on, the first rater says positive to everything the others call negative half the time.
    lenient = (np.arange(200) >= 100) & (np.random.default_rng(1).random(200) < 0.5)
    votes[lenient, 0] = 1
    votes[:10, 1] = NAN
    iteration = [f"{item // 50:04d}" for item in range(200)]
    frame = votes_frame(votes, iteration=iteration, undecided=[(item, 1) for item in range(10)])
    found = _quality(frame)
    assert found["r1", "undecided_share"].estimate == pytest.approx(10 / 200)
    assert found["r1", "positive_share"].estimate == pytest.approx(np.nanmean(votes[:, 1]))
    assert (found["r1", "undecided_share"].items, found["r1", "positive_share"].items) == (200, 190)
    majority = leave_one_out_majority(votes)[:, 0]
    known = ~np.isnan(majority)
    late = np.arange(200) >= 100
    bias = [float((votes[part & known, 0] - majority[part & known]).mean()) for part in (~late, late)]
    assert found["r0", "signed_bias"].estimate == pytest.approx(float((votes[known, 0] - majority[known]).mean()))
    assert found["r0", "signed_bias_drift"].estimate == pytest.approx(bias[1] - bias[0])
    kappas = [cohen_kappa_score(votes[part & known, 0], majority[part & known]) for part in (~late, late)]
    assert found["r0", "kappa_drift"].estimate == pytest.approx(kappas[1] - kappas[0])
    low, high = found["r0", "signed_bias_drift"].low, found["r0", "kappa_drift"].high
    assert low is not None
    assert low > 0.1
    assert high is not None
    assert high < 0
    steady = found["r2", "signed_bias_drift"]
    assert steady.low is not None
    assert steady.high is not None
    assert steady.low < 0.1


def test_iterations_are_divided_where_they_come_nearest_to_halves() -> None:
    votes = noisy_votes(2, items=120, raters=2, error=0.1)
    # Two raters: each is the other's majority. 80 items in the first iteration, 20 in each later one.
    iteration = ["0000"] * 80 + ["0001"] * 20 + ["0002"] * 20
    found = _quality(votes_frame(votes, iteration=iteration))
    signed = votes[:, 0] - votes[:, 1]
    assert found["r0", "signed_bias_drift"].estimate == pytest.approx(signed[80:].mean() - signed[:80].mean())
    assert found["r1", "signed_bias_drift"].estimate == pytest.approx(signed[:80].mean() - signed[80:].mean())


def test_an_undecided_share_of_none_still_has_an_upper_end() -> None:
    row = _quality(votes_frame(noisy_votes(0, items=100, raters=2)))["r0", "undecided_share"]
    assert (row.estimate, row.low) == (0, 0)
    assert row.high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_a_drift_is_not_read_from_one_iteration_or_from_few_items() -> None:
    votes = noisy_votes(3, items=60, raters=2)
    one = _quality(votes_frame(votes))["r0", "kappa_drift"]
    assert (one.estimate, one.detail) == (
        None,
        "a drift takes answers from two iterations on items where the others have a majority",
    )
    few = _quality(votes_frame(votes, iteration=["0000"] * 56 + ["0001"] * 4))["r0", "signed_bias_drift"]
    assert few.estimate is not None
    assert (few.low, few.detail) == (None, "no interval: 4 independent groups; it takes at least 10")
    votes[30:] = 0
    flat = _quality(votes_frame(votes, iteration=["0000"] * 30 + ["0001"] * 30))["r0", "kappa_drift"]
    assert (flat.estimate, flat.detail) == (None, "kappa is undefined in one of the halves: one label only")
    assert flat.against == MAJORITY


def test_the_drift_of_steady_raters_covers_zero_as_often_as_it_says() -> None:
    inside = []
    for seed in range(60):
        votes = noisy_votes(seed, items=160, raters=3)
        found = _quality(votes_frame(votes, iteration=["0000"] * 80 + ["0001"] * 80), Resampling(200, seed))
        for rater in ("r0", "r1", "r2"):
            row = found[rater, "signed_bias_drift"]
            assert row.low is not None
            assert row.high is not None
            inside.append(row.low <= 0 <= row.high)
    # 180 intervals, three to a simulation: 95 % give or take 2.6 standard errors.
    assert 0.90 <= np.mean(inside) <= 0.99
