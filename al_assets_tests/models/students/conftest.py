from pathlib import Path

import pytest

from al_assets.config import Policy
from al_assets.demo.fetch import static_model_directory
from al_assets_tests.support.policies import policy_in
from al_assets_tests.support.tiny_models import write_tiny_model

PROMPT = "Remark: {text}\nStrongly negative?"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights and its own tokenizer: a real one, small enough to train in a second."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model", PROMPT)


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
