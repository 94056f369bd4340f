"""A client for OpenAI-compatible completion servers: one token of answer, its log-probabilities, retries, errors."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import tenacity
from numpy.typing import NDArray

from al_assets.config.labelers import CompletionsSettings
from al_assets.models.labelers.protocol import Closing, LabelerError
from al_assets.models.labelers.yes_no import first_tokens

_LOG = logging.getLogger(__name__)
_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_WAIT = 30.0


class _Busy(Exception):
    """The server asked to be asked again later."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"HTTP {response.status_code}: {_said(response)}")
        self.status = response.status_code
        try:
            self.after = min(float(response.headers.get("retry-after", 0)), _LONGEST_WAIT)
        except ValueError:
            self.after = 0.0


class CompletionsClient(Closing):
    """Asks a completion server for the log-odds of yes against no as the next token."""

    def __init__(
        self,
        settings: CompletionsSettings,
        url: str,
        model: str,
        api_key: str | None,
        api_key_env: str | None = None,
        *,
        check: Callable[[], None] | None = None,
        prompts_per_request: int = 1,
    ) -> None:
        """Open a connection pool; nothing is sent yet.

        :param url: base URL, as in ``http://host:8000/v1``.
        :param api_key_env: environment variable the key was read from, for errors.
        :param check: called before each retry; raises when waiting is pointless, because the server is known to be
            gone.
        """
        self._settings = settings
        self._url = url.rstrip("/")
        self._model = model
        self._api_key_env = api_key_env
        self._check = check
        self._answers = (settings.yes, settings.no)
        self._prompts_per_request = prompts_per_request
        self._ids: tuple[int, int] | None = None
        self._asked_for_ids = False
        self._http = httpx.Client(
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=settings.concurrency),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        )

    def log_odds(self, prompts: Sequence[str]) -> NDArray[np.float64]:
        """Return log p(yes) - log p(no) of each prompt, in order, shape (n,).

        Where only one of the two is among the likeliest tokens, the other is given the log-probability of the least
        likely token returned, so the difference is a lower bound of the true one in size.

        :raises LabelerError: the server cannot be reached, refuses, or returns neither answer's log-probability.
        """
        stop = threading.Event()
        if not self._asked_for_ids:
            self._ids = self._token_ids(stop)
            self._asked_for_ids = True
        size = self._prompts_per_request
        parts = [list(prompts[start : start + size]) for start in range(0, len(prompts), size)]
        pool = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="labeler")
        try:
            futures = [pool.submit(self._ask, part, stop) for part in parts]
            return np.array([odds for future in futures for odds in future.result()], dtype=np.float64)
        finally:
            # After an error the others shall neither start nor sleep until their next attempt.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _token_ids(self, stop: threading.Event) -> tuple[int, int] | None:
        """Return the first token ids of the answers, or None where the server does not tell (vLLM and SGLang do)."""
        url = self._url.removesuffix("/v1") + "/tokenize"

        def tokenize(text: str) -> list[int]:
            response = self._post(url, {"model": self._model, "prompt": text, "add_special_tokens": False}, stop)
            return list(response.json()["tokens"])

        try:
            if not tokenize("Answer:"):
                return None
        except (_RefusedRequest, ValueError, KeyError, TypeError) as error:
            if isinstance(error, LabelerError):
                raise
            return None
        return first_tokens(tokenize, *self._answers)

    def _ask(self, prompts: Sequence[str], stop: threading.Event) -> list[float]:
        url = self._url + "/completions"
        payload: dict[str, Any] = {
            "model": self._model,
            # Not every server takes a list.
            "prompt": list(prompts) if len(prompts) > 1 else prompts[0],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": self._settings.top_logprobs,
        }
        if self._ids:
            # allowed_token_ids constrains the answer, but logprobs are those before the mask: hence also by id.
            payload |= {
                "allowed_token_ids": list(self._ids),
                "logprob_token_ids": list(self._ids),
                "return_tokens_as_token_ids": True,
            }
        try:
            response = self._post(url, payload, stop)
        except _RefusedRequest as refused:
            raise self._refusal(url, refused.response) from None
        tops = _top_logprobs(url, response, len(prompts))
        return [self._difference(url, top, prompt) for top, prompt in zip(tops, prompts, strict=True)]

    def _difference(self, url: str, top: dict[str, float], prompt: str) -> float:
        yes, no = (
            _logprob(top, answer, other, self._ids and self._ids[index])
            for index, (answer, other) in enumerate((self._answers, self._answers[::-1]))
        )
        if yes is None and no is None:
            shown = ", ".join(repr(token) for token in list(top)[:8])
            raise LabelerError(
                f"labeler.top_logprobs: neither {self._answers[0]!r} nor {self._answers[1]!r} is among the {len(top)} "
                f"likeliest next tokens ({shown}, ...) that {url} returned for the prompt ending in {prompt[-60:]!r}; "
                "raise top_logprobs, or end the prompt so that one of the two is the natural next word"
            )
        floor = min(top.values())
        return (floor if yes is None else yes) - (floor if no is None else no)

    def _post(self, url: str, payload: dict[str, Any], stop: threading.Event) -> httpx.Response:
        attempts = self._settings.max_retries + 1
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((_Busy, httpx.TransportError)),
            stop=tenacity.stop_any(tenacity.stop_after_attempt(attempts), tenacity.stop_when_event_set(stop)),
            wait=_wait,
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=lambda state: self._before_sleep(url, state),
            reraise=True,
        )
        try:
            return retrying(self._post_once, url, payload)
        except (_Busy, httpx.TransportError) as error:
            if self._check:
                self._check()
            raise self._gave_up(url, error, attempts) from error

    def _post_once(self, url: str, payload: dict[str, Any]) -> httpx.Response:
        response = self._http.post(url, json=payload)
        if response.status_code in _TRY_AGAIN:
            raise _Busy(response)
        if response.status_code != 200:
            raise _RefusedRequest(response)
        return response

    def _before_sleep(self, url: str, state: tenacity.RetryCallState) -> None:
        if self._check:
            self._check()
        cause = state.outcome.exception() if state.outcome else None
        _LOG.warning("%s: %s; attempt %d failed, trying again in %.1f s", url, cause or "no answer",
                     state.attempt_number, state.upcoming_sleep)  # fmt: skip

    def _gave_up(self, url: str, error: Exception, attempts: int) -> LabelerError:
        tried = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        if isinstance(error, httpx.TimeoutException):
            return LabelerError(
                f"labeler.timeout_seconds: {url} did not answer within {self._settings.timeout_seconds:g} s in {tried}"
                "; raise timeout_seconds, or lower concurrency. What was scored is kept: run again to go on"
            )
        if isinstance(error, _Busy):
            way_out = "lower concurrency or raise max_retries" if error.status == 429 else "look at the server's log"
            return LabelerError(
                f"labeler.base_url: {url} answered {error} in {tried}; {way_out}. What was scored is kept: run again "
                "to go on"
            )
        return LabelerError(
            f"labeler.base_url: {url} cannot be reached ({error or type(error).__name__}) in {tried}; start the "
            "server, or correct base_url. What was scored is kept: run again to go on"
        )

    def _refusal(self, url: str, response: httpx.Response) -> LabelerError:
        status, said = response.status_code, _said(response)
        if status in (401, 403):
            name = self._api_key_env
            key = f"the key in {name} is not accepted" if name else "no key was sent; name one in labeler.api_key_env"
            return LabelerError(f"labeler.api_key_env: {url} refused with HTTP {status}: {said}; {key}")
        if status == 404:
            return LabelerError(
                f"labeler.model: {url} answered HTTP 404: {said}; check that base_url ends in /v1 and that the server "
                f"serves {self._model!r} (GET {self._url}/models lists what it serves)"
            )
        return LabelerError(
            f"labeler.base_url: {url} refused with HTTP {status}: {said}; check top_logprobs "
            f"({self._settings.top_logprobs}) against what the server allows, and pool.max_characters if the prompt is "
            "too long"
        )


