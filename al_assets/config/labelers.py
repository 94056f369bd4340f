"""Who labels the pool: functions, keywords, classifiers, language models, and combinations of them."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from al_assets.config.section import OPERATIONAL, Positive, Section, Text


class FunctionsSettings(Section):
    """Labelling functions: ``module:function`` paths, each ``str -> float | None`` in [0, 1], averaged."""

    kind: Literal["functions"]
    functions: Annotated[tuple[Text, ...], Field(min_length=1)]
    revision: str = ""


class ClassifierSettings(Section):
    """Any classifier with ``predict_proba(list of str)``: a joblib file, or a ``module:factory`` path."""

    kind: Literal["classifier"]
    model: Text
    revision: str = ""


class PromptSettings(Section):
    """How an LLM is asked: ``{guideline}``, ``{question}``, ``{examples}`` and ``{text}`` are filled in."""

    prompt: Text = (
        "{guideline}\n\n{examples}Answer with one word, yes or no.\n\nText: {text}\nQuestion: {question}\nAnswer:"
    )
    yes: Text = " yes"
    no: Text = " no"


class CausalLMSettings(PromptSettings):
    """A causal language model run by transformers; score = logit(yes) - logit(no) at the last prompt token."""

    kind: Literal["causal_lm"]
    model: Text
    revision: str = ""
    chat_template: bool = False
    dtype: Literal["bfloat16", "float32", "float16"] = "bfloat16"
    max_tokens: Positive = 512
    batch_size: Annotated[Positive, OPERATIONAL] = 32
    device: Annotated[str, OPERATIONAL] = "cpu"


class CompletionsSettings(PromptSettings):
    """How a language model behind a completions URL is asked, whoever runs its server."""

    top_logprobs: Annotated[int, Field(ge=2, le=1000)] = 20
    concurrency: Annotated[Positive, OPERATIONAL] = 16
    timeout_seconds: Annotated[float, Field(gt=0), OPERATIONAL] = 60
    max_retries: Annotated[int, Field(ge=0), OPERATIONAL] = 5
    batch_size: Annotated[Positive, OPERATIONAL] = 256


class OpenAISettings(CompletionsSettings):
    """A language model behind an OpenAI-compatible completions URL, such as a running vLLM server."""

    kind: Literal["openai"]
    base_url: Annotated[Text, OPERATIONAL]
    model: Text
    revision: str = ""
    api_key_env: Annotated[str | None, OPERATIONAL] = None


class VLLMSettings(CompletionsSettings):
    """A vLLM server that the labelling step starts in its own process and stops when done."""

    kind: Literal["vllm"]
    model: Text
    revision: str = ""
    python: Annotated[Text, OPERATIONAL] = "python"
    dtype: Text = "bfloat16"
    max_tokens: Positive = 512
    extra_arguments: Annotated[tuple[str, ...], OPERATIONAL] = ()
    environment: Annotated[dict[str, str], OPERATIONAL] = {}
    start_timeout_seconds: Annotated[float, Field(gt=0), OPERATIONAL] = 600


class KeywordsSettings(Section):
    """Words that speak for and against: p_positive 1 or 0, no vote where neither or both kinds are found.

    :param positive: words and phrases that only positive items are expected to hold; ``negative`` the other way round.
    :param regex: they are regular expressions, used as written but for ``ignore_case``.
    :param whole_words: "hat" is not found in "that"; for words, not for regular expressions.
    """

    kind: Literal["keywords"]
    positive: tuple[Text, ...] = ()
    negative: tuple[Text, ...] = ()
    regex: bool = False
    whole_words: bool = True
    ignore_case: bool = True

    @field_validator("positive", "negative")
    @classmethod
    def _not_blank(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(not word.strip() for word in words):
            raise ValueError("a keyword is blank, which is found in every text; leave it out")
        return words

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.positive and not self.negative:
            raise ValueError("keywords: neither positive nor negative words are named; name some of either")
        both = sorted(set(self.positive) & set(self.negative))
        if both:
            raise ValueError(f"keywords: {both[0]!r} is both positive and negative; keep it on one side")
        for pattern in (*self.positive, *self.negative) if self.regex else ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"keywords: {pattern!r} is not a regular expression: {error}; mend it, or set regex to false to "
                    "look for it as written"
                ) from error
        return self


class CombinationSettings(Section):
    """Several labelers as one.

    :param method: mean: the mean of their p_positive, by weight, the expected prevalence where one abstains;
        label_model: what a label model makes of their votes, which finds out how far to trust each. There every
        function of a ``functions`` labeler is a member of its own.
    """

    kind: Literal["combination"]
    labelers: Annotated[tuple["LabelerSettings", ...], Field(min_length=2)]
    method: Literal["mean", "label_model"] = "mean"
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.labelers):
            raise ValueError(f"weights: {len(self.weights)} weights for {len(self.labelers)} labelers; give one each")
        return self

    @model_validator(mode="after")
    def _a_label_model_weighs_by_itself(self) -> Self:
        if self.method == "label_model" and self.weights is not None:
            raise ValueError("weights: a label model finds its own; leave them out, or set method to mean")
        if any(isinstance(each, CombinationSettings) and each.method == "label_model" for each in self.labelers):
            raise ValueError(
                "labelers: a combination by label_model cannot be a member of another; list its labelers here instead"
            )
        return self


LabelerSettings = Annotated[
    FunctionsSettings
    | KeywordsSettings
    | ClassifierSettings
    | CausalLMSettings
    | OpenAISettings
    | VLLMSettings
    | CombinationSettings,
    Field(discriminator="kind"),
]
