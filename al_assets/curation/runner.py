"""Where the parts of a large computation run: threads of this process, or whatever maps a function over parts."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Runner(Protocol):
    """Maps functions over parts of a pool. What it returns does not depend on how many parts run at once."""

    def map(self, task: Callable[..., Any], parts: Sequence[Any], *shared: Any) -> Iterator[Any]:
        """Yield ``task(part, *shared)`` for each part, in order.

        :param task: a function of a module, so that it can be sent to another process.
        """

    def divide(
        self, rows: NDArray[np.int64], work: NDArray[np.float64], read: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Return the rows in parts of about equal work, none empty, the rows of each part in the given order.

        :param rows: row numbers of the pool, shape (rows,).
        :param work: what each costs, shape (rows,).
        :param read: where ``rows`` number something else, the row of the pool that each of them reads; then a part may
            take from anywhere. None: the parts one after the other are the rows as given.
        """


_PART_ROWS = 16_384


@dataclass(frozen=True)
class Threads:
    """Threads of this process, each with numerical libraries held to one thread.

    One product on each of two cores is faster than both on one product, and its sums are the same on any machine size.

    :param workers: None is one for each core that this process may use.
    """

    workers: int | None = None

    @property
    def count(self) -> int:
        """How many threads work."""
        if self.workers is not None:
            return self.workers
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def map(self, task: Callable[..., Any], parts: Sequence[Any], *shared: Any) -> Iterator[Any]:
        """Yield ``task(part, *shared)`` for each part, in order."""
        with _libraries().limit(limits=1):
            if self.count == 1 or len(parts) < 2:
                yield from (task(part, *shared) for part in parts)
                return
            with ThreadPoolExecutor(self.count) as pool:
                yield from pool.map(lambda part: task(part, *shared), parts)

    def divide(
        self, rows: NDArray[np.int64], work: NDArray[np.float64], read: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Return the rows in parts small enough to stay near the processor, and four for each thread or more."""
        return divide_evenly(rows, work, max(4 * self.count, len(rows) // _PART_ROWS))


THREADS = Threads()


@cache
def _libraries() -> Any:
    # Looked for once: it takes 9 ms, and small pools are searched thousands of times.
    import faiss
    import scipy.linalg
    from threadpoolctl import ThreadpoolController

    # Only what is loaded before is held to one thread.
    assert faiss
    assert scipy.linalg
    return ThreadpoolController()


def divide_evenly(rows: NDArray[np.int64], work: NDArray[np.float64], parts: int) -> list[NDArray[np.int64]]:
    """Return the rows in at most that many parts of about equal work, none empty."""
    if not len(rows):
        return []
    done = np.cumsum(work)
    edges = np.searchsorted(done, done[-1] * np.arange(1, parts) / parts, side="right")
    return [part for part in np.split(rows, edges) if len(part)]