class _RefusedRequest(Exception):
    """The server answered, and not with what was asked for."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"HTTP {response.status_code}")
        self.response = response


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, _Busy) else 0.0
    return max(asked, tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT)(state))


def _said(response: httpx.Response) -> str:
    try:
        body = response.json()
        error = body.get("error", body)
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = response.text
    return " ".join(str(text).split())[:300] or response.reason_phrase


def _top_logprobs(url: str, response: httpx.Response, expected: int) -> list[dict[str, float]]:
    """Read the log-probabilities of the first token of each choice, in the two forms servers write them."""
    try:
        choices = sorted(response.json()["choices"], key=lambda choice: choice.get("index", 0))
        tops = [_first_position(choice["logprobs"]) for choice in choices]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise LabelerError(
            f"labeler.base_url: {url} answered without log-probabilities ({type(error).__name__}: {error}); a labeler "
            "needs a completions server that returns them, such as vLLM or llama.cpp"
        ) from error
    if len(tops) != expected:
        raise LabelerError(f"labeler.base_url: {url} returned {len(tops)} choices for {expected} prompts")
    return tops


def _first_position(logprobs: dict[str, Any]) -> dict[str, float]:
    if logprobs.get("top_logprobs"):
        return {str(token): float(value) for token, value in logprobs["top_logprobs"][0].items()}
    entries = logprobs["content"][0]["top_logprobs"]
    return {str(entry["token"]): float(entry["logprob"]) for entry in entries}


def _logprob(top: dict[str, float], answer: str, other: str, token_id: int | None) -> float | None:
    """Return the log-probability of an answer's first token, or None where it was not returned.

    Without ids a token counts when the answer starts with it and the other answer does not: an answer may take several
    tokens, of which only the first is seen.
    """
    if token_id is not None and f"token_id:{token_id}" in top:
        return top[f"token_id:{token_id}"]
    values = []
    for token, value in top.items():
        text = token.replace("\u2581", " ").replace("\u0120", " ").replace("\u010a", "\n")
        if text.strip() and answer.startswith(text) and not other.startswith(text):
            values.append(value)
    return max(values, default=None)
