"""Processes that tests start: services with a log, which are alive, and waiting for them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from al_assets_tests.support import REPOSITORY

STOP_SECONDS = 8.0
"""How long a process may take to end by itself; then it is killed."""
GONE_SECONDS = 60.0
"""How long the machine may take to end a killed one."""


def group(pid: int) -> set[int]:
    """Return the processes of a group that are alive."""
    found = set()
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def is_open(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.2) -> bool:
    """Return whether a condition became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every)
    return False


Found = TypeVar("Found")


def wait_for(what: str, look: Callable[[], Found | None], seconds: float, every: float = 0.5) -> Found:
    """Return what ``look`` finds; fail the test when it finds nothing in time."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            pytest.fail(f"no {what} within {seconds:.0f} s")
        time.sleep(every)


@dataclass
class Service:
    """One process group; it can be killed, started again and stopped.

    :param logs: the folder of its log.
    :param folder: where it runs.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    logs: Path
    folder: Path = REPOSITORY
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is appended to its log."""
        # Without this the services would outlive a test run that is killed.
        outlive = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*outlive, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill the whole group at once, as a crash of the machine would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(GONE_SECONDS)
            self.process = None

    def stop(self) -> None:
        """Ask the process to end, then kill what is left of its group."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    @property
    def has_ended(self) -> bool:
        """Whether it does not run: it ended by itself, or was stopped."""
        return self.process is None or self.process.poll() is not None

    @property
    def log(self) -> Path:
        """Its output since the first start."""
        return self.logs / f"{self.name}.log"
