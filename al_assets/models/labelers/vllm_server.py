"""A vLLM server as a process of its own, in its own process group, gone when this process is."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from al_assets.models.labelers import keeper
from al_assets.models.labelers.protocol import Closing, LabelerError

_LOG_LINES = 30
# Bounded, because zombies that nobody reaps, as in a container without an init process, count as members of the group.
_GONE_SECONDS = 10
# Those of this interpreter would make the server's import packages of another environment.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


class VLLMServer(Closing):
    """A running ``vllm.entrypoints.openai.api_server`` on a free loopback port, behind a random API key."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, api_key: str, model: str, log: Path) -> None:
        """Take over a started process; use :meth:`start`."""
        self.url = f"http://127.0.0.1:{port}/v1"
        self.api_key = api_key
        self.model = model
        self._process = process
        self._log = log
        self._closed = False

    @classmethod
    def start(
        cls,
        model: str,
        *,
        python: str = "python",
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float = 600,
    ) -> Self:
        """Start a server and wait until it is healthy.

        :param model: directory or model hub name.
        :param python: interpreter of the environment that vLLM is installed in.
        :param arguments: further arguments of the server.
        :param environment: set for the server in addition to this process's variables.
        :raises LabelerError: it ended or was not healthy in time; with the last lines of its log.
        """
        executable = shutil.which(python)
        if executable is None:
            raise LabelerError(f"labeler.python: {python!r} is not an interpreter; {_WAY_OUT}")
        port, api_key, name = _free_port(), secrets.token_hex(16), f"al-{secrets.token_hex(4)}"
        command = [executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--host", "127.0.0.1",
                   "--port", str(port), "--served-model-name", name, *arguments]  # fmt: skip
        log = Path(tempfile.mkdtemp(prefix="al-vllm-")) / "server.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(environment or {}, api_key),
            )
        server = cls(process, port, api_key, name, log)
        try:
            server._wait_until_healthy(timeout_seconds)
        except BaseException:
            server.close()
            raise
        return server

    @property
    def pid(self) -> int:
        """Process id of the keeper, which is also the id of the process group that the server runs in."""
        return self._process.pid

    def check(self) -> None:
        """Do nothing while the server runs.

        :raises LabelerError: it does not; with the last lines of its log.
        """
        if self._closed or self._process.poll() is not None:
            raise LabelerError(
                f"labeler: the vLLM server at {self.url} has ended. What was scored is kept: run again to go on. "
                f"{self._log_tail()}"
            )

    def close(self) -> None:
        """Stop the server and whatever it started, and wait until all of it is gone."""
        if self._closed:
            return
        if self._process.stdin:
            self._process.stdin.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(keeper.GRACE_SECONDS + 5)
        finally:
            self._process_group_is_gone(signal.SIGKILL)
            self._process.wait()
            # A killed process with much memory to give back takes a moment; its memory is wanted by whatever is next.
            deadline = time.monotonic() + _GONE_SECONDS
            while not self._process_group_is_gone(0) and time.monotonic() < deadline:
                time.sleep(0.05)
            self._closed = True
            shutil.rmtree(self._log.parent, ignore_errors=True)

    def _process_group_is_gone(self, signal_number: int) -> bool:
        try:
            os.killpg(self._process.pid, signal_number)
        except ProcessLookupError:
            return True
        return False

    def _wait_until_healthy(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        with httpx.Client(headers={"Authorization": f"Bearer {self.api_key}"}, timeout=5) as client:
            while not self._serves(client):
                if self._process.poll() is not None:
                    raise LabelerError(f"labeler: the vLLM server ended before it was ready. {self._log_tail()}")
                if time.monotonic() > deadline:
                    raise LabelerError(
                        f"labeler.start_timeout_seconds: the vLLM server was not ready after {timeout_seconds:g} s; "
                        f"raise it, or read why. {self._log_tail()}"
                    )
                time.sleep(0.25)

    def _serves(self, client: httpx.Client) -> bool:
        # Asking for the model's random name as well makes sure that no other server has taken the port meanwhile.
        try:
            if client.get(self.url.removesuffix("/v1") + "/health").status_code != 200:
                return False
            models = client.get(self.url + "/models").json()["data"]
            return any(model["id"] == self.model for model in models)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _log_tail(self) -> str:
        try:
            with self._log.open(encoding="utf-8", errors="replace") as stream:
                lines = list(deque(stream, _LOG_LINES))
        except OSError:
            return "Its log is gone"
        tail = "".join(lines).strip()
        hint = f"{_WAY_OUT[0].upper()}{_WAY_OUT[1:]}. " if "No module named" in tail else ""
        return f"{hint}The last lines of its log:\n{tail or '(nothing)'}"


_WAY_OUT = (
    "make an environment for vLLM with 'bash .ci/vllm-env DIRECTORY' and set labeler.python to DIRECTORY/bin/python"
)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _environment(added: Mapping[str, str], api_key: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    # The key goes by variable, because arguments can be read by every user of the machine.
    return {**kept, "VLLM_NO_USAGE_STATS": "1", **added, "VLLM_API_KEY": api_key}
