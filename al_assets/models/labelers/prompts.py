"""From the policy to the prompt a language model reads, with only the item's text left open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from al_assets.config import PolicyText, PromptSettings
from al_assets.models.labelers.yes_no import ModelError

_MARK = "\N{SYMBOL FOR UNIT SEPARATOR}TEXT\N{SYMBOL FOR UNIT SEPARATOR}"


class PromptError(ValueError):
    """A prompt cannot be made; the message names the setting, its value and the way out."""


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt with one gap: ``before``, then the item's text, then ``after``."""

    before: str
    after: str

    @classmethod
    def parse(cls, prompt: str, setting: str = "prompt") -> "PromptTemplate":
        """Cut a prompt at its ``{text}``; other braces are left as they are.

        :raises PromptError: ``{text}`` is not there exactly once.
        """
        parts = prompt.split("{text}")
        if len(parts) != 2:
            raise PromptError(f"{setting}: {prompt!r} holds {{text}} {len(parts) - 1} times; write it exactly once")
        return cls(*parts)

    def fill(self, text: str) -> str:
        """Return the prompt for a text."""
        return self.before + text + self.after

    def fit(self, tokenizer: Any, texts: Sequence[str], max_tokens: int, special_tokens: bool = True) -> list[str]:
        """Return the prompts for the texts; a text too long for max_tokens loses its end, the prompt around it nothing.

        :raises PromptError: the prompt alone has no room for a text.
        """
        if not texts:
            return []

        def lengths(prompts: Sequence[str]) -> list[int]:
            return [len(ids) for ids in tokenizer(list(prompts), add_special_tokens=special_tokens)["input_ids"]]

        prompts = [self.fill(text) for text in texts]
        too_long = [index for index, length in enumerate(lengths(prompts)) if length > max_tokens]
        if too_long:
            alone = lengths([self.fill("")])[0]
            if alone >= max_tokens:
                raise PromptError(
                    f"max_tokens: {max_tokens} leaves no room for a text; the prompt alone has {alone} tokens. "
                    "Raise max_tokens, or shorten the guideline or the examples"
                )
            for index in too_long:
                prompts[index] = self._cut(tokenizer, texts[index], max_tokens - alone, max_tokens, lengths)
        return prompts

    def _cut(self, tokenizer: Any, text: str, room: int, max_tokens: int, lengths: Any) -> str:
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        # Where text and prompt meet, tokens may split differently than in the text alone: so the result is measured.
        for keep in range(min(room, len(offsets)), 0, -1):
            prompt = self.fill(text[: offsets[keep - 1][1]])
            if lengths([prompt])[0] <= max_tokens:
                return prompt
        return self.fill("")


def policy_prompt(settings: PromptSettings, policy: PolicyText) -> PromptTemplate:
    """Fill in everything but the text.

    :raises PromptError: the prompt does not hold ``{text}`` exactly once.
    """
    PromptTemplate.parse(settings.prompt, "labeler.prompt")
    filled = policy.fill(settings.prompt, examples=_examples(settings, policy), text=_MARK)
    return PromptTemplate(*filled.split(_MARK))


def in_chat(template: PromptTemplate, tokenizer: Any, model: str) -> PromptTemplate:
    """Wrap a prompt as one user message of the tokenizer's chat template, up to where the answer begins.

    :raises ModelError: the tokenizer has no chat template, or the template changes the message.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"chat_template: the tokenizer of {model!r} has none; set labeler.chat_template to false")
    message = [{"role": "user", "content": template.fill(_MARK)}]
    parts = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True).split(_MARK)
    if len(parts) != 2:
        raise ModelError(
            f"chat_template: that of {model!r} repeats or drops the message; set labeler.chat_template to false"
        )
    return PromptTemplate(*parts)


def _examples(settings: PromptSettings, policy: PolicyText) -> str:
    shown = []
    for example in policy.examples:
        answer = settings.yes if example.label == "positive" else settings.no
        gap = "" if answer[:1].isspace() else " "
        shown.append(f"Text: {example.text}\nQuestion: {policy.question.strip()}\nAnswer:{gap}{answer}\n\n")
    return "".join(shown)
