"""Adapters to libraries that do not exist: one that sleeps, one that hoards, one that fails, one that is wrong."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals.question import Question
from benchmarks.rivals.systems import Query, System

STRATEGIES = ("sleep", "hoard", "refused", "fail", "die", "repeat", "first")
_REAL_POOL = 201


def system(*strategies: str) -> System:
    return System("misbehaving", __name__, "numpy", strategies)


def version() -> str:
    return "1.2.3"


def prepare(strategy: str, question: Question) -> Query:
    def query() -> NDArray[np.int64]:
        first = question.open_rows[: question.budget]
        if len(question.labels) < _REAL_POOL:
            return first
        hoard = []
        if strategy == "sleep":
            # Its own child must not outlive it.
            grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(question.item_ids[0]).write_text(str(grandchild.pid), encoding="utf-8")
            time.sleep(600)
        while strategy == "hoard":
            hoard.append(np.ones(4_000_000))
            time.sleep(0.01)
        if strategy == "refused":
            raise MemoryError
        if strategy == "fail":
            raise RuntimeError("no such luck")
        if strategy == "die":
            sys.stderr.write("last words\n")
            sys.stderr.flush()
            sys.exit(7)
        if strategy == "repeat":
            return np.concatenate((first[:-2], first[:1], question.labelled_rows[:1]))
        return first

    return query
