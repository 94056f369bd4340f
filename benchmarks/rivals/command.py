"""What ``python -m benchmarks selection --rivals --json`` prints."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.pools.bench_pool import BenchPool
from benchmarks.rivals.runner import LIMIT_S, MEMORY_MB, bench_rivals
from benchmarks.rivals.systems import chosen_systems
from benchmarks.rivals.table import rivals_json


def selection_rivals(
    pools: Sequence[BenchPool],
    *,
    budget: int | None = None,
    limit_s: float = LIMIT_S,
    memory_mb: float = MEMORY_MB,
    seed: int = 0,
    systems: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Ask the systems on the pools; return a row for each query, as JSON takes it.

    :param systems: names such as "small-text" or "small-text:BreakingTies"; None is all.
    :raises CurationError: see ``chosen_systems`` and ``bench_rivals``.
    """
    found = bench_rivals(
        pools,
        budget=budget,
        limit_s=limit_s,
        memory_mb=memory_mb,
        seed=seed,
        systems=chosen_systems(systems),
        progress=progress,
    )
    return rivals_json(found)
