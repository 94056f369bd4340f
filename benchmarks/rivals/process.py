"""A query in a process of its own, watched by this one: its time, its memory, its end."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.processes import child_environment
from benchmarks.rivals.systems import System
from benchmarks.rivals.worker import PICKS, RESULT, STARTED, Measured

_LOADING_S = 300.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    :param seconds: from the call of the query; loading has 300 s of its own.
    :param memory_mb: resident memory of its process, all in all.
    """

    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Outcome:
    """How one query ended.

    :param stopped: False if it returned; True if the time was up; else "memory" or "error: ...".
    :param rows: row numbers of its picks, empty unless it returned.
    """

    measured: Measured
    stopped: bool | str
    rows: NDArray[np.int64]


def ask(system: System, strategy: str, folder: Path, *, budget: int, seed: int, limits: Limits) -> Outcome:
    """Start a process for one query of the question in a folder, and wait for its end or for a limit.

    A process over a limit is killed, by its number, with the processes that it started.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out = Path(name)
        command = [
            sys.executable, "-m", "benchmarks.rivals.worker", str(folder), "--module", system.module,
            "--strategy", strategy, "--budget", str(budget), "--seed", str(seed), "--out", name,
        ]  # fmt: skip
        with (out / "stderr").open("wb") as stderr:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=child_environment()
            )
            try:
                stopped, watched = _watch(child, out, limits)
            finally:
                _kill(child)
        return _outcome(stopped, watched, child.returncode, out)


def _watch(child: "subprocess.Popen[bytes]", out: Path, limits: Limits) -> tuple[bool | str, Measured]:
    """Wait for the end of a process or for a limit; return why it has to stop, and what was seen of it until then."""
    process, loading, started = psutil.Process(child.pid), time.monotonic(), 0.0
    cpu_at_start, seen = 0.0, Measured()
    while child.poll() is None:
        try:
            used, cpu = process.memory_info().rss / 2**20, sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
        now = time.monotonic()
        if not started and (out / STARTED).exists():
            started, cpu_at_start = now, cpu
            seen = replace(seen, baseline_rss_mb=used)
        seen = replace(seen, peak_rss_mb=max(used, seen.peak_rss_mb or 0))
        if started:
            seen = replace(seen, wall_s=now - started, cpu_s=cpu - cpu_at_start)
        if used > limits.memory_mb:
            return "memory", seen
        if started and now - started > limits.seconds:
            return True, seen
        if not started and now - loading > _LOADING_S:
            return f"error: not ready to be asked after {_LOADING_S:.0f} s", seen
        time.sleep(_LOOK_EVERY_S)
    return False, seen


def _outcome(stopped: bool | str, watched: Measured, status: int, out: Path) -> Outcome:
    nothing = np.zeros(0, dtype=np.int64)
    result = out / RESULT
    if stopped or not result.exists():
        return Outcome(watched, stopped or f"error: {_last_words(status, out)}", nothing)
    measured = Measured(**json.loads(result.read_text(encoding="utf-8")))
    if measured.error:
        why = measured.error if measured.error == "memory" else f"error: {measured.error}"
        return Outcome(watched, why, nothing)
    return Outcome(measured, False, np.load(out / PICKS))


def _last_words(status: int, out: Path) -> str:
    lines = (out / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its process ended with status {status}" + (f": {lines[-1]}" if lines else "")


def _kill(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        try:
            started_by_it = psutil.Process(child.pid).children(recursive=True)
        except psutil.Error:
            started_by_it = []
        child.kill()
        for process in started_by_it:
            try:
                process.kill()
            except psutil.Error:
                continue
    child.wait()
