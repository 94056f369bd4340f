"""A causal language model run by transformers in this process."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.config import CausalLMSettings
from al_assets.models.labelers.prompts import PromptTemplate, in_chat
from al_assets.models.labelers.protocol import LanguageModelLabeler, probability
from al_assets.models.labelers.yes_no import YesNoScorer, load_tokenizer


class CausalLMLabeler(LanguageModelLabeler):
    """A causal language model, loaded by the first ``score``; a text too long for max_tokens is cut at its end."""

    def __init__(self, settings: CausalLMSettings, fingerprint: str, template: PromptTemplate, model: str) -> None:
        """Name the model; it is loaded by the first ``score``.

        :param model: directory or model hub name.
        """
        self.fingerprint = fingerprint
        self.batch_size = settings.batch_size
        self._settings = settings
        self._template = template
        self._asked = template
        self._model = model
        self._scorer: YesNoScorer | None = None

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return logit(yes) - logit(no) of each text, shape (n,).

        :raises ModelError: the model cannot be loaded.
        :raises PromptError: the prompt alone exceeds max_tokens.
        """
        scorer, prompts = self._prompts(texts)
        return scorer.score(prompts)

    def score_with_states(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return p_positive of each text, shape (n,), and its last hidden state, shape (n, hidden size)."""
        scorer, prompts = self._prompts(texts)
        logits, states = scorer.score_with_states(prompts)
        return probability(logits), states

    def _prompts(self, texts: Sequence[str]) -> tuple[YesNoScorer, list[str]]:
        scorer = self._scorer or self._load()
        return scorer, self._asked.fit(scorer.tokenizer, texts, self._settings.max_tokens, scorer.special_tokens)

    def close(self) -> None:
        """Free the model."""
        self._scorer = None

    def _load(self) -> YesNoScorer:
        settings = self._settings
        if settings.chat_template:
            tokenizer = load_tokenizer(self._model, settings.revision)
            self._asked = in_chat(self._template, tokenizer, self._model)
        self._scorer = YesNoScorer(
            self._model,
            settings.yes,
            settings.no,
            settings.max_tokens,
            settings.dtype,
            settings.device,
            revision=settings.revision,
            batch_size=settings.batch_size,
            prefix=self._asked.before,
            special_tokens=not settings.chat_template,
        )
        return self._scorer
