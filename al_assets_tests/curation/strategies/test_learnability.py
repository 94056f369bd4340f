from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.curation.strategies.learnability import (
    Learnability,
    learnability,
    sample_jointly,
)
from al_assets_tests.support.pools import on_circle, plain, topics


def softmax_chance(logits: NDArray[np.float64], draws: tuple[int, ...]) -> float:
    """The exact chance of drawing those, one after the other without replacement."""
    left = np.exp(logits - logits[np.isfinite(logits)].max())
    chance = 1.0
    for draw in draws:
        chance *= left[draw] / left.sum()
        left[draw] = 0
    return chance


def test_worked_example() -> None:
    student, reference = np.array([0.1, 0.9, 0.5, 0.2]), np.array([0.8, 0.9, 0.5, np.nan])
    found = learnability(student, reference)
    assert found[:3] == pytest.approx([np.log(0.8 / 0.1), 0, 0])
    assert np.isnan(found[3])
    # Scores of 0 and 1 are finite losses.
    assert np.isfinite(learnability(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()


def test_order_is_that_of_the_loss_and_the_unsure_come_last() -> None:
    #               new and learnable, learnt, hard for both, student knows better, unknown, most learnable but unsure
    scores = [0.3, 0.9, 0.5, 0.99, 0.5, 0.01]
    reference = np.array([0.9, 0.9, 0.55, 0.8, np.nan, 0.6])
    candidates = plain(on_circle(0, 10, 20, 30, 40, 50), scores, reference=reference)
    assert Learnability().rank(candidates, 6, 0).tolist() == [0, 1, 3, 5, 2, 4]
    assert Learnability(confidence=0.5).rank(candidates, 2, 0).tolist() == [5, 0]


def test_a_reference_is_learnt_from_labels() -> None:
    candidates = topics(400, labels=120, reference=None)
    found = Learnability().rank(candidates, 30, 0)
    assert set(found) <= set(candidates.open_rows)
    from sklearn.linear_model import LogisticRegression

    vectors = candidates.required_vectors("rho").take(np.arange(400))
    known = candidates.labelled_rows
    assert candidates.labels is not None
    model = LogisticRegression(C=10.0, max_iter=1_000).fit(vectors[known], candidates.labels[known])
    reference = model.predict_proba(vectors)[:, 1]
    sure = np.maximum(reference, 1 - reference) >= 0.7
    gain = learnability(candidates.scores, reference)
    wanted = sorted(candidates.open_rows, key=lambda row: (not sure[row], -gain[row]))[:30]
    assert gain[found] == pytest.approx(gain[wanted])


@pytest.mark.parametrize("joint", [False, True])
def test_without_reference_and_labels_it_says_what_to_do(joint: bool) -> None:
    strategy = Learnability(joint=joint)
    for reference in (None, np.full(50, np.nan)):
        with pytest.raises(ValueError, match="reference: none given, and the 0 labels so far are not of both kinds"):
            strategy.rank(topics(50, reference=reference), 5, 0)
    with pytest.raises(ValueError, match="vectors: none given"):
        Learnability(joint=True).rank(topics(50, vectors=None), 5, 0)
    assert strategy.rank(topics(50, reference=None), 0, 0).tolist() == []


@pytest.mark.parametrize(
    ("field", "value"), [("confidence", 1.5), ("chunks", 0), ("redundancy", -1.0), ("filter_ratio", 1.0)]
)
def test_fields_out_of_range(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}: {value}"):
        Learnability(**{field: value})  # type: ignore[arg-type]


def test_a_reference_equal_to_the_learner_leaves_nothing_to_choose_by() -> None:
    learner, reference = np.array([0.1, 0.7, 0.9]), np.array([0.9, 0.95, 0.9])
    # The loss of the reference must not be that of the learner: all scores would be 0.
    assert learnability(learner, learner) == pytest.approx(np.zeros(3))
    assert (learnability(learner, reference)[:2] > 0).all()


def test_joint_samples_have_the_exact_chances() -> None:
    learnable = np.array([0.5, 0.0, 1.0, 0.2])
    vectors = on_circle(0, 20, 90, 180)
    cosines = (vectors @ vectors.T).astype(np.float64)
    times = 5_000
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(times):
        drawn = tuple(sample_jointly(learnable, vectors, 3, 2, 2.0, np.random.default_rng(seed)).tolist())
        counts[drawn] = counts.get(drawn, 0) + 1
    for order in permutations(range(4), 3):
        later = learnable - 2 * cosines[:, order[:2]].max(axis=1)
        later[list(order[:2])] = -np.inf
        chance = softmax_chance(learnable, order[:2]) * softmax_chance(later, order[2:])
        spread = 4.5 * np.sqrt(chance * (1 - chance) / times)
        assert counts.get(order, 0) / times == pytest.approx(chance, abs=spread)


def test_redundancy_spreads_the_picks() -> None:
    candidates = topics(1_000)
    vectors = candidates.required_vectors("jest").take(np.arange(1_000))

    def crowding(redundancy: float) -> float:
        picked = Learnability(joint=True, redundancy=redundancy).rank(candidates, 60, 0)
        cosines = vectors[picked] @ vectors[picked].T
        np.fill_diagonal(cosines, -1)
        return float(cosines.max(axis=1).mean())

    # Items of one topic differ by some hundredths of cosine.
    assert crowding(300.0) < crowding(0.0) - 0.02


def test_joint_picks_are_among_the_most_learnable() -> None:
    candidates = topics(1_000)
    assert candidates.reference is not None
    batch = Learnability().rank(candidates, 100, 0)
    assert set(Learnability(joint=True).rank(candidates, 20, 0)) <= set(batch)
