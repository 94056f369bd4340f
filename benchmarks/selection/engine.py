"""What the selection engine costs on a generated pool, against the time of its own matrix products alone."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_item_ids
from benchmarks.pools.bench_pool import BenchPool, make_pool
from benchmarks.processes import child_environment


@dataclass(frozen=True)
class Quality:
    """Figures of one selection; the shares are of its picks, NaN without picks."""

    band_share: float
    """Picks inside the true boundary band: where an expert's label says most."""
    topics_covered: int
    """Topics with a boundary of which at least one band item was picked."""
    topics: int
    """Topics with a boundary."""
    mislabelled_share: float
    """Picks whose pseudo-label is not the truth: errors that the experts get to see."""
    positive_share: float
    """Picks that are truly positive."""


def selection_quality(pool: BenchPool, picked_item_ids: Sequence[str] | pl.Series) -> Quality:
    """Return what the picks are worth.

    :param picked_item_ids: items of the pool, none twice, in any order.
    :raises CurationError: an item is null, repeats, or is not in the pool; says how many.
    """
    picked = check_item_ids(picked_item_ids)
    places = pl.DataFrame({"item_id": pool.item_ids}).with_row_index("place")
    rows = picked.to_frame("item_id").join(places, on="item_id", how="inner")["place"].to_numpy()
    if len(rows) != len(picked):
        raise CurationError(
            f"item_id: {len(picked) - len(rows)} of {len(picked)} picks are not in the pool {pool.name!r}; "
            "give the ids of its items"
        )
    band, truth = pool.band[rows], pool.truth[rows]
    return Quality(
        band_share=_share(band),
        topics_covered=len(np.unique(pool.topic[rows][band])),
        topics=pool.boundary_topics,
        mislabelled_share=_share(pool.positive[rows] != truth),
        positive_share=_share(truth),
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


BUDGET = 250


@dataclass(frozen=True)
class SelectionBench:
    """What ``bench_selection`` found.

    :param n: items of the pool.
    :param wall_s: from vectors and scores to picks, in a process of its own; folding texts is not in it.
    :param cpu_s: processor seconds of that, over all threads.
    :param floor_cpu_s: processor seconds of the same matrix products alone, as plain sgemm by the same threads.
    :param ratio: cpu_s / floor_cpu_s.
    :param products: how many products, and ``tflop`` their floating-point operations.
    :param peak_rss_mb: largest resident memory of the process until the picks are there, the mapped vectors included.
    :param stages: processor seconds by stage; they add up to cpu_s.
    :param walls: wall seconds by stage.
    :param fold_cpu_s: processor seconds of folding near-duplicates among as many synthetic texts, before the vectors.
    :param recall_at_10: share of the ten nearest items of the other label that the engine's search finds, against a
        search of all, over a sample of the items that ask.
    :param candidates: pairs that pass the mixing filter.
    :param quality: of the picks.
    """

    n: int
    dim: int
    seed: int
    threads: int
    wall_s: float
    cpu_s: float
    floor_cpu_s: float
    ratio: float
    products: int
    tflop: float
    peak_rss_mb: float
    stages: dict[str, float]
    walls: dict[str, float]
    fold_cpu_s: float
    recall_at_10: float
    candidates: int
    quality: Quality


def bench_selection(
    n: int, dim: int = 384, seed: int = 0, *, difficulty: str = "real", say: Callable[[str], None] | None = None
) -> SelectionBench:
    """Return the cost of selecting 250 items of a generated pool of n.

    The pool is made and kept on disk first. The engine then runs in a process that has nothing else in memory.
    """
    tell = say or (lambda line: None)
    with tempfile.TemporaryDirectory(prefix="al-bench-") as folder:
        tell(f"making a pool of {n:,}")
        pool = make_pool(n, dim, difficulty, seed=seed, folder=Path(folder))
        scores = pl.DataFrame({"item_id": pool.item_ids, "p_positive": pool.scores, "label": pool.positive})
        scores.write_parquet(Path(folder) / "scores.parquet")
        tell("selecting")
        measured = _in_a_process_of_its_own(Path(folder), pool, seed)
    picked = measured.pop("picked")
    return SelectionBench(n=n, dim=dim, seed=seed, quality=selection_quality(pool, picked), **measured)


def _in_a_process_of_its_own(folder: Path, pool: BenchPool, seed: int) -> dict[str, Any]:
    vectors = pool.vectors
    if not isinstance(vectors, np.memmap) or vectors.filename is None:
        raise CurationError("vectors: not mapped from a file; make the pool with a folder")
    command = [
        sys.executable,
        "-m",
        "benchmarks.selection.engine_worker",
        str(vectors.filename),
        str(folder),
        str(seed),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=child_environment())
    if done.returncode:
        raise CurationError(f"selection: the process ended with {done.returncode}: {done.stderr.strip()[-800:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
