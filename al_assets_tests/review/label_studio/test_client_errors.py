"""What is said when no Label Studio of a known version answers, with real servers that are none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from al_assets.review.label_studio.client import LabelStudioError, LabelStudioUnavailableError, Server
from al_assets_tests.support.label_studio.published import make_settings
from benchmarks.processes import free_port

pytest.importorskip("label_studio_sdk", reason="pip install 'al_assets[label-studio]'")
# The SDK is written for an older pydantic.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[tuple[str, list[str]]]:
    """Serve the answers in turn, the last one again and again; yield the address and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LabelStudioUnavailableError, match="cannot be reached .*is the server running") as caught:
        Server(make_settings(url))
    assert url in str(caught.value)


def test_another_server_answers() -> None:
    with (
        answering((200, "<html>hello</html>")) as (url, _),
        pytest.raises(LabelStudioError, match="is no Label Studio"),
    ):
        Server(make_settings(url))
    with answering((404, "{}")) as (url, _), pytest.raises(LabelStudioError, match="is no Label Studio"):
        Server(make_settings(url))


@pytest.mark.parametrize("release", ["2.0.0", "1.19.3"])
def test_another_version_is_named(release: str) -> None:
    message = f"is Label Studio {release}; this was checked against 1.23"
    answer = (200, json.dumps({"release": release}))
    with answering(answer) as (url, _), pytest.raises(LabelStudioError, match=message):
        Server(make_settings(url))


def test_a_passing_error_is_tried_again_and_a_lasting_one_named() -> None:
    with answering((503, "{}"), (200, json.dumps({"release": "1.23.2"})), (200, '{"id": 1}')) as (url, asked):
        Server(make_settings(url)).close()
    assert [path.rstrip("/") for path in asked] == ["/api/version", "/api/version", "/api/current-user/whoami"]
    message = "refuses .503: down for maintenance"
    with (
        answering((503, '{"detail": "down for maintenance"}')) as (url, asked),
        pytest.raises(LabelStudioUnavailableError, match=message),
    ):
        Server(make_settings(url))
    assert len(asked) == 2


def test_a_wrong_key_is_named() -> None:
    answers = (200, json.dumps({"release": "1.23.2"})), (401, '{"detail": "Invalid token."}')
    message = r"api_key: .* does not let it in .401: Invalid token"
    with answering(*answers) as (url, _), pytest.raises(LabelStudioError, match=message) as caught:
        Server(make_settings(url))
    assert "a" * 40 not in str(caught.value)
