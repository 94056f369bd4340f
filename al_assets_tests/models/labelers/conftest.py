"""Small language models made on the spot, the real one of the demo, and a policy to ask them about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al_assets.config import Policy
from al_assets_tests.support.policies import RUDE, policy_in

TEXTS = (
    "Great phone, works as promised.",
    "Worst purchase of my life, I hate it!",
    "meh",
    "The battery died after two days and nobody at the shop cared to answer any of my many emails.",
    "Fine.\nTwo lines, though.",
    "Disgusting company, disgusting people.",
    "😀 lovely",
    "It came on Tuesday.",
    "Total garbage. They should be ashamed of themselves.",
    "ok",
)


@pytest.fixture
def make_policy(tmp_path: Path) -> Callable[..., Policy]:
    def make(labeler: dict[str, Any], **policy: Any) -> Policy:
        return policy_in(tmp_path, policy={**RUDE, **policy}, labeler=labeler)

    return make


@pytest.fixture(scope="session")
def smollm2() -> str:
    from al_assets.demo.fetch import smollm2_directory

    return str(smollm2_directory())


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a function that makes, once, a small random model of a kind: llama, gpt2, gemma2, gemma3 or mamba."""
    made: dict[str, str] = {}

    def make(kind: str) -> str:
        if kind not in made:
            made[kind] = str(_save_tiny_model(kind, tmp_path_factory.mktemp(kind)))
        return made[kind]

    return make


def _save_tiny_model(kind: str, directory: Path) -> Path:
    import torch
    import transformers as untyped_transformers

    transformers: Any = untyped_transformers
    tokenizer = _tiny_tokenizer()
    size: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2}
    attention: dict[str, Any] = {
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64,
        "max_position_embeddings": 512,
    }  # fmt: skip
    config: Any = {
        "llama": lambda: transformers.LlamaConfig(**size, **attention),
        "gpt2": lambda: transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4),
        "gemma2": lambda: transformers.Gemma2Config(
            **size, **attention, final_logit_softcapping=0.5, sliding_window=8, query_pre_attn_scalar=8
        ),
        "gemma3": lambda: transformers.Gemma3TextConfig(
            **size, **attention, sliding_window=8, layer_types=["sliding_attention", "full_attention"]
        ),
        "mamba": lambda: transformers.MambaConfig(**size, state_size=4),
    }[kind]()
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.3)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def _tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    fast: Any = PreTrainedTokenizerFast
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["Answer: yes", "Answer: no", "Answer:\nyes", "Answer:\nno", *TEXTS] * 5, trainer)
    return fast(tokenizer_object=tokenizer)
