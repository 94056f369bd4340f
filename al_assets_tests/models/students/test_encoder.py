import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from al_assets.config import EncoderStudent, Policy
from al_assets.demo import vader
from al_assets.demo.fetch import minilm_directory
from al_assets.models.students import StudentError, encoder_worker, load_student, train_student
from al_assets.models.students.encoder import EncoderLabeler
from al_assets.models.students.training_process import make_reporter
from al_assets_tests.models.students.conftest import train_here, weights_of

Lesson = tuple[list[str], list[bool]]
Taught = tuple[Sequence[str], Sequence[float]]
ASKED = ["bad awful 99", "good fine 99"]


def recipe(base_model: Path | str, **changes: Any) -> EncoderStudent:
    values = {"epochs": 20, "learning_rate": 1e-3, "head_learning_rate": 1e-2, "batch_size": 8, **changes}
    return EncoderStudent.model_validate({"kind": "encoder", "base_model": str(base_model), **values})


def train(settings: EncoderStudent, lesson: Taught, directory: Path, **changes: Any) -> list[dict[str, Any]]:
    return train_here(encoder_worker, settings, lesson, directory, **changes)


def answers(directory: Path, texts: Sequence[str] = ASKED, **changes: Any) -> list[float]:
    with EncoderLabeler(recipe("trained before", **changes), "name", directory) as student:
        return [float(score) for score in student.score(texts)]


