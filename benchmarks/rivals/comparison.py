"""Every system on every pool: the same vectors, scores, labelled items and budget, each query on its own."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from al_assets.curation.checks import CurationError, check_at_least
from benchmarks.pools.bench_pool import BenchPool
from benchmarks.rivals.process import Limits, Outcome, ask
from benchmarks.rivals.question import Question, budget_for, pose, write_question
from benchmarks.rivals.systems import SYSTEMS, System, check_installed
from benchmarks.selection.engine import Quality, selection_quality

LIMIT_S = 120.0
MEMORY_MB = 8_192.0


@dataclass(frozen=True)
class RivalResult:
    """One query of one strategy on one pool.

    :param system, strategy, version: who was asked.
    :param pool, n: the pool's name and its items.
    :param budget, picked: items asked for, and those picked: distinct and not labelled before.
    :param wall_s, cpu_s: from the call of the query to its return, imports and loading left out; what had passed until
        then if it was stopped, None if it never started.
    :param peak_rss_mb: the most memory that its process had, all in all (MB of 2**20 bytes); ``baseline_rss_mb`` what
        it had just before the query.
    :param stopped: False if it returned; True if the time was up; else "memory" or "error: ...".
    :param quality: of its picks; None unless it returned.
    """

    system: str
    strategy: str
    version: str
    pool: str
    n: int
    budget: int
    picked: int
    wall_s: float | None
    cpu_s: float | None
    baseline_rss_mb: float | None
    peak_rss_mb: float | None
    stopped: bool | str
    quality: Quality | None


def bench_rivals(
    pools: Sequence[BenchPool],
    *,
    budget: int | None,
    limit_s: float = LIMIT_S,
    memory_mb: float = MEMORY_MB,
    seed: int = 0,
    systems: Sequence[System] | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[RivalResult]:
    """Ask every strategy of every system once for each pool; those that fail or are stopped are in the list too.

    Before they are asked, scores are shifted so that the pseudo-label changes at .5 (``centred_scores``), and up to 20
    items are labelled with their truth (``pose``); the picks are judged against the truth of the pool.

    :param budget: items to pick; None is 250, and fewer for pools below 10,000 items (``budget_for``).
    :param limit_s: seconds a query may take.
    :param memory_mb: resident memory that its process may have.
    :param systems: such as ``chosen_systems`` returned; None is all.
    :param progress: called with a line before each query.
    :raises CurationError: a package is missing, or a pool has fewer unlabelled items than the budget.
    """
    check_at_least("limit_s", limit_s, 0)
    check_at_least("memory_mb", memory_mb, 1)
    systems = SYSTEMS if systems is None else systems
    check_installed(systems)
    tell = progress or (lambda _: None)
    results = []
    for pool in pools:
        question = pose(pool, budget_for(len(pool.item_ids)) if budget is None else budget, seed)
        check_enough(question, pool.name)
        with tempfile.TemporaryDirectory(prefix="al-bench-") as name:
            folder = Path(name)
            write_question(question, folder)
            for system in systems:
                for strategy in system.strategies:
                    tell(f"{pool.name}, {len(pool.item_ids)} items: {system.name} {strategy}")
                    limits = Limits(limit_s, memory_mb)
                    outcome = ask(system, strategy, folder, budget=question.budget, seed=seed, limits=limits)
                    results.append(_result(pool, question, system, strategy, outcome))
    return results


def check_enough(question: Question, pool: str) -> None:
    """Do nothing if there are as many unlabelled items as are to be picked.

    :raises CurationError: there are fewer, or the budget is below one.
    """
    check_at_least("budget", question.budget, 1)
    unlabelled = len(question.open_rows)
    if unlabelled < question.budget:
        raise CurationError(
            f"budget: {question.budget} items of the pool {pool!r}, which has {unlabelled} unlabelled ones; "
            "lower the budget or take a larger pool"
        )


def _result(pool: BenchPool, question: Question, system: System, strategy: str, outcome: Outcome) -> RivalResult:
    rows, stopped = distinct_open(outcome.rows, question), outcome.stopped
    if not stopped and len(rows) < len(outcome.rows):
        stopped = f"error: {len(outcome.rows) - len(rows)} of {len(outcome.rows)} picks repeat or were labelled before"
    measured = outcome.measured
    return RivalResult(
        system=system.name,
        strategy=strategy,
        version=import_module(system.module).version(),
        pool=pool.name,
        n=len(pool.item_ids),
        budget=question.budget,
        picked=len(rows),
        wall_s=measured.wall_s,
        cpu_s=measured.cpu_s,
        baseline_rss_mb=measured.baseline_rss_mb,
        peak_rss_mb=measured.peak_rss_mb,
        stopped=stopped,
        quality=None if stopped else selection_quality(pool, pool.item_ids.gather(rows)),
    )


def distinct_open(rows: NDArray[np.int64], question: Question) -> NDArray[np.int64]:
    """Return the picks that may be picked, each once, in the order given."""
    _, first = np.unique(rows, return_index=True)
    distinct = rows[np.sort(first)]
    return distinct[np.isin(distinct, question.open_rows)]


_NUMBERS = ("wall s", "CPU s", "peak MB", "band", "topics", "mislabelled", "positive")


def rivals_json(results: Sequence[RivalResult]) -> list[dict[str, Any]]:
    """Return the results as JSON takes them, NaN as None."""
    return [{name: _plain(value) for name, value in asdict(result).items()} for result in results]


def rivals_table(results: Sequence[RivalResult], pool: str) -> Table:
    """Return the results of one pool, the widest boundary band first, those stopped last."""
    here = [result for result in results if result.pool == pool]
    title = f"{pool}: {here[0].n} items, {here[0].budget} picks" if here else pool
    table = Table("system", "strategy", title=title, title_justify="left")
    for name in _NUMBERS:
        table.add_column(name, justify="right")
    table.add_column("stopped")
    for result in sorted(here, key=_order):
        table.add_row(*(Text(cell) for cell in _cells(result)))
    return table


def _order(result: RivalResult) -> tuple[bool, float, float]:
    quality = result.quality
    if quality is None:
        return True, 0.0, result.wall_s or 0.0
    return False, -quality.band_share, result.wall_s or 0.0


def _cells(result: RivalResult) -> list[str]:
    times = [_shown(result.wall_s, 2), _shown(result.cpu_s, 2), _shown(result.peak_rss_mb, 0)]
    quality = result.quality
    if quality is None:
        worth = [""] * 4
    else:
        worth = [
            _shown(quality.band_share, 3),
            f"{quality.topics_covered}/{quality.topics}",
            _shown(quality.mislabelled_share, 3),
            _shown(quality.positive_share, 3),
        ]
    return [f"{result.system} {result.version}", result.strategy, *times, *worth, _why(result)]


def _why(result: RivalResult) -> str:
    if isinstance(result.stopped, str):
        return result.stopped
    if result.stopped:
        return "time"
    return "" if result.picked == result.budget else f"{result.picked} picks"


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
