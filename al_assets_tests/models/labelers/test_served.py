"""The OpenAI-compatible labeler against a real HTTP server on the loopback that misbehaves on demand."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from al_assets.config import Policy
from al_assets.models.labelers import Labeler, LabelerError, make_labeler
from al_assets.models.labelers.protocol import probability
from al_assets.models.labelers.served import OpenAILabeler

MakePolicy = Callable[..., Policy]
Reply = tuple[int, dict[str, str], Any]
WORDS = {"Answer": 1, ":": 2, " yes": 9805, " no": 787}


def odds_of(prompt: str) -> float:
    """The log-odds the server gives to a prompt, so that every answer can be told from every other."""
    return float(sum(map(ord, prompt)) % 97) / 10 - 4


class CompletionServer(ThreadingHTTPServer):
    """Speaks the completions protocol; ``faults`` are replied first, one each, ``form`` is how it writes tokens."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.form = "text"
        self.faults: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.delay = 0.0
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        if path == "/tokenize":
            return self.tokenize(body["prompt"])
        with self.lock:
            self.requests.append(body)
            if self.faults:
                return self.faults.pop(0)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = [{"index": index, "text": "", "logprobs": self.logprobs(each)} for index, each in enumerate(prompts)]
        return 200, {}, {"choices": choices[::-1]}

    def tokenize(self, text: str) -> Reply:
        if self.form != "ids":
            return 404, {}, {"error": {"message": "Not Found"}}
        tokens = []
        while text:
            word = next(each for each in WORDS if text.startswith(each))
            tokens.append(WORDS[word])
            text = text.removeprefix(word)
        return 200, {}, {"tokens": tokens}

    def logprobs(self, prompt: str) -> dict[str, Any] | None:
        yes, no = -1.0, -1.0 - odds_of(prompt)
        forms: dict[str, Callable[[], Any]] = {
            "ids": lambda: {"top_logprobs": [{"token_id:787": no, "token_id:9805": yes, "token_id:5": -30.0}]},
            "text": lambda: {"top_logprobs": [{" The": -0.1, " yes": yes, " no": no, "yes": -0.2, "no": -0.3}]},
            "marked": lambda: {"top_logprobs": [{"▁yes": yes, "Ġno": no}]},
            "llama.cpp": lambda: {
                "content": [{"top_logprobs": [{"token": " no", "logprob": no}, {"token": " yes", "logprob": yes}]}]
            },
            "pieces": lambda: {"top_logprobs": [{" viol": yes, " f": no, " ": -0.1}]},
            "only yes": lambda: {"top_logprobs": [{" yes": -1.0, " The": -2.0, " A": -6.0}]},
            "only no": lambda: {"top_logprobs": [{" no": -1.0, " The": -2.0, " A": -6.0}]},
            "neither": lambda: {"top_logprobs": [{" The": -2.0, " A": -6.0}]},
            "none": lambda: None,
        }
        return forms[self.form]()  # type: ignore[no-any-return]


class Handler(BaseHTTPRequestHandler):
    server: CompletionServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.headers.append(dict(self.headers))
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        time.sleep(server.delay)
        status, headers, answer = server.reply(self.path, body)
        with server.lock:
            server.running -= 1
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[CompletionServer]:
    with CompletionServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def labeler_of(make_policy: MakePolicy) -> Callable[..., Labeler]:
    def make(url: str, **settings: Any) -> Labeler:
        policy = make_policy(
            {"kind": "openai", "base_url": url, "model": "small", "prompt": "{text}", "max_retries": 2, **settings}
        )
        return make_labeler(policy.labeler, policy)

    return make


