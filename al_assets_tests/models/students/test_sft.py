import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from al_assets.config import Policy, SFTStudent
from al_assets.demo import vader
from al_assets.demo.fetch import smollm2_directory
from al_assets.models.labelers.prompts import PromptError
from al_assets.models.students import StudentError, TrainingResult, load_student, sft, train_student
from al_assets_tests.models.students.conftest import PROMPT

Lesson = tuple[list[str], list[bool]]


def recipe(base_model: Path | str, **changes: Any) -> SFTStudent:
    values = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 8, "prompt": PROMPT, **changes}
    return SFTStudent.model_validate({"kind": "sft", "base_model": str(base_model), **values})


@pytest.fixture(scope="module")
def trained(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, TrainingResult, list[tuple[int, int]]]]:
    seen: list[tuple[int, int]] = []
    directory = tmp_path_factory.mktemp("trained") / "student"
    result = train_student(recipe(tiny_model), policy, *lesson, directory, lambda a, b: seen.append((a, b)))
    yield directory, result, seen


def test_it_learns_and_tells_how(trained: tuple[Path, TrainingResult, list[tuple[int, int]]]) -> None:
    _, result, seen = trained
    # 18 negatives and 12 positives (6 of them, twice) an epoch, 20 epochs, batches of 8.
    assert result.steps == list(range(1, 76))
    assert result.losses[0] == pytest.approx(np.log(320), abs=0.5)
    assert result.losses[-1] < 0.2
    assert (result.training_items, result.positive_items) == (24, 6)
    assert seen[0] == (0, 75)
    assert seen[-1] == (75, 75)


def test_the_student_labels_texts_it_never_saw(
    trained: tuple[Path, TrainingResult, Any], tiny_model: Path, policy: Policy
) -> None:
    with load_student(trained[0], recipe(tiny_model), policy) as student:
        scores = student.score(["bad awful 99", "good fine 99", "good good 77"])
    assert scores[0] > 0.9
    assert scores[1:].max() < 0.1


