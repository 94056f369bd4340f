"""A desk that really serves, and certificates for it."""

import asyncio
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.server import ListenAt, bound_socket, desk_server
from al_assets_tests.support.processes import wait_until

START_SECONDS = 60


@contextmanager
def in_a_thread(server: uvicorn.Server, listener: socket.socket) -> Iterator[int]:
    """Let a server serve in a thread and yield the port; it stops and closes its socket when the block ends."""
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        assert wait_until(lambda: server.started or not thread.is_alive(), START_SECONDS, every=0.02)
        assert server.started, "the server did not start"
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()
    assert not thread.is_alive()


@contextmanager
def running(desk: Desk, place: ListenAt) -> Iterator[int]:
    """Serve a desk as ``al desk serve`` does and yield the port."""
    with in_a_thread(desk_server(make_app(desk), place), bound_socket(place)) as port:
        yield port


def own_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Write a certificate for a host, signed by itself, and its key; skip the test where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test: apt-get install openssl")
    certificate, key = folder / "desk.pem", folder / "desk.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-days", "2",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return certificate, key
