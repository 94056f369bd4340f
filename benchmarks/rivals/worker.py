"""One query of one strategy in a process of its own: ``python -m benchmarks.rivals.worker FOLDER ...``."""

import json
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from numpy.typing import NDArray

from benchmarks.processes import peak_rss_mb
from benchmarks.rivals.question import Question, read_question
from benchmarks.rivals.systems import Adapter

STARTED, RESULT, PICKS = "started", "result.json", "picks.npy"
_WARM_ITEMS, _WARM_DIMENSIONS, _WARM_BUDGET = 200, 16, 10


@dataclass(frozen=True)
class Measured:
    """What one query took; None where it did not get so far.

    :param baseline_rss_mb: memory of the process just before the query: Python, imports, the pool.
    :param peak_rss_mb: the most memory that the process had, all in all.
    :param error: what it raised; "memory" if that was a refused allocation.
    """

    wall_s: float | None = None
    cpu_s: float | None = None
    baseline_rss_mb: float | None = None
    peak_rss_mb: float | None = None
    error: str = ""


def main() -> None:
    """Ask, and leave the figures and the picks in the folder named by ``--out``."""
    given = _arguments()
    # What a rival warns of is for its own users; our tests turn warnings into errors.
    warnings.simplefilter("ignore")
    adapter: Adapter = import_module(given.module)
    question = read_question(given.folder, given.budget, given.seed)
    measured = measure(adapter, given.strategy, question, given.out)
    partial = given.out / f"{RESULT}.partial"
    partial.write_text(json.dumps(asdict(measured)), encoding="utf-8")
    partial.rename(given.out / RESULT)


def measure(adapter: Adapter, strategy: str, question: Question, out: Path) -> Measured:
    """Time one query from its call to its return; what loads on first use was loaded by a small one before.

    :param out: where the file ``started`` and the picks are written.
    """
    try:
        _warm_up(adapter, strategy)
        query = adapter.prepare(strategy, question)
        baseline = psutil.Process().memory_info().rss / 2**20
        (out / STARTED).touch()
        wall, cpu = time.perf_counter(), time.process_time()
        rows = query()
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    except MemoryError:
        return Measured(error="memory")
    except Exception as error:
        return Measured(error=f"{type(error).__name__}: {error}")
    np.save(out / PICKS, rows)
    return Measured(wall_s, cpu_s, baseline, peak_rss_mb())


def _warm_up(adapter: Adapter, strategy: str) -> None:
    try:
        adapter.prepare(strategy, _small_question())()
    except Exception as error:
        # Too small for some strategy is no fault; a real one shows on the real pool.
        sys.stderr.write(f"warm-up: {type(error).__name__}: {error}\n")


def _small_question() -> Question:
    rng = np.random.default_rng(0)
    positive = np.arange(_WARM_ITEMS) % 3 == 0
    vectors = rng.normal(size=(_WARM_ITEMS, _WARM_DIMENSIONS)) + positive[:, None]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    labels: NDArray[np.float64] = np.full(_WARM_ITEMS, np.nan)
    labels[:20] = positive[:20]
    scores = np.where(positive, 0.6, 0.1) + 0.3 * rng.random(_WARM_ITEMS)
    ids = pl.Series("item_id", [f"w{row}" for row in range(_WARM_ITEMS)])
    return Question(ids, vectors, scores, positive, labels, _WARM_BUDGET, 0)


def _arguments() -> Namespace:
    parser = ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--module", required=True)
    parser.add_argument("--strategy", required=True)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
