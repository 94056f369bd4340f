"""The rivals' figures as a table for the terminal, and as plain values for JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.rivals.runner import RivalResult

_NUMBERS = ("wall s", "CPU s", "peak MB", "band", "topics", "mislabelled", "positive")


def rivals_json(found: Sequence[RivalResult]) -> list[dict[str, Any]]:
    """Return the results as JSON takes them, NaN as None."""
    return [{name: _plain(value) for name, value in asdict(result).items()} for result in found]


def rivals_table(found: Sequence[RivalResult], pool: str) -> Table:
    """Return the results of one pool, the widest boundary band first, those stopped last."""
    here = [result for result in found if result.pool == pool]
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
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
