import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from al_assets.config import EncoderStudent, Policy, SFTStudent
from al_assets.demo.fetch import static_model_directory
from al_assets.models.students.training_process import TrainingTask
from al_assets_tests.support.policies import policy_in
from al_assets_tests.support.tiny_models import write_tiny_encoder, write_tiny_model

PROMPT = "Remark: {text}\nStrongly negative?"


def train_here(
    worker: ModuleType, settings: SFTStudent | EncoderStudent, lesson: tuple[Sequence[str], Sequence[float]],
    directory: Path, start: Path | None = None, parent: int | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train in this process, which has imported everything already; return the events."""
    import torch

    events: list[dict[str, Any]] = []
    own = os.getppid() if parent is None else parent
    base_model = str(start or settings.base_model)
    values = settings.model_dump(mode="json")
    try:
        worker.train(TrainingTask(values, base_model, start is not None, *lesson, str(directory), own), events.append)
    finally:
        torch.use_deterministic_algorithms(False)
    return events


def weights_of(directory: Path) -> dict[str, Any]:
    """Return all weights of a checkpoint, those of sub-folders too."""
    from safetensors.torch import load_file

    return {
        (file.parent.relative_to(directory) / name).as_posix(): weights
        for file in sorted(directory.rglob("*.safetensors"))
        for name, weights in load_file(file).items()
    }


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights and its own tokenizer: a real one, small enough to train in a second."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model", PROMPT)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT with random weights, as a plain transformers directory."""
    return write_tiny_encoder(tmp_path_factory.mktemp("tiny") / "encoder")


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    static = {"kind": "static", "model": str(static_model_directory())}
    return policy_in(
        tmp_path_factory.mktemp("policy"),
        policy={"name": "negative", "question": "Strongly negative?", "guideline": "Strongly negative remarks."},
        labeler={"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]},
        embedding=static,
        student={"kind": "linear", "embedding": static},
    )


@pytest.fixture(scope="session")
def lesson() -> tuple[list[str], list[bool]]:
    pairs = [("good", "fine"), ("bad", "awful"), ("fine", "good"), ("good", "good")]
    texts = [f"{first} {second} {number}" for number in range(6) for first, second in pairs]
    return texts, ["bad" in text for text in texts]
