from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from al_assets.config import EmbeddingSettings, LinearStudent, Policy
from al_assets.demo import vader
from al_assets.demo.fetch import minilm_directory
from al_assets.models.students import StudentError, load_student, train_student
from al_assets.models.students.linear import fit_linear

VECTORS = np.random.default_rng(3).standard_normal((90, 5))
TRUTH = VECTORS[:, 0] + np.random.default_rng(4).standard_normal(90) > 1


@pytest.mark.parametrize("balanced", [True, False])
def test_unanimous_labels_give_plain_logistic_regression_to_the_last_bit(balanced: bool) -> None:
    plain = LogisticRegression(C=1 / 0.3, class_weight="balanced" if balanced else None, max_iter=1000, random_state=0)
    plain.fit(VECTORS, TRUTH)
    for labels in (TRUTH, TRUTH.astype(np.float64)):
        head = fit_linear(VECTORS, labels, regularisation=0.3, balanced=balanced)
        assert np.array_equal(head.coefficients, plain.coef_[0])
        assert head.intercept == plain.intercept_[0]


@pytest.mark.parametrize("balanced", [True, False])
def test_votes_of_two_to_one_weigh_as_three_copies_of_the_item(balanced: bool) -> None:
    votes = np.repeat(TRUTH[:, None], 3, axis=1)
    votes[::4, 0] ^= True
    head = fit_linear(VECTORS, votes.mean(axis=1), balanced=balanced)
    # Three times the items, so a third of the regularisation for each.
    copies = fit_linear(np.repeat(VECTORS, 3, axis=0), votes.ravel(), regularisation=3, balanced=balanced)
    assert head.coefficients == pytest.approx(copies.coefficients, abs=1e-3)
    assert head.intercept == pytest.approx(copies.intercept, abs=1e-3)


def test_a_tie_teaches_a_half() -> None:
    vectors = np.array([[-1.0, 0.0]] * 20 + [[1.0, 0.0]] * 20 + [[0.0, 1.0]] * 20)
    labels = np.repeat([0.0, 1.0, 0.5], 20)
    head = fit_linear(vectors, labels, regularisation=1e-3)
    assert head.probability(np.array([[0.0, 1.0]])) == pytest.approx([0.5], abs=0.01)
    shifted = fit_linear(vectors, np.where(labels == 0.5, 0.9, labels), regularisation=1e-3, balanced=False)
    assert shifted.probability(np.array([[0.0, 1.0]])) == pytest.approx([0.9], abs=0.01)


@pytest.mark.parametrize(("labels", "found"), [([0.5, 0.5], "ties"), ([1, 1], "positive"), ([0, 0.4], "negative")])
def test_labels_of_one_kind_are_named(labels: list[float], found: str) -> None:
    with pytest.raises(ValueError, match=f"labels: all 2 labelled texts are {found}; a linear head"):
        fit_linear(VECTORS[:2], labels)


def test_ties_are_trained_on_and_counted_as_no_positives(
    policy: Policy, lesson: tuple[list[str], list[bool]], tmp_path: Path
) -> None:
    texts, labels = lesson
    plain = train_student(policy.student, policy, texts, labels, tmp_path / "plain")
    shares = [*map(float, labels), 0.5, 0.5]
    result = train_student(policy.student, policy, [*texts, "bad good 7", "bad good 8"], shares, tmp_path / "tied")
    assert (result.training_items, result.positive_items) == (26, 6)
    assert result.losses[0] > plain.losses[0]
    with load_student(tmp_path / "tied", policy.student, policy) as student:
        scores = student.score(["bad awful 99", "bad good 7", "good fine 99"])
    assert scores[0] > scores[1] > scores[2]


def test_it_learns_and_comes_back_the_same(
    policy: Policy, lesson: tuple[list[str], list[bool]], tmp_path: Path
) -> None:
    texts, labels = lesson
    seen: list[tuple[int, int]] = []
    result = train_student(policy.student, policy, texts, labels, tmp_path / "s", lambda a, b: seen.append((a, b)))
    assert seen == [(0, 1), (1, 1)]
    assert (result.training_items, result.positive_items, result.steps) == (24, 6, [1])
    assert 0 < result.losses[0] < np.log(2)
    assert not list((tmp_path / "s").glob("*.pkl"))
    with load_student(tmp_path / "s", policy.student, policy) as student:
        scores = student.score(["bad awful 99", "good fine 99"])
        assert scores[0] > 0.5 > scores[1]
        assert student.score([]).shape == (0,)
        again = load_student(tmp_path / "s", policy.student, policy)
        assert again.fingerprint == student.fingerprint
        assert np.array_equal(again.score(texts), student.score(texts))


def test_the_order_of_the_labels_changes_nothing(
    policy: Policy, lesson: tuple[list[str], list[bool]], tmp_path: Path
) -> None:
    texts, labels = lesson
    train_student(policy.student, policy, texts, labels, tmp_path / "a")
    train_student(policy.student, policy, texts[::-1], labels[::-1], tmp_path / "b")
    assert (tmp_path / "a" / "weights.npz").read_bytes() == (tmp_path / "b" / "weights.npz").read_bytes()


def test_the_caller_may_name_the_student(policy: Policy, lesson: tuple[list[str], list[bool]], tmp_path: Path) -> None:
    train_student(policy.student, policy, *lesson, tmp_path, fingerprint="0123456789ab")
    assert load_student(tmp_path, policy.student, policy).fingerprint == "0123456789ab"


def test_damaged_weights_and_another_embedder_are_refused(
    policy: Policy, lesson: tuple[list[str], list[bool]], tmp_path: Path
) -> None:
    train_student(policy.student, policy, *lesson, tmp_path)
    with (tmp_path / "weights.npz").open("wb") as stream:
        np.savez(stream, coefficients=np.zeros(3), intercept=0.0, of_llm0=0.0)
    with pytest.raises(StudentError, match="gives 64 dimensions, the student was trained on 3"):
        load_student(tmp_path, policy.student, policy).score(["a"])
    (tmp_path / "weights.npz").write_bytes(b"damaged")
    with pytest.raises(StudentError, match="weights.npz: cannot be read .* train it again"):
        load_student(tmp_path, policy.student, policy)


@pytest.mark.slow
def test_it_learns_the_demo_policy_from_240_texts(policy: Policy, tmp_path: Path) -> None:
    settings = LinearStudent(kind="linear", embedding=EmbeddingSettings(model=str(minilm_directory())))
    texts = vader.sample_pool(vader.load_texts(), 740, seed=1)
    truth = vader.majority(vader.simulate_experts(texts["ratings"].to_list())).astype(bool)
    taught, unseen = texts["text"][:240].to_list(), texts["text"][240:].to_list()
    train_student(settings, policy, taught, truth[:240].tolist(), tmp_path)
    with load_student(tmp_path, settings, policy) as student:
        assert roc_auc_score(truth[240:], student.score(unseen)) > 0.7
