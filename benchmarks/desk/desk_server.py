"""The desk's server as a process of its own, which can be killed and started again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from benchmarks.processes import free_port, peak_rss_mb

START_SECONDS = 60.0


class DeskServer:
    """``al desk serve`` on a free port of the loopback interface.

    :param policy_file: whose desk.
    :param log: what the server says is appended there.
    """

    def __init__(self, policy_file: Path, log: Path) -> None:
        self._policy_file = policy_file
        self._log = log
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.peak_mb = 0.0
        self._cpu_seconds = 0.0

    @property
    def address(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers.

        :raises RuntimeError: it ended, or does not answer in time.
        """
        command = [sys.executable, "-m", "al_assets.cli", "desk", "serve", "--policy", str(self._policy_file)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the desk did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)
        # Starting is no part of the work.
        self._cpu_seconds -= self._used()

    def kill(self) -> None:
        """Kill it at once, as a crash of the machine would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end."""
        self._end(signal.SIGTERM)

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, without starting."""
        return self._cpu_seconds + self._used()

    def note_memory(self) -> None:
        """Keep the largest resident size seen so far, in MB."""
        if self.process is not None and self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, peak_rss_mb(self.process.pid))

    def _used(self) -> float:
        if self.process is None or self.process.poll() is not None:
            return 0.0
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.note_memory()
        self._cpu_seconds += self._used()
        self.process.send_signal(how)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(15)
        self.process = None

    def _answers(self) -> bool:
        # Its port is taken before it can answer.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/static/icon.svg")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def running_desk(policy_file: Path, log: Path) -> Iterator[DeskServer]:
    """Yield a running server; it is stopped at the end, whatever happens."""
    server = DeskServer(policy_file, log)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Effort:
    """What a phase took, in seconds.

    :param server: processor time of the server.
    :param raters: processor time of this process, which plays the raters.
    :param others: processor time of everything else on the machine.
    """

    seconds: float
    server: float
    raters: float
    others: float
    kills: int


class Meter:
    """Measures from the moment it is made.

    :param server: whose work is measured.
    """

    def __init__(self, server: DeskServer) -> None:
        self._server = server
        self.began = time.monotonic()
        self.kills = 0
        self._before = self._now()

    def effort(self) -> Effort:
        """Return what was used so far."""
        taken = time.monotonic() - self.began
        server, raters, machine = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return Effort(taken, server, raters, max(0.0, machine - server - raters), self.kills)

    def _now(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts the time of guests under user as well.
        twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return self._server.cpu_seconds(), time.process_time(), sum(times) - twice - idle