@pytest.fixture(scope="module")
def trained(tiny_encoder: Path, lesson: Lesson, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    train(recipe(tiny_encoder), lesson, directory)
    return directory


def test_it_learns_and_tells_how(tiny_encoder: Path, lesson: Lesson, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    events = train(recipe(tiny_encoder), lesson, tmp_path)
    # 24 texts an epoch, 20 epochs, batches of 8.
    assert [event["step"] for event in events] == list(range(61))
    assert {event["steps"] for event in events} == {60}
    losses = [event["loss"] for event in events[1:]]
    assert losses[0] == pytest.approx(np.log(2), abs=0.3)
    assert losses[-1] < 0.1
    violation, fine = answers(tmp_path)
    assert violation > 0.9 > 0.1 > fine
    # A plain sentence-transformers directory, for whatever else reads one: its vectors are the logits.
    logits = SentenceTransformer(str(tmp_path)).encode(ASKED)
    assert logits.shape == (2, 1)
    assert 1 / (1 + np.exp(-logits[:, 0])) == pytest.approx([violation, fine])


def test_same_data_and_seed_give_the_same_weights(tiny_encoder: Path, lesson: Lesson, tmp_path: Path) -> None:
    one = train(recipe(tiny_encoder, epochs=3), lesson, tmp_path / "one")
    two = train(recipe(tiny_encoder, epochs=3), lesson, tmp_path / "two")
    other = train(recipe(tiny_encoder, epochs=3, seed=1), lesson, tmp_path / "other")
    assert one == two != other
    files = [[(tmp_path / name / file).read_bytes() for file in FILES] for name in ("one", "two", "other")]
    assert files[0] == files[1]
    assert files[0] != files[2]


FILES = ("model.safetensors", "2_Dense/model.safetensors")


def test_a_head_start_takes_the_place_of_the_base_model(trained: Path, lesson: Lesson, tmp_path: Path) -> None:
    train(recipe("/nowhere", epochs=0.1, learning_rate=1e-9, head_learning_rate=1e-9), lesson, tmp_path, start=trained)
    now, before = weights_of(tmp_path), weights_of(trained)
    assert set(now) == set(before)
    assert all(bool((now[name] - before[name]).abs().max() < 1e-6) for name in now)
    assert answers(tmp_path) == pytest.approx(answers(trained), abs=1e-4)


def test_the_head_has_a_learning_rate_of_its_own(trained: Path, lesson: Lesson, tmp_path: Path) -> None:
    train(recipe("/nowhere", epochs=1, learning_rate=1e-9), lesson, tmp_path, start=trained)
    now, before = weights_of(tmp_path), weights_of(trained)
    moved = {name for name in now if bool((now[name] - before[name]).abs().max() > 1e-6)}
    assert moved == {"2_Dense/linear.weight", "2_Dense/linear.bias"}


@pytest.mark.parametrize("balanced", [True, False])
def test_the_loss_is_that_of_soft_labels(tiny_encoder: Path, lesson: Lesson, tmp_path: Path, balanced: bool) -> None:
    texts, shares = lesson[0], [0.1, 1 / 3, 1.0] * 8
    settings = recipe(tiny_encoder, balanced=balanced, batch_size=24, epochs=1)
    model = encoder_worker._load_model(settings, str(tiny_encoder), started=False)
    model.eval()
    reporter = make_reporter(lambda event: None, 0, "")
    trainer: Any = encoder_worker._make_trainer(settings, model, texts, shares, str(tmp_path), reporter)
    (batch,) = list(trainer.get_train_dataloader())
    loss = trainer.compute_loss(model, batch).item()
    logits = model.encode(texts)[:, 0].astype(np.float64)
    probability = 1 / (1 + np.exp(-logits))
    yes = np.array(shares)
    weights = np.concatenate([yes, 1 - yes])
    if balanced:
        weights = np.concatenate([yes / yes.mean(), (1 - yes) / (1 - yes).mean()])
    answered = np.repeat([True, False], 24)
    assert loss == pytest.approx(log_loss(answered, np.tile(probability, 2), sample_weight=weights), abs=1e-5)


def test_a_tie_teaches_a_half(tiny_encoder: Path, lesson: Lesson, tmp_path: Path) -> None:
    texts, labels = lesson
    tied = [0.5 if text.startswith("fine") else float(label) for text, label in zip(texts, labels, strict=True)]
    train(recipe(tiny_encoder, epochs=30, balanced=False), (texts, tied), tmp_path)
    scores, shares = np.array(answers(tmp_path, texts)), np.array(tied)
    assert scores[shares == 0].max() < 0.1
    assert scores[shares == 0.5] == pytest.approx(0.5, abs=0.2)
    assert scores[shares == 1].min() > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model": "/nowhere/at/all"}, "student.base_model: '/nowhere/at/all' cannot be loaded"),
        ({"learning_rate": 1e30}, r"the loss was nan at step \d+ of 60; lower student.learning_rate or"),
    ],
)
def test_a_training_that_cannot_go_on_says_why(
    tiny_encoder: Path, lesson: Lesson, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe(**{"base_model": tiny_encoder, **changes}), lesson, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_training_ends_with_the_process_that_asked_for_it(tiny_encoder: Path, lesson: Lesson, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the process that asked for this training has ended"):
        train(recipe(tiny_encoder), lesson, tmp_path, parent=0)
    assert not list(tmp_path.iterdir())


def test_a_score_does_not_depend_on_the_batch(trained: Path) -> None:
    texts = [*ASKED, "bad " * 200, "good"]
    alone = [answers(trained, [text])[0] for text in texts]
    assert answers(trained, texts) == pytest.approx(alone, abs=1e-5)
    assert answers(trained, texts, scoring_batch_size=2) == pytest.approx(alone, abs=1e-5)
    assert answers(trained, []) == []


def test_only_the_first_tokens_count(tiny_encoder: Path, lesson: Lesson, tmp_path: Path) -> None:
    train(recipe(tiny_encoder, epochs=1, max_tokens=8), lesson, tmp_path)
    begin = "good fine bad awful good fine bad awful"
    one, two = answers(tmp_path, [f"{begin} good", f"{begin} awful"])
    assert one == two


@pytest.mark.parametrize("damaged", [None, "model.safetensors"])
def test_what_is_no_encoder_is_refused(trained: Path, tmp_path: Path, damaged: str | None) -> None:
    if damaged:
        shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
        (tmp_path / damaged).write_bytes(b"damaged")
    with pytest.raises(StudentError, match=r"cannot be read as an encoder \(.*\); train it again"):
        answers(tmp_path)


@pytest.mark.slow
def test_training_in_a_process_of_its_own(tiny_encoder: Path, policy: Policy, lesson: Lesson, tmp_path: Path) -> None:
    texts, labels = lesson
    seen: list[tuple[int, int]] = []
    settings = recipe(tiny_encoder)
    result = train_student(settings, policy, texts[::-1], labels[::-1], tmp_path, lambda a, b: seen.append((a, b)))
    assert result.steps == list(range(1, 61))
    assert (result.training_items, result.positive_items) == (24, 6)
    assert (seen[0], seen[-1]) == ((0, 60), (60, 60))
    with load_student(tmp_path, settings, policy) as student:
        scores = student.score(ASKED)
    assert scores[0] > 0.9 > 0.1 > scores[1]


@pytest.mark.slow
def test_minilm_learns_the_demo_policy_from_64_texts(policy: Policy, tmp_path: Path) -> None:
    texts = vader.load_texts()
    truth = vader.majority(vader.simulate_experts(texts["ratings"].to_list())).astype(bool)
    positive, negative = np.flatnonzero(truth), np.flatnonzero(~truth)
    taught = np.concatenate([positive[:32], negative[:32]])
    unseen = np.concatenate([positive[-50:], negative[-50:]])
    settings = EncoderStudent(kind="encoder", base_model=str(minilm_directory()))
    train_student(settings, policy, texts["text"][taught].to_list(), truth[taught].tolist(), tmp_path)
    with load_student(tmp_path, settings, policy) as student:
        assert roc_auc_score(truth[unseen], student.score(texts["text"][unseen].to_list())) > 0.7
