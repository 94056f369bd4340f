import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from al_assets.config import Policy, SFTStudent
from al_assets.demo import vader
from al_assets.demo.fetch import smollm2_directory
from al_assets.models.labelers.prompts import PromptError
from al_assets.models.labelers.yes_no import load_tokenizer, yes_no_tokens
from al_assets.models.students import load_student, sft, sft_worker, train_student
from al_assets.models.students.training_process import make_reporter
from al_assets_tests.models.students.conftest import PROMPT, train_here, weights_of

Lesson = tuple[list[str], list[bool]]
Taught = tuple[Sequence[str], Sequence[float]]


def recipe(base_model: Path | str, **changes: Any) -> SFTStudent:
    values = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 8, "prompt": PROMPT, **changes}
    return SFTStudent.model_validate({"kind": "sft", "base_model": str(base_model), **values})


def train(settings: SFTStudent, lesson: Taught, directory: Path, **changes: Any) -> list[dict[str, Any]]:
    return train_here(sft_worker, settings, lesson, directory, **changes)


def answers(directory: Path, settings: SFTStudent) -> list[float]:
    scores = sft.SFTLabeler(settings, "name", directory).score(["bad awful 99", "good fine 99"])
    return [float(score) for score in scores]


def test_it_learns_and_tells_how(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settings = recipe(tiny_model)
    events = train(settings, lesson, tmp_path)
    # 18 negatives and 12 positives (6 of them, twice) an epoch, 20 epochs, batches of 8.
    assert [event["step"] for event in events] == list(range(76))
    assert {event["steps"] for event in events} == {75}
    losses = [event["loss"] for event in events[1:]]
    assert losses[0] == pytest.approx(np.log(320), abs=0.5)
    assert losses[-1] < 0.2
    violation, fine = answers(tmp_path, settings)
    assert violation > 0.9
    assert fine < 0.1
    # A plain transformers directory, for whatever else reads one.
    assert str(AutoModelForCausalLM.from_pretrained(tmp_path).dtype) == "torch.bfloat16"
    assert AutoTokenizer.from_pretrained(tmp_path)(PROMPT)["input_ids"]


def test_same_data_and_seed_give_the_same_weights(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    one = train(recipe(tiny_model, epochs=3), lesson, tmp_path / "one")
    two = train(recipe(tiny_model, epochs=3), lesson, tmp_path / "two")
    other = train(recipe(tiny_model, epochs=3, seed=1), lesson, tmp_path / "other")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "other")]
    assert files[0] == files[1]
    assert files[0] != files[2]
    assert one == two
    assert one != other