def test_it_is_a_plain_transformers_directory(trained: tuple[Path, TrainingResult, Any]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = trained[0]
    assert {"config.json", "model.safetensors", "tokenizer.json", "student.json"} <= {p.name for p in directory.iterdir()}
    model = AutoModelForCausalLM.from_pretrained(directory)
    assert str(model.dtype) == "torch.bfloat16"
    assert AutoTokenizer.from_pretrained(directory)(PROMPT)["input_ids"]


def test_same_data_and_seed_give_the_same_weights(
    trained: tuple[Path, TrainingResult, Any], tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    texts, labels = lesson
    result = train_student(recipe(tiny_model), policy, texts[::-1], labels[::-1], tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()
    assert result.losses == trained[1].losses


def test_another_seed_gives_other_weights_and_float32_stays_float32(
    trained: tuple[Path, TrainingResult, Any], tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    train_student(recipe(tiny_model, seed=1, dtype="float32", epochs=1), policy, *lesson, tmp_path)
    weights, others = (load_file(folder / "model.safetensors") for folder in (tmp_path, trained[0]) if folder)
    assert {str(array.dtype) for array in weights.values()} == {"float32"}
    assert set(weights) == set(others)


def test_lora_is_merged_into_a_plain_model(tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path) -> None:
    settings = recipe(tiny_model, method="lora", lora_rank=8, learning_rate=2e-2, epochs=30, dtype="float32")
    result = train_student(settings, policy, *lesson, tmp_path)
    assert result.losses[-1] < result.losses[0] / 3
    assert not (tmp_path / "adapter_config.json").exists()
    before, after = load_file(tiny_model / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert set(before) == set(after)
    assert np.array_equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not np.array_equal(before[name], after[name])
    with load_student(tmp_path, settings, policy) as student:
        scores = student.score(["bad awful 99", "good fine 99"])
    assert scores[0] > scores[1]


def test_the_loss_is_that_of_trl_on_the_answer_alone(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.sft_trainer import SFTTrainer

    from al_assets.models.students import sft_worker

    settings = recipe(tiny_model, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.pad_token = tokenizer.eos_token
    trainer = sft_worker._make_trainer(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
        sft_worker._arguments(settings, str(tmp_path), 1),
        sft_worker._dataset(settings, tokenizer, *lesson),
        tokenizer,
        None,
        sft_worker._callback(lambda event: None, 0),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    answers = batch["labels"][batch["labels"] != -100]
    assert {tokenizer.decode([token]) for token in answers.tolist()} == {" yes", " no"}
    assert len(answers) == 8
    losses = [compute(trainer.model, dict(batch)) for compute in (trainer.compute_loss, _trl_loss(trainer, SFTTrainer))]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-5)
    gradients = []
    for loss in losses:
        trainer.model.zero_grad()
        loss.backward()
        gradients.append(trainer.model.model.layers[0].mlp.up_proj.weight.grad.clone())
    assert torch.allclose(*gradients, atol=1e-6)


def _trl_loss(trainer: Any, parent: Any) -> Any:
    return lambda model, batch: parent.compute_loss(trainer, model, batch)


def test_long_texts_are_cut_but_the_question_stays(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from al_assets.models.students import sft_worker

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    settings = recipe(tiny_model, max_tokens=40)
    rows = sft_worker._dataset(settings, tokenizer, ["bad " * 300, "good"], [True, False])
    for row in rows["input_ids"]:
        assert len(row) <= 41
        assert tokenizer.decode(row).replace("<end>", "").endswith(("Strongly negative? yes", "Strongly negative? no"))


def test_a_prompt_without_a_gap_is_refused_before_anything_starts(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    with pytest.raises(PromptError, match="text"):
        train_student(recipe(tiny_model, prompt="Strongly negative?"), policy, *lesson, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yes": " good", "no": " good"}, "cannot be told apart"),
        ({"base_model": "/nowhere/at/all"}, "'/nowhere/at/all'"),
        ({"learning_rate": 1e30}, r"the loss was .* at step \d+ of 75; lower student.learning_rate"),
    ],
)
def test_a_failed_training_says_why(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudentError, match=message):
        train_student(recipe(**{"base_model": tiny_model, **changes}), policy, *lesson, tmp_path)
    assert not (tmp_path / "student.json").exists()


def test_stopping_the_caller_stops_the_training(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    def give_up(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train_student(recipe(tiny_model, epochs=50_000), policy, *lesson, tmp_path, give_up)
    assert time.monotonic() - started < 60
    assert _workers_of(os.getpid()) == []


def test_a_killed_caller_leaves_no_training_behind(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    spec = {
        "settings": recipe(tiny_model, epochs=50_000).model_dump(mode="json"), "base_model": str(tiny_model),
        "texts": lesson[0], "labels": lesson[1], "directory": str(tmp_path / "out"), "parent": 0,
    }  # fmt: skip
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    worker = subprocess.run(
        [sys.executable, "-m", sft._WORKER, str(tmp_path / "spec.json")], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert worker.returncode == 1
    assert json.loads(worker.stdout.splitlines()[-1])["error"].endswith("has ended")
    assert not (tmp_path / "out").exists()


def test_a_worker_killed_from_outside_hints_at_memory(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    def kill(done: int, total: int) -> None:
        for worker in _workers_of(os.getpid()):
            os.kill(worker, 9)

    with pytest.raises(StudentError, match=r"was killed, most likely for want of memory; lower student.batch_size"):
        train_student(recipe(tiny_model, epochs=50_000), policy, *lesson, tmp_path, kill)


def _workers_of(parent: int) -> list[int]:
    import psutil

    children = psutil.Process(parent).children()
    return [child.pid for child in children if sft._WORKER in " ".join(child.cmdline())]


@pytest.mark.slow
def test_smollm2_learns_the_demo_policy_from_32_texts(policy: Policy, tmp_path: Path) -> None:
    texts = vader.load_texts()
    truth = vader.majority(vader.simulate_experts(texts["ratings"].to_list())).astype(bool)
    positive, negative = np.flatnonzero(truth), np.flatnonzero(~truth)
    taught = np.concatenate([positive[:16], negative[:16]])
    unseen = np.concatenate([positive[-60:], negative[-60:]])
    settings = recipe(smollm2_directory(), epochs=3, learning_rate=2e-4)
    train_student(settings, policy, texts["text"][taught].to_list(), truth[taught].tolist(), tmp_path)
    with load_student(tmp_path, settings, policy) as student:
        assert roc_auc_score(truth[unseen], student.score(texts["text"][unseen].to_list())) > 0.6