@pytest.mark.parametrize("form", ["ids", "text", "marked", "llama.cpp"])
def test_scores_are_read_in_every_form_servers_write_them(
    form: str, server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.form = form
    texts = [f"text number {index}" for index in range(40)]
    with labeler_of(server.url, concurrency=4) as labeler:
        assert isinstance(labeler, OpenAILabeler)
        np.testing.assert_allclose(labeler.logits(texts), [odds_of(each) for each in texts], atol=1e-12)
        np.testing.assert_array_equal(labeler.score(texts), probability(labeler.logits(texts)))
        assert labeler.score([]).shape == (0,)


def test_token_ids_are_asked_for_where_the_server_knows_them(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.form = "ids"
    with labeler_of(server.url, top_logprobs=7) as labeler:
        labeler.score(["a"])
    assert server.requests == [
        {"model": "small", "prompt": "a", "max_tokens": 1, "temperature": 0, "logprobs": 7,
         "allowed_token_ids": [9805, 787], "logprob_token_ids": [9805, 787], "return_tokens_as_token_ids": True}
    ]  # fmt: skip


def test_a_plain_server_is_sent_nothing_it_may_not_know(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    with labeler_of(server.url) as labeler:
        labeler.score(["a"])
    assert set(server.requests[0]) == {"model", "prompt", "max_tokens", "temperature", "logprobs"}


def test_an_answer_of_several_tokens_is_known_by_its_first(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.form = "pieces"
    with labeler_of(server.url, yes=" violation", no=" fine") as labeler:
        assert isinstance(labeler, OpenAILabeler)
        np.testing.assert_allclose(labeler.logits(["a"]), [odds_of("a")], atol=1e-12)


def test_an_answer_that_is_not_returned_is_as_likely_as_the_least_likely_returned(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    with labeler_of(server.url) as labeler:
        assert isinstance(labeler, OpenAILabeler)
        server.form = "only yes"
        assert labeler.logits(["a"]).tolist() == [5.0]
        server.form = "only no"
        assert labeler.logits(["a"]).tolist() == [-5.0]
        server.form = "neither"
        with pytest.raises(
            LabelerError, match=r"labeler.top_logprobs: neither ' yes' nor ' no' is among the 2 likeliest"
        ):
            labeler.score(["a"])
        server.form = "none"
        with pytest.raises(LabelerError, match="answered without log-probabilities"):
            labeler.score(["a"])


def test_requests_run_side_by_side_up_to_the_limit(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.delay = 0.05
    with labeler_of(server.url, concurrency=6) as labeler:
        labeler.score([str(index) for index in range(60)])
    assert 4 <= server.most_running <= 6


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}),
        (500, {}, b"oops"),
        (503, {}, {"error": "loading"}),
        (0, {}, None),
    ],
)
def test_passing_trouble_is_tried_again(
    fault: Reply, server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.faults = [fault, fault]
    with labeler_of(server.url, concurrency=1) as labeler:
        assert labeler.score(["a"]) == pytest.approx(probability(np.array([odds_of("a")])))
    assert len(server.requests) == 3


def test_the_server_says_how_long_to_wait(server: CompletionServer, labeler_of: Callable[..., Labeler]) -> None:
    server.faults = [(429, {"Retry-After": "1.5"}, {})]
    start = time.monotonic()
    with labeler_of(server.url) as labeler:
        labeler.score(["a"])
    assert time.monotonic() - start >= 1.5


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            (429, {}, {"error": {"message": "slow down"}}),
            r"answered HTTP 429: slow down in 3 attempts; lower concurrency",
        ),
        ((500, {}, b"oops"), r"answered HTTP 500: oops in 3 attempts; look at the server's log.*run again to go on"),
        ((0, {}, None), r"cannot be reached \(.*\) in 3 attempts; start the server, or correct base_url"),
    ],
)
def test_lasting_trouble_names_url_and_way_out(
    fault: Reply, message: str, server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.faults = [fault] * 3
    url = server.url.replace(".", r"\.") + "/completions"
    with labeler_of(server.url, concurrency=1) as labeler, pytest.raises(LabelerError, match=f"{url} {message}"):
        labeler.score(["a"])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, r"refused with HTTP 400: too long; check top_logprobs \(20\) .*, and pool.max_characters"),
        (401, r"labeler.api_key_env: .* refused with HTTP 401: too long; the key in AL_TEST_KEY is not accepted"),
        (404, r"labeler.model: .* check that base_url ends in /v1 and that the server serves 'small'"),
    ],
)
def test_a_refusal_is_not_tried_again(
    status: int,
    message: str,
    server: CompletionServer,
    labeler_of: Callable[..., Labeler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AL_TEST_KEY", "secret")
    server.faults = [(status, {}, {"error": {"message": "too long"}})]
    labeler = labeler_of(server.url, api_key_env="AL_TEST_KEY", concurrency=1)
    with labeler, pytest.raises(LabelerError, match=message) as caught:
        labeler.score(["a"])
    assert len(server.requests) == 1
    assert "secret" not in str(caught.value)


def test_one_error_stops_the_others(server: CompletionServer, labeler_of: Callable[..., Labeler]) -> None:
    server.delay = 0.02
    server.faults = [(400, {}, {"error": "no"})]
    with labeler_of(server.url, concurrency=2) as labeler, pytest.raises(LabelerError, match="HTTP 400"):
        labeler.score([str(index) for index in range(200)])
    assert len(server.requests) < 20


def test_a_server_that_does_not_answer_in_time_is_an_error(
    server: CompletionServer, labeler_of: Callable[..., Labeler]
) -> None:
    server.delay = 0.5
    labeler = labeler_of(server.url, timeout_seconds=0.1, max_retries=1)
    with labeler, pytest.raises(LabelerError, match=r"timeout_seconds: .* did not answer within 0.1 s in 2 attempts"):
        labeler.score(["a"])


def test_nobody_listening_is_an_error(labeler_of: Callable[..., Labeler]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        labeler = labeler_of(url, max_retries=1)
        with labeler, pytest.raises(LabelerError, match=r"cannot be reached \(.*\) in 2 attempts; start the server"):
            labeler.score(["a"])


def test_a_base_url_that_is_none_is_refused(labeler_of: Callable[..., Labeler]) -> None:
    with labeler_of("localhost:8000") as labeler, pytest.raises(LabelerError, match="'localhost:8000' is not a URL"):
        labeler.score(["a"])


def test_the_key_comes_from_the_environment(
    server: CompletionServer, labeler_of: Callable[..., Labeler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_TEST_KEY", "secret")
    with labeler_of(server.url, api_key_env="AL_TEST_KEY") as labeler:
        labeler.score(["a"])
    assert {each["Authorization"] for each in server.headers} == {"Bearer secret"}
    monkeypatch.delenv("AL_TEST_KEY")
    labeler = labeler_of(server.url, api_key_env="AL_TEST_KEY")
    with labeler, pytest.raises(LabelerError, match="api_key_env: AL_TEST_KEY is not set"):
        labeler.score(["a"])
