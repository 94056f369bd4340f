"""A language model behind an OpenAI-compatible completions URL, or on a vLLM server started for the labelling."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.config import OpenAISettings, VLLMSettings
from al_assets.models.labelers.causal_lm import probability
from al_assets.models.labelers.completions import CompletionsClient, Endpoint
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.labelers.protocol import Closing, LabelerError
from al_assets.models.labelers.vllm_server import VLLMServer
from al_assets.models.labelers.yes_no import load_tokenizer

# Known to take lists, unlike OpenAI-compatible servers in general; saves most of the HTTP work.
_PROMPTS_PER_REQUEST = 8


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


class VLLMLabeler(Closing):
    """p_positive = p(yes) / (p(yes) + p(no)) of the first token after the policy's prompt."""

    def __init__(
        self, settings: VLLMSettings, fingerprint: str, template: PromptTemplate, model: str, python: str
    ) -> None:
        """Name model and interpreter; the server is started by the first ``score``."""
        self.fingerprint = fingerprint
        self.batch_size = settings.batch_size
        self.server: VLLMServer | None = None
        self._settings = settings
        self._template = template
        self._model = model
        self._python = python
        self._client: CompletionsClient | None = None
        self._tokenizer: object = None

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,); a text too long for max_tokens is cut at its end.

        :raises LabelerError: the server does not start, or went away; with the last lines of its log.
        """
        return probability(self.logits(texts))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(yes) - log p(no) of each text, shape (n,)."""
        client = self._client or self._open()
        try:
            return client.log_odds(self._template.fit(self._tokenizer, texts, self._settings.max_tokens))
        except LabelerError:
            # Whoever tries again gets a new server rather than the same dead one.
            self.close()
            raise

    def close(self) -> None:
        """Stop the server."""
        try:
            if self._client:
                self._client.close()
        finally:
            self._client = None
            if self.server:
                self.server.close()
            self.server = None

    def _open(self) -> CompletionsClient:
        settings = self._settings
        self._tokenizer = load_tokenizer(self._model, settings.revision)
        self.server = VLLMServer.start(
            self._model,
            python=self._python,
            arguments=_arguments(settings, self._model),
            environment=settings.environment,
            timeout_seconds=settings.start_timeout_seconds,
        )
        endpoint = Endpoint(
            url=self.server.url,
            model=self.server.model,
            api_key=self.server.api_key,
            concurrency=settings.concurrency,
            timeout_seconds=settings.timeout_seconds,
            max_retries=settings.max_retries,
            check=self.server.check,
        )
        self._client = CompletionsClient(
            endpoint, settings.yes, settings.no, settings.top_logprobs, prompts_per_request=_PROMPTS_PER_REQUEST
        )
        return self._client


def _arguments(settings: VLLMSettings, model: str) -> list[str]:
    revision = ["--revision", settings.revision] if settings.revision and not os.path.isdir(model) else []
    return [
        "--dtype", settings.dtype,
        # One token more than the prompt, for the answer.
        "--max-model-len", str(settings.max_tokens + 1),
        "--max-logprobs", str(settings.top_logprobs),
        "--generation-config", "vllm",
        *revision,
        *settings.extra_arguments,
    ]  # fmt: skip
