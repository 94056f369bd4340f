"""How strongly a causal language model leans to yes at the end of a prompt, without Dagster, policy or settings."""

import copy
import os
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What may follow the shared prefix: a token of the prefix that merges with any of these is left out of the shared part.
_CONTINUATIONS = ("a", "Z", "1", " a", "  a", "\n", "\n\n", ".", "'", '"', "@", "#", "é", "中", "😀")
# Below this many tokens copying the cache costs more than computing the prefix again.
_WORTH_SHARING = 8


class ModelError(ValueError):
    """A language model or its prompt cannot be used; the message names the model, the value and the way out."""


class YesNoScorer:
    """A causal language model asked for one word; its score is logit(yes) - logit(no) at the last prompt token.

    Padding is on the right and the last real token of each row is gathered. Only the two logits are computed, and in
    float32: a bfloat16 logit near 16 has steps of 1/8, which would tie the scores of unlike items. What a row scores
    depends on nothing but its batch, so the same batches give the same scores bit for bit.
    """

    def __init__(
        self,
        model_dir: str | os.PathLike[str],
        yes: str = " yes",
        no: str = " no",
        max_tokens: int = 512,
        dtype: str = "bfloat16",
        device: str = "cpu",
        *,
        revision: str = "",
        batch_size: int = 32,
        prefix: str = "",
        special_tokens: bool = True,
    ) -> None:
        """Load the model.

        :param max_tokens: longest prompt, in tokens.
        :param dtype: bfloat16, float16 or float32.
        :param prefix: text that (nearly) every prompt starts with; its part of the attention cache is computed once.
        :param special_tokens: let the tokenizer add its own; off when a chat template has written them already.
        :raises ModelError: the model cannot be loaded, or yes and no start with the same token.
        """
        import torch

        self.model_dir = str(model_dir)
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device
        self.special_tokens = special_tokens
        self.tokenizer = load_tokenizer(self.model_dir, revision)
        self.yes_id, self.no_id = yes_no_tokens(self.tokenizer, yes, no)
        self._model = _load_model(self.model_dir, revision, getattr(torch, dtype), device)
        self._head = _two_token_head(self._model, self.yes_id, self.no_id)
        self._model.set_output_embeddings(self._head)
        self._prefix_tokens = self._shared_tokens(prefix) if prefix else []
        self._prefix_cache: Any = None

    def score(self, prompts: Sequence[str]) -> NDArray[np.float64]:
        """Return logit(yes) - logit(no) for each prompt, in the order given.

        :raises ModelError: a prompt is empty or longer than max_tokens.
        """
        return self._score_all(prompts, None)

    def score_with_states(self, prompts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the scores, and the hidden states they are computed from: the last layer's at the last prompt token.

        :return: shapes (prompts,) and (prompts, hidden size).
        :raises ModelError: a prompt is empty or longer than max_tokens.
        """
        states = np.empty((len(prompts), self._head.weight.shape[1]), dtype=np.float32)
        return self._score_all(prompts, states), states

    def _score_all(self, prompts: Sequence[str], states: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Return the scores; put the hidden states into ``states`` where it is given."""
        import torch

        rows = self._tokenize(prompts)
        self._check_lengths(rows)
        scores = np.empty(len(rows), dtype=np.float64)
        shared = self._prefix_tokens
        sharing = [bool(shared) and len(row) > len(shared) and row[: len(shared)] == shared for row in rows]
        with torch.inference_mode():
            for group in (True, False):
                order = sorted((i for i in range(len(rows)) if sharing[i] is group), key=lambda i: (len(rows[i]), i))
                for start in range(0, len(order), self.batch_size):
                    batch = order[start : start + self.batch_size]
                    scores[batch] = self._score_batch([rows[i] for i in batch], shared if group else [])
                    if states is not None:
                        states[batch] = self._head.seen.cpu().numpy()
        if not np.isfinite(scores).all():
            bad = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise ModelError(
                f"{self.model_dir}: score of {prompts[bad][-80:]!r} is {scores[bad]}; try dtype float32 instead of "
                f"{str(self._model.dtype).removeprefix('torch.')}, or another model"
            )
        return scores

    def _tokenize(self, prompts: Sequence[str]) -> list[list[int]]:
        if not prompts:
            return []
        tokens: list[list[int]] = self.tokenizer(list(prompts), add_special_tokens=self.special_tokens)["input_ids"]
        return tokens

    def _check_lengths(self, rows: Sequence[Sequence[int]]) -> None:
        for index, row in enumerate(rows):
            if not row:
                raise ModelError(f"prompt {index}: is empty; a prompt needs at least one token")
            if len(row) > self.max_tokens:
                raise ModelError(
                    f"prompt {index}: has {len(row)} tokens, max_tokens is {self.max_tokens}; raise max_tokens or "
                    "shorten the text first (PromptTemplate.fit does)"
                )

    def _score_batch(self, rows: Sequence[Sequence[int]], shared: Sequence[int]) -> NDArray[np.float64]:
        import torch

        tails = [row[len(shared) :] for row in rows]
        # Right padding under a causal mask is never looked at by the tokens before it, so its value is irrelevant.
        ids = torch.zeros((len(tails), max(map(len, tails))), dtype=torch.long)
        for index, tail in enumerate(tails):
            ids[index, : len(tail)] = torch.tensor(tail)
        cache = self._copied_cache(len(tails)) if shared else None
        self._head.last = torch.tensor([len(tail) - 1 for tail in tails], device=self.device)
        output = self._model(input_ids=ids.to(self.device), past_key_values=cache, use_cache=cache is not None)
        logits = output.logits[:, 0, :].double().cpu().numpy()
        return np.asarray(logits[:, 0] - logits[:, 1], dtype=np.float64)

    def _shared_tokens(self, prefix: str) -> list[int]:
        rows = self._tokenize([prefix + continuation for continuation in _CONTINUATIONS])
        columns = takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))
        shared = [column[0] for column in columns][: self.max_tokens - 1]
        if len(shared) < _WORTH_SHARING or not self._can_share(shared):
            return []
        return shared

    def _can_share(self, shared: Sequence[int]) -> bool:
        """Say whether the model keeps plain per-token keys and values, which can be copied to every row."""
        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        layers = getattr(self._compute_cache(shared[:1]), "layers", ())
        return bool(layers) and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)

    def _compute_cache(self, tokens: Sequence[int]) -> Any:
        import torch

        self._head.last = torch.tensor([len(tokens) - 1], device=self.device)
        with torch.inference_mode():
            output = self._model(input_ids=torch.tensor([list(tokens)], device=self.device), use_cache=True)
        return getattr(output, "past_key_values", None)

    def _copied_cache(self, rows: int) -> Any:
        if self._prefix_cache is None:
            self._prefix_cache = self._compute_cache(self._prefix_tokens)
        cache = copy.deepcopy(self._prefix_cache)
        cache.batch_repeat_interleave(rows)
        return cache


