"""A desk that really serves, and certificates for it."""

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from al_assets.review.desk.app import make_app
from al_assets.review.desk.desk import Desk
from al_assets.review.desk.server import Place, bound_socket, desk_server

START_SECONDS = 60


@contextmanager
def running(desk: Desk, place: Place) -> Iterator[int]:
    """Serve in a thread and yield the port."""
    listener = bound_socket(place)
    server = desk_server(make_app(desk), place)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
    assert not thread.is_alive()


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
