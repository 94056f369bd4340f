"""One reading for all who ask at the same time."""

import itertools
import threading
from collections.abc import Callable


class SharedRead:
    """Reads for everybody who waits: whoever asks gets what a reading found that began after he asked.

    :param read: is never run twice at once.
    """

    def __init__(self, read: Callable[[], None]) -> None:
        self._read = read
        self._moments = itertools.count()
        self._began = -1
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Read, or wait for a reading that will do; what the reading raises comes through."""
        asked = next(self._moments)
        with self._lock:
            if self._began > asked:
                return
            began = next(self._moments)
            self._read()
            self._began = began
