from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtri

from al_assets.curation.checks import CurationError
from al_assets.curation.queue.cold_start import (
    MOST_PROMISING,
    PRIOR_SLOPE,
    ColdStartEvidence,
    gather_evidence,
    normal_score,
    positive_curve,
    promising_share,
)
from al_assets.curation.strategies.base import Candidates

POOL = np.linspace(0.001, 0.999, 1_000)
NO_LABELS = np.zeros(0)


def _evidence(
    labelled: NDArray[np.float64] = NO_LABELS, labels: NDArray[np.float64] = NO_LABELS, prevalence: float = 0.05
) -> ColdStartEvidence:
    threshold = 1 - prevalence
    # Members of pairs lie on both sides of the threshold.
    pairs = np.concatenate([np.linspace(threshold, 0.999, 20), np.linspace(threshold - 0.2, threshold, 20)])
    return ColdStartEvidence(POOL, pairs, POOL[-40:], labelled, labels, prevalence)


def _labels_of(auc_slope: float, items: int, prevalence: float, seed: int = 0) -> ColdStartEvidence:
    """Labels drawn from a curve of that slope, at random places of the pool."""
    rng = np.random.default_rng(seed)
    z = normal_score(POOL, POOL)
    level = brentq(lambda at: float(expit(at + auc_slope * z).mean()) - prevalence, -50, 50)
    chance = expit(level + auc_slope * z)
    chosen = rng.choice(len(POOL), items)
    return _evidence(POOL[chosen], (rng.random(items) < chance[chosen]).astype(np.float64), prevalence)


def test_before_any_label_a_rare_class_gets_half_promising() -> None:
    found = promising_share(_evidence(), target=0.4)
    assert found.share == MOST_PROMISING
    assert found.expected_pairs is not None
    assert found.expected_promising is not None
    assert 0.05 < found.expected_pairs < found.expected_promising < 0.4
    assert found.why.startswith("Before any label, pairs are expected to be")


def test_a_labeler_that_is_right_gets_pairs_alone() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(300)
    found = promising_share(_evidence(scores, (scores > 0.75).astype(np.float64), 0.25), target=0.4)
    assert found.share == 0
    assert found.expected_pairs is not None
    assert found.expected_pairs >= 0.4
    assert "pairs reach the target of 40 %" in found.why


def test_a_labeler_seen_not_to_rank_gets_pairs_alone() -> None:
    # All positives lie at the lower end of the scores.
    found = promising_share(_evidence(POOL[::5], (POOL[::5] < 0.1).astype(np.float64)), target=0.4)
    assert found.share == 0
    assert positive_curve(_evidence(POOL[::5], (POOL[::5] < 0.1).astype(np.float64))).slope < 0
    assert "no more than pairs do" in found.why


def test_between_the_two_the_share_reaches_the_target_exactly() -> None:
    evidence = _labels_of(1.2, 2_000, 0.25)
    found = promising_share(evidence, target=0.45)
    assert 0 < found.share < MOST_PROMISING
    assert found.expected_pairs is not None
    assert found.expected_promising is not None
    mixed = (1 - found.share) * found.expected_pairs + found.share * found.expected_promising
    assert mixed == pytest.approx(0.45)
    assert f"{100 * found.share:.0f} % promising items bring the share to the target of 45 %" in found.why


