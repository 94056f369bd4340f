"""A language model behind an OpenAI-compatible completions URL."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.config import OpenAILabeler as OpenAISettings
from al_assets.models.labelers.causal_lm import probability
from al_assets.models.labelers.completions import CompletionsClient, Endpoint
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.labelers.protocol import Closing, LabelerError


class OpenAILabeler(Closing):
    """p_positive = p(yes) / (p(yes) + p(no)) of the first token after the policy's prompt."""

    def __init__(self, settings: OpenAISettings, fingerprint: str, template: PromptTemplate) -> None:
        """Name the server; it is first asked by the first ``score``."""
        self.fingerprint = fingerprint
        self.batch_size = settings.batch_size
        self._settings = settings
        self._template = template
        self._client: CompletionsClient | None = None

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,).

        :raises LabelerError: the server cannot be reached, refuses, or returns no log-probability of the answers.
        """
        return probability(self.logits(texts))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(yes) - log p(no) of each text, shape (n,)."""
        client = self._client or self._open()
        return client.log_odds([self._template.fill(text) for text in texts])

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()
            self._client = None

    def _open(self) -> CompletionsClient:
        settings = self._settings
        endpoint = Endpoint(
            url=settings.base_url,
            model=settings.model,
            api_key=_api_key(settings.api_key_env),
            api_key_env=settings.api_key_env,
            concurrency=settings.concurrency,
            timeout_seconds=settings.timeout_seconds,
            max_retries=settings.max_retries,
        )
        if not settings.base_url.startswith(("http://", "https://")):
            raise LabelerError(
                f"labeler.base_url: {settings.base_url!r} is not a URL; write it as in http://127.0.0.1:8000/v1"
            )
        self._client = CompletionsClient(endpoint, settings.yes, settings.no, settings.top_logprobs)
        return self._client


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise LabelerError(f"labeler.api_key_env: {variable} is not set; put the server's API key into it")
    return key
