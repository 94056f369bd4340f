from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.models.labelers.yes_no import ModelError, YesNoScorer, first_tokens
from al_assets_tests.models.labelers.conftest import TEXTS

BEFORE = "A remark is strongly negative when its writer is hostile.\n\nAnswer with one word, yes or no.\n\nText: "
AFTER = "\nStrongly negative?\nAnswer:"
PROMPTS = [BEFORE + text + AFTER for text in TEXTS]
KINDS = ("llama", "gpt2", "gemma2", "gemma3", "mamba")


def reference(model_dir: str, prompts: Sequence[str], yes_id: int, no_id: int) -> NDArray[np.float64]:
    """Score prompts one by one with the whole model and the whole vocabulary."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model_dir)
    model: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model.eval()
    with torch.inference_mode():
        logits = [model(**tokenizer(each, return_tensors="pt")).logits[0, -1] for each in prompts]
    return np.array([float(each[yes_id] - each[no_id]) for each in logits])


def count_tokens_computed(scorer: YesNoScorer) -> list[int]:
    seen: list[int] = []
    scorer._model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_whole_model_on_each_prompt_alone(kind: str, tiny_model: Callable[[str], str]) -> None:
    scorer = YesNoScorer(tiny_model(kind), dtype="float32", batch_size=4)
    expected = reference(tiny_model(kind), PROMPTS, scorer.yes_id, scorer.no_id)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scorer.score(PROMPTS), expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_sharing_the_prefix_does_not_change_scores(kind: str, tiny_model: Callable[[str], str]) -> None:
    alone = YesNoScorer(tiny_model(kind), dtype="float32", batch_size=4)
    sharing = YesNoScorer(tiny_model(kind), dtype="float32", batch_size=4, prefix=BEFORE)
    np.testing.assert_allclose(sharing.score(PROMPTS), alone.score(PROMPTS), atol=2e-5)
    np.testing.assert_allclose(sharing.score(PROMPTS[::-1]), alone.score(PROMPTS)[::-1], atol=2e-5)


def test_the_shared_prefix_is_computed_once(tiny_model: Callable[[str], str]) -> None:
    scorer = YesNoScorer(tiny_model("llama"), dtype="float32", batch_size=1, prefix=BEFORE)
    shared = len(scorer._prefix_tokens)
    assert shared >= 20
    computed = count_tokens_computed(scorer)
    scorer.score(PROMPTS)
    scorer.score(PROMPTS)
    assert sum(computed) == shared + 2 * sum(len(tokens) - shared for tokens in scorer.tokenizer(PROMPTS)["input_ids"])


def test_a_model_with_a_recurrent_state_shares_nothing(tiny_model: Callable[[str], str]) -> None:
    assert YesNoScorer(tiny_model("mamba"), dtype="float32", prefix=BEFORE)._prefix_tokens == []


def test_prompts_that_do_not_start_with_the_prefix_are_scored_too(tiny_model: Callable[[str], str]) -> None:
    prompts = [PROMPTS[0], "Something else.\nAnswer:", BEFORE[:40], PROMPTS[1]]
    sharing = YesNoScorer(tiny_model("llama"), dtype="float32", prefix=BEFORE)
    expected = reference(tiny_model("llama"), prompts, sharing.yes_id, sharing.no_id)
    np.testing.assert_allclose(sharing.score(prompts), expected, atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_batches_score_the_same_bits_whatever_was_scored_before(
    dtype: str, tiny_model: Callable[[str], str]
) -> None:
    first = YesNoScorer(tiny_model("llama"), dtype=dtype, prefix=BEFORE)
    second = YesNoScorer(tiny_model("llama"), dtype=dtype, prefix=BEFORE)
    second.score(PROMPTS[5:])
    assert first.score(PROMPTS).tobytes() == second.score(PROMPTS).tobytes()


def test_no_prompts_give_no_scores(tiny_model: Callable[[str], str]) -> None:
    assert YesNoScorer(tiny_model("llama")).score([]).shape == (0,)


def test_a_prompt_longer_than_the_limit_is_refused(tiny_model: Callable[[str], str]) -> None:
    with pytest.raises(ModelError, match=r"prompt 1: has \d+ tokens, max_tokens is 10; raise max_tokens"):
        YesNoScorer(tiny_model("llama"), max_tokens=10).score(["Fine.", PROMPTS[0]])


def test_an_empty_prompt_is_refused(tiny_model: Callable[[str], str]) -> None:
    with pytest.raises(ModelError, match="prompt 0: is empty"):
        YesNoScorer(tiny_model("llama")).score([""])


def test_answers_that_start_alike_are_refused(tiny_model: Callable[[str], str]) -> None:
    with pytest.raises(ModelError, match="' yes' and ' yes' both start with token"):
        YesNoScorer(tiny_model("llama"), no=" yes")


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a directory without a usable tokenizer"):
        YesNoScorer(tmp_path)


def test_weights_that_overflow_are_not_passed_on(tmp_path: Path, tiny_model: Callable[[str], str]) -> None:
    scorer = YesNoScorer(tiny_model("llama"), dtype="float32")
    scorer._head.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"score of .* is nan; try"):
        scorer.score(PROMPTS)


def test_the_first_token_is_looked_for_where_the_answer_will_stand() -> None:
    # Like a SentencePiece tokenizer, which puts a space token before whatever stands alone.
    vocabulary = {"Answer": 1, ":": 2, "\n": 3, "▁": 4, "yes": 5, "no": 6, "▁yes": 7, "▁no": 8}

    def tokenize(text: str) -> list[int]:
        rest, ids = text.replace(" ", "▁"), []
        if not rest.startswith("Answer"):
            rest = "▁" + rest.lstrip("▁") if not rest.startswith("▁") else "▁" + rest
        while rest:
            piece = max((each for each in vocabulary if rest.startswith(each)), key=len)
            ids.append(vocabulary[piece])
            rest = rest[len(piece) :]
        return ids

    assert first_tokens(tokenize, " yes", " no") == (7, 8)
    assert first_tokens(tokenize, "yes", "no") == (5, 6)


@pytest.mark.slow
def test_smollm2_scores_with_a_shared_prefix(smollm2: str) -> None:
    single = YesNoScorer(smollm2, dtype="float32", batch_size=5, prefix=BEFORE)
    assert (single.yes_id, single.no_id) == (9805, 787)
    assert len(single._prefix_tokens) >= 15
    expected = reference(smollm2, PROMPTS, 9805, 787)
    np.testing.assert_allclose(single.score(PROMPTS), expected, atol=1e-3)
    half = YesNoScorer(smollm2, dtype="bfloat16", batch_size=5, prefix=BEFORE)
    # bfloat16 keeps 8 bits: measured differences reach .16 where the scores' standard deviation is .3.
    np.testing.assert_allclose(half.score(PROMPTS), expected, atol=0.4)
