from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.config import LinearHeadStart, LinearStudent, Policy
from al_assets.models.students import Start, StudentError, load_student, train_student
from al_assets.models.students.head_start import LLM0Scale
from al_assets.models.students.linear import LinearHead, _Fit, fit_linear

Lesson = tuple[list[str], list[bool]]
RNG = np.random.default_rng(5)
VECTORS = RNG.standard_normal((3_000, 6))
START = LinearHead(np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]), -1.0)
"""Knows one of the two directions that count."""
TRUTH = VECTORS[:, 0] + VECTORS[:, 1] + RNG.standard_normal(3_000) > 1


def moved(head: LinearHead) -> float:
    """Return how much of the weights points away from the head start, 0 to 1."""
    of_start = head.coefficients @ START.coefficients / np.linalg.norm(START.coefficients)
    return float(1 - of_start / np.linalg.norm(head.coefficients))


def test_a_huge_strength_keeps_the_ranking_of_the_head_start() -> None:
    head = fit_linear(VECTORS[:60], TRUTH[:60], start=START, strength=1e6)
    assert moved(head) < 1e-3
    assert np.corrcoef(head.log_odds(VECTORS), START.log_odds(VECTORS))[0, 1] > 0.999


def test_labels_move_what_llm0_taught_where_it_is_wrong() -> None:
    head = fit_linear(VECTORS[:300], TRUTH[:300], start=START)
    assert 0.1 < moved(head) < 0.5
    right = [float(((each.log_odds(VECTORS) > 0) == TRUTH)[300:].mean()) for each in (head, START)]
    assert right[0] > right[1] + 0.05
    # Against labels that say the opposite of all of it, it is given up.
    against = fit_linear(VECTORS[:300], ~(START.log_odds(VECTORS[:300]) > 0), start=START)
    assert np.corrcoef(against.log_odds(VECTORS), START.log_odds(VECTORS))[0, 1] < -0.9


def test_a_head_start_is_worth_labels() -> None:
    alone, begun = (fit_linear(VECTORS[:40], TRUTH[:40], start=start) for start in (None, START))
    right = [float(((each.log_odds(VECTORS) > 0) == TRUTH)[40:].mean()) for each in (alone, begun)]
    assert right[1] > right[0]


def test_the_fewer_the_labels_the_stronger_the_hold() -> None:
    def strength(labels: int) -> float:
        found = []
        for seed in range(12):
            chosen = np.random.default_rng(seed).permutation(len(TRUTH))[:labels]
            features = np.column_stack([START.log_odds(VECTORS[chosen]), VECTORS[chosen]])
            found.append(np.log(_Fit(features, TRUTH[chosen], balanced=True, seed=seed).strength()))
        return float(np.mean(found))

    few, more, many = (strength(labels) for labels in (15, 60, 600))
    assert few > more > many
    # Two positives cannot be left out of both what teaches and what judges.
    labels = np.arange(20) < 1
    assert _Fit(VECTORS[:20], labels, balanced=True, seed=0).strength() == 1_000


def test_the_given_strength_is_taken() -> None:
    loose, tight = (fit_linear(VECTORS[:60], TRUTH[:60], start=START, strength=each) for each in (0.1, 100))
    assert moved(loose) > moved(tight)


def test_llm0_weighs_as_much_as_it_helps() -> None:
    informed = np.where(TRUTH, 1.0, -1.0) + RNG.standard_normal(3_000)
    luck = RNG.standard_normal(3_000)
    taught = VECTORS[:300], TRUTH[:300]
    useful, useless = (fit_linear(*taught, start=START, llm0=each[:300]) for each in (informed, luck))
    assert useful.of_llm0 > 5 * abs(useless.of_llm0)
    said = [useful.log_odds(VECTORS, informed), fit_linear(*taught, start=START).log_odds(VECTORS)]
    right = [float(((each > 0) == TRUTH)[300:].mean()) for each in said]
    assert right[0] > right[1]


def ask(texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([0.9 if "bad" in text else 0.2 for text in texts])


def opposite(texts: Sequence[str]) -> NDArray[np.float64]:
    return 1 - ask(texts)


@pytest.fixture
def start(policy: Policy, lesson: Lesson, tmp_path: Path) -> Start:
    soft = [0.7 if "bad" in text else 0.3 for text in lesson[0]]
    train_student(policy.student, policy, lesson[0], soft, tmp_path / "start", fingerprint="start")
    LLM0Scale(0.5, 1.0).write(tmp_path / "start")
    return Start("start", tmp_path / "start", ask)


def with_llm0(policy: Policy) -> LinearStudent:
    assert isinstance(policy.student, LinearStudent)
    return policy.student.model_copy(update={"with_llm0": True})


@pytest.mark.parametrize("asking", [False, True])
def test_the_order_of_the_labels_changes_nothing(
    policy: Policy, lesson: Lesson, start: Start, tmp_path: Path, asking: bool
) -> None:
    settings, (texts, labels) = with_llm0(policy) if asking else policy.student, lesson
    train_student(settings, policy, texts, labels, tmp_path / "a", start=start)
    train_student(settings, policy, texts[::-1], labels[::-1], tmp_path / "b", start=start)
    assert (tmp_path / "a" / "weights.npz").read_bytes() == (tmp_path / "b" / "weights.npz").read_bytes()
    names = [load_student(tmp_path / name, settings, policy, ask).fingerprint for name in ("a", "b", "start")]
    assert names[0] == names[1] != names[2]


def test_the_policys_strength_is_that_of_the_student(
    policy: Policy, lesson: Lesson, start: Start, tmp_path: Path
) -> None:
    against = [not label for label in lesson[1]]
    scores = []
    for strength in (0.3, 1e6):
        settings = policy.student.model_copy(update={"head_start": LinearHeadStart(strength=strength)})
        train_student(settings, policy, lesson[0], against, tmp_path / str(strength), start=start)
        with load_student(tmp_path / str(strength), settings, policy) as student:
            scores.append(student.score(lesson[0]))
    assert np.abs(scores[1] - 0.5).max() < 0.05 < np.abs(scores[0] - 0.5).max()


def test_a_student_with_llm0_goes_on_asking_it(policy: Policy, lesson: Lesson, start: Start, tmp_path: Path) -> None:
    settings, texts = with_llm0(policy), ["bad awful 99", "good fine 99"]
    train_student(settings, policy, *lesson, tmp_path / "s", start=start)
    with load_student(tmp_path / "s", settings, policy, ask) as student:
        said = student.score(texts)
    assert said[0] > 0.5 > said[1]
    with load_student(tmp_path / "s", settings, policy, opposite) as student:
        other = student.score(texts)
    assert other[0] < said[0]
    assert other[1] > said[1]
    with pytest.raises(StudentError, match="taught with LLM-0's score and is asked without; .* with_llm0: false"):
        load_student(tmp_path / "s", settings, policy)
    # It keeps its own scale: the head start may be gone.
    (start.directory / "llm0.json").unlink()
    assert np.array_equal(load_student(tmp_path / "s", settings, policy, ask).score(texts), said)


def test_damaged_weights_of_a_head_start_are_named(
    policy: Policy, lesson: Lesson, start: Start, tmp_path: Path
) -> None:
    (start.directory / "weights.npz").write_bytes(b"damaged")
    with pytest.raises(StudentError, match="start/weights.npz: cannot be read .* train it again"):
        train_student(policy.student, policy, *lesson, tmp_path / "s", start=start)