def test_the_share_falls_as_the_labeler_improves() -> None:
    shares = [promising_share(_labels_of(slope, 4_000, 0.25), target=0.45).share for slope in (0.4, 1.4, 2.0, 5.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == MOST_PROMISING
    assert shares[-1] == 0


def test_the_curve_is_the_maximum_likelihood_of_a_library() -> None:
    from sklearn.linear_model import LogisticRegression

    evidence = _labels_of(1.0, 400, 0.25)
    found = positive_curve(evidence)
    # The assumption alone: without labels the curve is a labeler of that slope and of the expected prevalence.
    alone = positive_curve(_evidence(prevalence=0.25))
    assert alone.slope == pytest.approx(PRIOR_SLOPE)
    assert alone.probability(POOL).mean() == pytest.approx(0.25, abs=0.01)
    assumed = ndtri((np.arange(30) + 0.5) / 30)
    chance = expit(alone.intercept + PRIOR_SLOPE * assumed)
    place = np.concatenate([normal_score(POOL, evidence.labelled), assumed, assumed])[:, None]
    answer = np.concatenate([evidence.labels, np.ones(30), np.zeros(30)])
    weight = np.concatenate([np.ones(400), chance, 1 - chance])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1_000)
    model.fit(place, answer, sample_weight=weight)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-5)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60),
    st.floats(0.001, 0.999),
    st.floats(0, 1),
    st.sampled_from([POOL, np.full(5, 0.3), np.array([0.5])]),
)
def test_any_evidence_gives_a_share_and_a_reason(
    known: list[tuple[float, float]], prevalence: float, target: float, pool: NDArray[np.float64]
) -> None:
    scores, labels = np.array(known, dtype=np.float64).reshape(-1, 2).T
    evidence = ColdStartEvidence(pool, pool[:3], pool[-3:], scores, labels, prevalence)
    found = promising_share(evidence, target)
    assert 0 <= found.share <= MOST_PROMISING
    assert found.expected_pairs is not None
    assert 0 <= found.expected_pairs <= 1
    assert found.why.count("\n") == 0
    # A stationary point of the likelihood: Newton's method came to its end.
    curve = positive_curve(evidence)
    assert np.isfinite([curve.intercept, curve.slope]).all()


@given(st.floats(0.05, 20), st.floats(0, 0.5))
def test_only_the_order_of_scores_counts(power: float, least: float) -> None:
    evidence = _labels_of(1.2, 100, 0.25)
    moved = replace(
        evidence,
        **{
            name: least + (1 - least) * getattr(evidence, name) ** power
            for name in ("scores", "pairs", "promising", "labelled")
        },
    )
    if len(np.unique(moved.scores)) == len(moved.scores):
        assert promising_share(moved, 0.5).share == pytest.approx(promising_share(evidence, 0.5).share)


def test_what_is_missing_is_said() -> None:
    nothing = np.zeros(0)
    without_pairs = promising_share(replace(_evidence(), pairs=nothing), 0.4)
    assert (without_pairs.share, without_pairs.expected_pairs) == (MOST_PROMISING, None)
    assert "there are no pairs" in without_pairs.why
    without_top = promising_share(replace(_evidence(), promising=nothing), 0.4)
    assert (without_top.share, without_top.expected_promising) == (0, None)
    assert promising_share(_evidence(), 0.0).share == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected_prevalence": 0.0}, "expected_prevalence: 0.0"),
        ({"labels": np.ones(1)}, r"labels: shape \(1,\)"),
        ({"pairs": np.array([np.nan, 0.5])}, "pairs: 1 of 2 are NaN"),
        ({"scores": np.zeros(0)}, "scores: items: 0 is too small"),
        ({"labelled": np.ones(1), "labels": np.full(1, 2.0)}, r"labels: some are outside \[0, 1\]"),
    ],
)
def test_wrong_evidence_is_refused(change: dict[str, float | NDArray[np.float64]], message: str) -> None:
    with pytest.raises(CurationError, match=message):
        replace(_evidence(), **change)  # type: ignore[arg-type]


def test_evidence_is_what_either_choice_would_pick() -> None:
    scores = np.arange(20) / 20
    ids = pl.Series("item_id", [f"i{row:02d}" for row in range(20)])
    pairs = pl.DataFrame(
        {
            "pair_id": ["i15|i14", "i16|i13", "i17|i12"],
            "positive_item": ["i15", "i16", "i17"],
            "negative_item": ["i14", "i13", "i12"],
            "rank": [0, 1, 2],
        }
    )
    free = np.ones(20, dtype=np.bool_)
    free[[19, 16]] = False
    labels = np.full(20, np.nan)
    labels[[3, 16]] = 0, 1
    candidates = Candidates(ids, scores, scores >= 0.75, free=free, pairs=pairs)
    found = gather_evidence(candidates, labels, budget=4, expected_prevalence=0.2, exploration=0.0)
    assert sorted(found.pairs) == sorted(scores[[15, 14, 17, 12]])
    assert sorted(found.promising) == sorted(scores[[18, 17, 15, 14]])
    assert found.labelled.tolist() == scores[[3, 16]].tolist()
    assert found.labels.tolist() == [0, 1]
    with pytest.raises(CurationError, match=r"labels: shape \(3,\) for 20 items"):
        gather_evidence(candidates, labels[:3], budget=4, expected_prevalence=0.2)
