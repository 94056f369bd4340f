"""What measurements in processes of their own need: an environment, a free port, the most memory that was used."""

import os
import resource
import socket
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def child_environment() -> dict[str, str]:
    """Return this process's environment, in which ``python -m benchmarks...`` finds this folder from anywhere."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_rss_mb() -> float:
    """Return the most resident memory that this process had, in MB of 2**20 bytes.

    Read from /proc where there is one: ``ru_maxrss`` of a started process begins at the peak of the process that
    started it, which Linux keeps over fork and exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
