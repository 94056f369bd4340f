"""How often somebody may try."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_ADDRESSES = 10_000


class Attempts:
    """Counts failures of the last ``seconds``, by address and in total.

    :param each: so many failures of an address are let through.
    :param in_all: and so many of all addresses together, which bounds what an attack costs the database.
    """

    def __init__(self, each: int, in_all: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = {True: each, False: in_all}
        self._seconds = seconds
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """Return for how many seconds an address must wait, 0 if it may try."""
        with self._lock:
            now = self._clock()
            waits = (
                self._wait(self._by_address.get(address, deque()), self._limits[True], now),
                self._wait(self._all, self._limits[False], now),
            )
        return max(waits)

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            now = self._clock()
            mine = self._by_address.pop(address, deque())
            for failures, limit in ((mine, self._limits[True]), (self._all, self._limits[False])):
                failures.append(now)
                if len(failures) > limit:
                    failures.popleft()
            self._by_address[address] = mine
            if len(self._by_address) > MAX_ADDRESSES:
                self._by_address.popitem(last=False)

    def _wait(self, failures: deque[float], limit: int, now: float) -> int:
        if len(failures) < limit or now - failures[0] >= self._seconds:
            return 0
        return int(self._seconds - (now - failures[0])) + 1
