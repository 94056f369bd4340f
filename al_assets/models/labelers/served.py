"""A language model behind an OpenAI-compatible completions URL, or on a vLLM server started for the labelling."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.config import OpenAISettings, VLLMSettings
from al_assets.config.labelers import CompletionsSettings
from al_assets.models.labelers.completions import CompletionsClient
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.labelers.protocol import LabelerError, LanguageModelLabeler
from al_assets.models.labelers.vllm_server import VLLMServer
from al_assets.models.labelers.yes_no import load_tokenizer

# Known to take lists, unlike OpenAI-compatible servers in general; saves most of the HTTP work.
_PROMPTS_PER_REQUEST = 8


class _ServedLabeler(LanguageModelLabeler):
    """Asks a completions server, which is first spoken to by the first ``score``."""

    def __init__(self, settings: CompletionsSettings, fingerprint: str, template: PromptTemplate) -> None:
        self.fingerprint = fingerprint
        self.batch_size = settings.batch_size
        self._template = template
        self._client: CompletionsClient | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client:
            self._client.close()
            self._client = None


class OpenAILabeler(_ServedLabeler):
    """A language model behind an OpenAI-compatible URL."""

    def __init__(self, settings: OpenAISettings, fingerprint: str, template: PromptTemplate) -> None:
        """Name the server."""
        super().__init__(settings, fingerprint, template)
        self._settings = settings

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(yes) - log p(no) of each text, shape (n,).

        :raises LabelerError: the server cannot be reached, refuses, or returns no log-probability of the answers.
        """
        client = self._client or self._open()
        return client.log_odds([self._template.fill(text) for text in texts])

    def _open(self) -> CompletionsClient:
        settings, key = self._settings, None
        if settings.api_key_env is not None:
            key = os.environ.get(settings.api_key_env)
            if not key:
                raise LabelerError(
                    f"labeler.api_key_env: {settings.api_key_env} is not set; put the server's API key into it"
                )
        if not settings.base_url.startswith(("http://", "https://")):
            raise LabelerError(
                f"labeler.base_url: {settings.base_url!r} is not a URL; write it as in http://127.0.0.1:8000/v1"
            )
        self._client = CompletionsClient(settings, settings.base_url, settings.model, key, settings.api_key_env)
        return self._client


class VLLMLabeler(_ServedLabeler):
    """A language model on a vLLM server of its own; a text too long for max_tokens is cut at its end."""

    def __init__(
        self, settings: VLLMSettings, fingerprint: str, template: PromptTemplate, model: str, python: str
    ) -> None:
        """Name model and interpreter; the server is started by the first ``score``."""
        super().__init__(settings, fingerprint, template)
        self.server: VLLMServer | None = None
        self._settings = settings
        self._model = model
        self._python = python
        self._tokenizer: object = None

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(yes) - log p(no) of each text, shape (n,).

        :raises LabelerError: the server does not start, or went away; with the last lines of its log.
        """
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
            super().close()
        finally:
            self._client = None
            if self.server:
                self.server.close()
            self.server = None

    def _open(self) -> CompletionsClient:
        settings = self._settings
        self._tokenizer = load_tokenizer(self._model, settings.revision)
        self.server = server = VLLMServer.start(
            self._model,
            python=self._python,
            arguments=_arguments(settings, self._model),
            environment=settings.environment,
            timeout_seconds=settings.start_timeout_seconds,
        )
        self._client = CompletionsClient(
            settings, server.url, server.model, server.api_key, check=server.check,
            prompts_per_request=_PROMPTS_PER_REQUEST,
        )  # fmt: skip
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
