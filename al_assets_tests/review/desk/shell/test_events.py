"""The stream of events of a desk that really serves."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from al_assets.review.desk.shell import events
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.events import HEARTBEAT_SECONDS, MAX_STREAMS, end_streams
from al_assets.review.desk.shell.server import ListenAt, bound_socket
from al_assets_tests.support.desk.answers import answer
from al_assets_tests.support.desk.clients import DeskClient, SignIn
from al_assets_tests.support.desk.serving import in_a_thread

LONGEST = 40
GRACEFUL_SECONDS = 20
"""After which a server cuts the streams that did not end by themselves."""


@dataclass
class Served:
    """A desk on a port of its own."""

    address: str
    server: uvicorn.Server


@pytest.fixture
def served(app: Starlette) -> Iterator[Served]:
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=GRACEFUL_SECONDS, lifespan="off")
    server = uvicorn.Server(config)
    with in_a_thread(server, bound_socket(ListenAt(port=0))) as port:
        yield Served(f"http://127.0.0.1:{port}", server)


@contextmanager
def stream(served: Served, client: DeskClient, **headers: str) -> Iterator[Iterator[str]]:
    """Yield what comes in of a person's stream, event by event."""
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with httpx.stream(
        "GET", f"{served.address}/events", headers={"Cookie": cookie, **headers}, timeout=LONGEST
    ) as found:
        assert found.status_code == 200, found.read()
        assert found.headers["content-type"].startswith("text/event-stream")
        assert found.headers["cache-control"] == "no-store"
        yield blocks(found)


def blocks(response: httpx.Response) -> Iterator[str]:
    waiting = ""
    for text in response.iter_text():
        waiting += text
        *whole, waiting = waiting.split("\n\n")
        yield from whole


def test_a_vote_is_heard_of_before_the_next_sign_of_life_and_nothing_of_it(
    served: Served, sign_in: SignIn, desk: Desk
) -> None:
    with (
        stream(served, sign_in("olga", Role.POLICY_OWNER)) as one,
        stream(served, sign_in("addy", Role.ADJUDICATOR)) as two,
    ):
        for each in (one, two):
            assert next(each) == "retry: 3000"
            assert next(each).startswith("id: ")
        start = time.monotonic()
        answer(desk, "item000", "ben", "positive", comment="secret")
        heard = [next(each) for each in (one, two)]
        assert time.monotonic() - start < HEARTBEAT_SECONDS
        for event in heard:
            name, *rest = event.split("\n")
            assert rest == ["event: changed", "data: changed"]
            assert len(name.removeprefix("id: ")) == 16


def test_a_page_that_missed_something_hears_of_it_at_once(served: Served, sign_in: SignIn, desk: Desk) -> None:
    client = sign_in("addy", Role.ADJUDICATOR)
    with stream(served, client) as found:
        next(found)
        seen = next(found).removeprefix("id: ")
    with stream(served, client, **{"Last-Event-ID": seen}) as found:
        next(found)
        answer(desk, "item000", "ben", "positive")
        assert "event: changed" in next(found)
    with stream(served, client, **{"Last-Event-ID": seen}) as found:
        next(found)
        assert "event: changed" in next(found)


def test_a_stream_ends_when_the_session_was_revoked(
    served: Served, sign_in: SignIn, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.EventStream.__init__, "__defaults__", (0.3,))
    with stream(served, sign_in("addy", Role.ADJUDICATOR)) as found:
        next(found)
        desk.people.end_sessions("addy", "ada")
        start = time.monotonic()
        assert all(each.startswith((":", "id:")) for each in found)
        assert time.monotonic() - start < HEARTBEAT_SECONDS


def test_a_rater_hears_nothing_of_when_others_answer(sign_in: SignIn) -> None:
    assert sign_in("anna").get("/events").status_code == 404


def test_strangers_have_no_stream_and_nobody_has_many(served: Served, sign_in: SignIn) -> None:
    assert httpx.get(f"{served.address}/events", timeout=LONGEST).status_code == 401
    client = sign_in("addy", Role.ADJUDICATOR)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with ExitStack() as stack:
        # Kept, because a stream that nobody holds any more is closed.
        opened = [stack.enter_context(stream(served, client)) for _ in range(MAX_STREAMS)]
        assert [next(each) for each in opened] == ["retry: 3000"] * MAX_STREAMS
        refused = httpx.get(f"{served.address}/events", headers={"Cookie": cookie}, timeout=LONGEST)
        assert refused.status_code == 429


def test_streams_end_when_the_server_stops(served: Served, sign_in: SignIn) -> None:
    with stream(served, sign_in("addy", Role.ADJUDICATOR)) as found:
        next(found)
        start = time.monotonic()
        served.server.should_exit = True
        threading.Timer(0.1, end_streams).start()
        assert all(each.startswith("id:") for each in found)
        assert time.monotonic() - start < GRACEFUL_SECONDS / 2
