"""What a phase took: time, and whose processor time it was."""

import time
from dataclasses import dataclass

import psutil

from benchmarks.desk.desk_server import DeskServer


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
