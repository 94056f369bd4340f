"""Peak memory of this process and those it starts, sampled."""

import threading
from types import TracebackType
from typing import Self

import psutil


class PeakMemory:
    """Samples the resident memory of the whole process tree until the block ends."""

    def __init__(self, interval_seconds: float = 0.25) -> None:
        self.peak_mb = 0.0
        self._interval = interval_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.peak_mb = max(self.peak_mb, tree_memory_mb())
            self._ended.wait(self._interval)


def tree_memory_mb() -> float:
    """Return the resident memory of this process and all below it, in MB (10^6 bytes)."""
    total = 0
    process = psutil.Process()
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
