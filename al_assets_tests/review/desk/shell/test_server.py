"""A real server on a free port of this machine: what reaches it raw, TLS, and that it stops."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from al_assets.config import DeskSettings
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.security import gate
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.server import ListenAt, ServerError, bound_socket, desk_server, settings_at
from al_assets_tests.support.desk.clients import open_desk
from al_assets_tests.support.desk.serving import own_certificate, running
from al_assets_tests.support.policies import make_policy


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("server")
    with open_desk(folder, f"sqlite:///{folder}/x.sqlite") as desk, running(desk, ListenAt(port=0)) as found:
        yield found


def raw(port: int, request: bytes, *, wait: float = 10) -> bytes:
    """Send bytes and return what comes back until the server closes or has answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while b"\r\n\r\n" not in received:
                chunk = connection.recv(65536)
                if not chunk:
                    break
                received += chunk
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../desk.py", b"/static/../../../../../../etc/passwd", b"/static/%2e%2e/desk.py", b"/static/..%2f",
        b"/static//etc/passwd", b"/static/%252e%252e/desk.py", b"/static/..\\desk.py", b"/static/%00", b"/static/../",
    ],
)  # fmt: skip
def test_no_raw_path_leads_out_of_the_static_files(port: int, path: bytes) -> None:
    answer = raw(port, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status_of(answer) in (400, 401, 404)
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000, 400),
        (b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         + b"2000\r\n" + b"x" * 0x2000 + b"\r\n", None),
    ],
)  # fmt: skip
def test_heads_of_all_kinds_get_an_answer(port: int, head: bytes, status: int | None) -> None:
    if status is None:
        chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
        assert status_of(raw(port, head + 9 * chunk)) == 413, "more of the body than is allowed is not waited for"
    else:
        answer = raw(port, head)
        assert status_of(answer) == status
        assert b"evil" not in answer


def test_the_server_says_nothing_of_itself(port: int) -> None:
    answer = raw(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(answer) == 200
    assert b"uvicorn" not in answer.lower()
    assert b"content-security-policy" in answer


def test_a_body_that_does_not_arrive_is_not_waited_for_long(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SECONDS_TO_ARRIVE", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        with connection.makefile("rb") as stream:
            # Only a server that closes lets this end.
            answer = stream.read()
    assert status_of(answer) == 408


def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path, "localhost")
    place = ListenAt(port=0, certificate=certificate, private_key=key)
    settings = settings_at(place, DeskSettings(), "https://localhost")
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", desk=settings.model_dump()) as desk:
        token = desk.people.invite("ada", ["admin"], "root")
        trusted = ssl.create_default_context(cafile=str(certificate))
        with running(desk, place) as port:
            answer = httpx2.get(f"https://localhost:{port}/join/{token}", verify=trusted)
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith("__Host-al-desk-")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" not in answer.headers, "of this machine's own name other servers may have need"
    with pytest.raises(ServerError, match="belong together"):
        desk_server(make_app(desk), ListenAt(certificate=certificate, private_key=certificate))


@pytest.mark.parametrize(
    ("place", "public_url", "message"),
    [
        (ListenAt("0.0.0.0"), "https://d.example", "unencrypted"), (ListenAt("10.0.0.1"), None, "unencrypted"),
        (ListenAt("::"), None, "unencrypted"), (ListenAt("desk.example"), None, "unencrypted"),
        (ListenAt("0.0.0.0", behind_proxy=True), None, "--public-url https://HOST"),
        (ListenAt(certificate=Path("c")), None, "both files"), (ListenAt(private_key=Path("k")), None, "both files"),
        (ListenAt("0.0.0.0", behind_proxy=True), "http://desk.example", "unencrypted"),
        (ListenAt("0.0.0.0", 8200, Path("c"), Path("k")), "http://127.0.0.1", "must be https"),
        (ListenAt("127.0.0.1", 8443, Path("c"), Path("k")), "http://127.0.0.1:8443", "must be https"),
        (ListenAt(), "ftp://d.example", r"^--public-url: 'ftp://d.example' must be https://HOST .*without a path$"),
    ],
)  # fmt: skip
def test_what_would_go_unencrypted_is_refused(place: ListenAt, public_url: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_at(place, DeskSettings(), public_url)


def test_places_that_are_safe_are_taken() -> None:
    secure = ListenAt("127.0.0.1", 8443, Path("c"), Path("k"))
    assert settings_at(secure, DeskSettings()).public_url == "https://127.0.0.1:8443"
    assert settings_at(ListenAt(), DeskSettings()).public_url is None
    known = DeskSettings(public_url="https://desk.example", invite_hours=1)
    assert settings_at(ListenAt("0.0.0.0", behind_proxy=True), known) == known
    assert settings_at(ListenAt(), known, "http://localhost:9").public_url == "http://localhost:9"


def test_a_taken_port_is_said(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"127.0.0.1:{number}: .*--port"):
            bound_socket(ListenAt(port=number))
    with bound_socket(ListenAt(port=0)) as first, pytest.raises(ServerError, match="--port"):
        # Another desk that is only just starting.
        bound_socket(ListenAt(port=first.getsockname()[1]))
    for host in ("192.0.2.1", "\xe9" * 80):
        with pytest.raises(ServerError, match=f"{host}:0: .*--host"):
            bound_socket(ListenAt(host, 0))


def test_a_page_is_sent_at_once() -> None:
    # A socket that does not know its protocol would hold the body back until the browser has said that it got the head.
    with bound_socket(ListenAt(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def started(folder: Path, policy: dict[str, Any]) -> tuple[subprocess.Popen[str], str, list[str]]:
    """Start ``al desk serve`` and return the process, the address it prints and its first lines."""
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    command = [sys.executable, "-m", "al_assets.cli", "desk", "serve", "-p", str(folder / "policy.yaml"), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    )
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    return process, lines[0].split()[-1], lines


def test_it_stops_in_good_order_even_while_a_page_listens(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.sqlite"
    policy = make_policy(url).model_dump(mode="json", exclude={"base_dir"}, exclude_defaults=True)
    process, address, lines = started(tmp_path, policy)
    try:
        assert "al desk invite NAME --role admin" in lines[1]
        with PeopleStore(url, "spam") as people:
            token = people.invite("ada", ["admin"], "root")
        with httpx2.Client(base_url=address, timeout=60) as client:
            csrf = client.get(f"/join/{token}").text.split('name="csrf" value="')[1].split('"')[0]
            assert client.post(f"/join/{token}", data={"csrf": csrf}).status_code == 303
            with client.stream("GET", "/events") as events:
                assert events.status_code == 200
                next(events.iter_raw())
                asked_at = time.monotonic()
                process.send_signal(signal.SIGTERM)
                output, _ = process.communicate(timeout=60)
        assert time.monotonic() - asked_at < 8
        assert process.returncode == 0, output
        assert token not in output
        assert "GET /join/... 200" in output
        assert "Traceback" not in output
        assert (tmp_path / ".al/runs/spam/desk.key").stat().st_mode & 0o777 == 0o600
    finally:
        process.kill()
        process.wait(10)