def load_tokenizer(model_dir: str, revision: str = "") -> Any:
    """Load the tokenizer of a model directory or model hub name.

    :raises ModelError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model_dir, **hub_revision(model_dir, revision))
    except (OSError, ValueError) as error:
        raise _cannot_load("tokenizer", model_dir, error) from error


def yes_no_tokens(tokenizer: Any, yes: str, no: str) -> tuple[int, int]:
    """Return the ids of the first tokens of yes and no, as they are written after a prompt.

    :raises ModelError: an answer has no token, or both start with the same one.
    """
    return first_tokens(lambda text: tokenizer(text, add_special_tokens=False)["input_ids"], yes, no)


def first_tokens(tokenize: Callable[[str], list[int]], yes: str, no: str) -> tuple[int, int]:
    """Return the ids of the first tokens of yes and no, as they are written after a prompt.

    :param tokenize: text to token ids, without special tokens.
    :raises ModelError: an answer has no token, or both start with the same one.
    """
    ids = _first_token(tokenize, yes), _first_token(tokenize, no)
    if ids[0] == ids[1]:
        raise ModelError(
            f"yes, no: {yes!r} and {no!r} both start with token {ids[0]}, so they cannot be told apart; choose answers "
            "with different first tokens, such as ' yes' and ' no'"
        )
    return ids


def _first_token(tokenize: Callable[[str], list[int]], answer: str) -> int:
    # Some tokenizers put a space before whatever stands alone: so the answer is looked at where it will stand.
    context = "Answer:" if answer[:1].isspace() else "Answer:\n"
    before, after = tokenize(context), tokenize(context + answer)
    if after[: len(before)] == before and len(after) > len(before):
        return int(after[len(before)])
    alone = tokenize(answer)
    if not alone:
        raise ModelError(f"yes, no: {answer!r} has no token; name a word such as ' yes'")
    return int(alone[0])


def _load_model(model_dir: str, revision: str, dtype: Any, device: str) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, **hub_revision(model_dir, revision))
    except (OSError, ValueError) as error:
        raise _cannot_load("causal language model", model_dir, error) from error
    return model.to(device).eval()


def hub_revision(model_dir: str, revision: str) -> dict[str, str]:
    """Return what a hub is to be told: a revision names a commit there; for a directory it is only an author's mark."""
    return {} if os.path.isdir(model_dir) or not revision else {"revision": revision}


def _cannot_load(what: str, model_dir: str, error: Exception) -> ModelError:
    kind = "directory" if os.path.isdir(model_dir) else "model hub name (no such directory here)"
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"model: {model_dir!r} is a {kind} without a usable {what}: {reason}. Name a transformers directory "
        "(config.json, model.safetensors, tokenizer.json) or a model hub name that can be reached"
    )


def _two_token_head(model: Any, yes_id: int, no_id: int) -> Any:
    """Build an output layer for the two answers; soft-capping and scaling in the model's forward still apply."""
    import torch

    class TwoTokenHead(torch.nn.Module):
        def __init__(self, head: Any) -> None:
            super().__init__()
            chosen = [yes_id, no_id]
            bias = getattr(head, "bias", None)
            self.weight = torch.nn.Parameter(head.weight[chosen].detach().float(), requires_grad=False)
            self.bias = None if bias is None else torch.nn.Parameter(bias[chosen].detach().float(), requires_grad=False)
            self.last: Any = None
            self.seen: Any = None

        def forward(self, hidden: Any) -> Any:
            rows = torch.arange(hidden.shape[0], device=hidden.device)
            self.seen = hidden[rows, self.last].float()
            return torch.nn.functional.linear(self.seen, self.weight, self.bias)[:, None, :]

    head = model.get_output_embeddings()
    if head is None:
        raise ModelError(f"model: {model.config.model_type} has no output embeddings; use a causal language model")
    return TwoTokenHead(head)
