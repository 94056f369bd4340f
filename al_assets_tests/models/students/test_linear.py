from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from al_assets.config import EmbeddingSettings, LinearStudent, Policy
from al_assets.demo import vader
from al_assets.demo.fetch import minilm_directory
from al_assets.models.students import StudentError, load_student, train_student


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
        np.savez(stream, coefficients=np.zeros(3), intercept=0.0)
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