def test_a_head_start_takes_the_place_of_the_base_model(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    first, second, alone = (tmp_path / name for name in ("first", "second", "alone"))
    train(recipe(tiny_model), lesson, first)
    settings = recipe("/nowhere", epochs=0.1, learning_rate=1e-9)
    train(settings, lesson, second, start=first)
    assert all(bool((weights_of(second)[name] - was).abs().max() < 1e-3) for name, was in weights_of(first).items())
    train(recipe(tiny_model, epochs=0.1, learning_rate=1e-9), lesson, alone)
    violation, fine = answers(second, settings)
    assert violation > 0.9 > 0.1 > fine
    assert answers(alone, settings) == pytest.approx([0.5, 0.5], abs=0.2)


def test_in_a_chat_it_is_asked_as_it_was_trained(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.chat_template = "<end>user: {{ messages[0].content }}<end>"
    model = shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer.save_pretrained(model)
    settings = recipe(model, chat_template=True)
    train(settings, lesson, tmp_path / "student")
    taught = sft_worker._dataset(settings, tokenizer, *lesson)["input_ids"]
    student = sft.SFTLabeler(settings, "name", tmp_path / "student")
    scorer, prompts = student._prompts(lesson[0])
    asked = {tuple(ids) for ids in scorer._tokenize(prompts)}
    assert {tuple(ids[:-1]) for ids in taught} == asked
    assert all(tokenizer.decode(ids).startswith("<end>user: Remark: ") for ids in asked)
    violation, fine = answers(tmp_path / "student", settings)
    assert violation > 0.9 > 0.1 > fine


@pytest.mark.parametrize(("batch", "limit", "micro"), [(8, 8, 8), (8, 3, 2), (16, 8, 8), (7, 4, 1), (4, 8, 4)])
def test_micro_batches_divide_the_batch(tiny_model: Path, batch: int, limit: int, micro: int) -> None:
    assert sft_worker._micro_batch(recipe(tiny_model, batch_size=batch, micro_batch_size=limit)) == micro


def test_micro_batches_change_the_memory_not_the_model(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    sizes = (8, 2)
    whole, parts = (
        train(recipe(tiny_model, dtype="float32", epochs=2, micro_batch_size=size), lesson, tmp_path / str(size))
        for size in sizes
    )
    assert [event.get("loss") for event in parts] == pytest.approx([event.get("loss") for event in whole], abs=1e-3)
    one, two = (weights_of(tmp_path / str(size)) for size in sizes)
    assert all(bool((one[name] - two[name]).abs().max() < 1e-3) for name in one)


def test_float32_stays_float32(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    train(recipe(tiny_model, dtype="float32", epochs=1), lesson, tmp_path)
    weights, before = weights_of(tmp_path), weights_of(tiny_model)
    assert {str(array.dtype) for array in weights.values()} == {"torch.float32"}
    assert set(weights) == set(before)


# peft 0.21 reads an attribute that transformers 5 has renamed.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_lora_is_merged_into_a_plain_model(tiny_model: Path, lesson: Lesson, tmp_path: Path, dtype: str) -> None:
    settings = recipe(tiny_model, method="lora", lora_rank=8, learning_rate=2e-2, epochs=30, dtype=dtype)
    events = train(settings, lesson, tmp_path)
    # The embeddings stay as they are, and these are too small to allow a loss below 5.
    assert events[-1]["loss"] < events[1]["loss"] - 0.4
    assert not (tmp_path / "adapter_config.json").exists()
    after = weights_of(tmp_path)
    before = {name: weight.to(after[name].dtype) for name, weight in weights_of(tiny_model).items()}
    assert set(before) == set(after)
    assert before["model.embed_tokens.weight"].equal(after["model.embed_tokens.weight"])
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not before[name].equal(after[name])
    violation, fine = answers(tmp_path, settings)
    assert violation > fine


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yes": " good", "no": " good"}, "cannot be told apart"),
        ({"base_model": "/nowhere/at/all"}, "'/nowhere/at/all'"),
        ({"learning_rate": 1e30}, r"the loss was .* at step \d+ of 75; lower student.learning_rate"),
    ],
)
def test_a_training_that_cannot_go_on_says_why(
    tiny_model: Path, lesson: Lesson, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe(**{"base_model": tiny_model, **changes}), lesson, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_training_ends_with_the_process_that_asked_for_it(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the process that asked for this training has ended"):
        train(recipe(tiny_model), lesson, tmp_path, parent=0)
    assert not list(tmp_path.iterdir())


def test_the_loss_is_that_of_trl_on_the_answer_alone(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl.trainer.sft_trainer import SFTTrainer

    settings = recipe(tiny_model, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.pad_token = tokenizer.eos_token
    trainer: Any = sft_worker._make_trainer(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
        sft_worker._arguments(settings, str(tmp_path), 1),
        sft_worker._dataset(settings, tokenizer, *lesson),
        tokenizer,
        _both(settings, tokenizer),
        None,
        make_reporter(lambda event: None, 0, ""),
    )
    model: Any = trainer.model
    batch = next(iter(trainer.get_train_dataloader()))
    plain: Any = SFTTrainer
    doubt = batch.pop("doubt")
    assert doubt.tolist() == [0] * 8
    answers = batch["labels"][batch["labels"] != -100]
    assert {tokenizer.decode([token]) for token in answers.tolist()} == {" yes", " no"}
    assert len(answers) == 8
    losses = [
        trainer.compute_loss(model, {**batch, "doubt": doubt}),
        plain.compute_loss(trainer, model, dict(batch)),
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-5)
    gradients = []
    for loss in losses:
        model.zero_grad()
        loss.backward()
        gradients.append(model.model.layers[0].mlp.up_proj.weight.grad.clone())
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)
    # Of two to one the loss is a third of the way to that of the other answer; a tie has the mean of both.
    other = {
        **batch,
        "labels": torch.where(batch["labels"] == -100, -100, _both(settings, tokenizer) - batch["labels"]),
    }
    ends = [trainer.compute_loss(model, {**each, "doubt": doubt}).item() for each in (batch, other)]
    for share in (1 / 3, 0.5):
        soft = trainer.compute_loss(model, {**batch, "doubt": doubt + share}).item()
        assert soft == pytest.approx((1 - share) * ends[0] + share * ends[1], abs=1e-5)


def _both(settings: SFTStudent, tokenizer: Any) -> int:
    return sum(yes_no_tokens(tokenizer, settings.yes, settings.no))


def test_a_tie_teaches_a_half(tiny_model: Path, lesson: Lesson, tmp_path: Path) -> None:
    texts, labels = lesson
    tied = [0.5 if text.startswith("fine") else float(label) for text, label in zip(texts, labels, strict=True)]
    settings = recipe(tiny_model, epochs=30)
    events = train(settings, (texts, tied), tmp_path)
    scores, shares = sft.SFTLabeler(settings, "name", tmp_path).score(texts), np.array(tied)
    assert scores[shares == 0].max() < 0.1
    assert scores[shares == 0.5] == pytest.approx(0.5, abs=0.2)
    assert scores[shares == 1].min() > 0.9
    # No student gets below the entropy of the ties.
    assert np.mean([event["loss"] for event in events[-10:]]) > 0.1


def test_long_texts_are_cut_but_the_question_stays(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    settings = recipe(tiny_model, max_tokens=40)
    rows = sft_worker._dataset(settings, tokenizer, ["bad " * 300, "good"], [True, False])
    for row in rows["input_ids"]:
        assert len(row) <= 41
        assert str(tokenizer.decode(row)).endswith(("Strongly negative? yes", "Strongly negative? no"))


def test_a_prompt_without_a_gap_is_refused_before_anything_starts(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    with pytest.raises(PromptError, match="text"):
        train_student(recipe(tiny_model, prompt="Strongly negative?"), policy, *lesson, tmp_path)


@pytest.mark.slow
def test_training_in_a_process_of_its_own(tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path) -> None:
    texts, labels = lesson
    seen: list[tuple[int, int]] = []
    settings = recipe(tiny_model)
    result = train_student(settings, policy, texts[::-1], labels[::-1], tmp_path, lambda a, b: seen.append((a, b)))
    assert result.steps == list(range(1, 76))
    assert (result.training_items, result.positive_items) == (24, 6)
    assert (seen[0], seen[-1]) == ((0, 75), (75, 75))
    with load_student(tmp_path, settings, policy) as student:
        scores = student.score(["bad awful 99", "good fine 99"])
    assert scores[0] > 0.9 > 0.1 > scores[1]


@pytest.mark.slow
def test_smollm2_learns_the_demo_policy_from_32_texts(policy: Policy, tmp_path: Path) -> None:
    texts = vader.load_texts()
    truth = vader.majority(vader.simulate_experts(texts["ratings"].to_list())).astype(bool)
    positive, negative = np.flatnonzero(truth), np.flatnonzero(~truth)
    taught = np.concatenate([positive[:16], negative[:16]])
    unseen = np.concatenate([positive[-50:], negative[-50:]])
    settings = recipe(smollm2_directory(), epochs=3, learning_rate=2e-4)
    train_student(settings, policy, texts["text"][taught].to_list(), truth[taught].tolist(), tmp_path)
    with load_student(tmp_path, settings, policy) as student:
        assert roc_auc_score(truth[unseen], student.score(texts["text"][unseen].to_list())) > 0.6
