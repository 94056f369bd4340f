from pathlib import Path
from typing import Any

import pytest

from al_assets.config import Policy
from al_assets.demo.fetch import static_model_directory

PROMPT = "Remark: {text}\nStrongly negative?"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights and its own tokenizer: a real one, small enough to train in a second."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "model"
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<end>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    words.train_from_iterator([f"{PROMPT} yes no good fine bad awful"] * 5, trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=words, eos_token="<end>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    static = {"kind": "static", "model": str(static_model_directory())}
    return Policy.model_validate(
        {
            "policy": {"name": "negative", "question": "Strongly negative?", "guideline": "Strongly negative remarks."},
            "pool": {"path": "pool.jsonl"},
            "labeler": {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]},
            "embedding": static,
            "review": {"raters": ["ann", "bob"]},
            "student": {"kind": "linear", "embedding": static},
            "base_dir": tmp_path_factory.mktemp("policy"),
        }
    )


@pytest.fixture(scope="session")
def lesson() -> tuple[list[str], list[bool]]:
    pairs = [("good", "fine"), ("bad", "awful"), ("fine", "good"), ("good", "good")]
    texts = [f"{first} {second} {number}" for number in range(6) for first, second in pairs]
    return texts, ["bad" in text for text in texts]
