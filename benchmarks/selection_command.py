"""What ``python -m benchmarks selection`` and ``python -m benchmarks cold-start`` run and show."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from al_assets.curation.checks import CurationError

if TYPE_CHECKING:
    from benchmarks.pools.bench_pool import BenchPool
    from benchmarks.selection.cold_start import Texts
    from benchmarks.selection.engine import SelectionBench

Say = Callable[[str], None]
_ARRAYS = ("vectors", "truth", "scores")


@dataclass(frozen=True)
class Shown:
    """A benchmark's figures for a machine, and what a person sees of them."""

    figures: Any
    shown: tuple[Any, ...]


def bench_engine(n: int, dim: int, seed: int, say: Say) -> Shown:
    """Time the engine on a generated pool."""
    from benchmarks.selection.engine import bench_selection

    found = bench_selection(n, dim, seed, say=say)
    return Shown(asdict(found), (*_sentences(found), _stage_table(found)))


def bench_rivals(
    n: int,
    dim: int,
    pools: int,
    real: Sequence[Path],
    systems: Sequence[str] | None,
    limit: float,
    seed: int,
    say: Say,
) -> Shown:
    """Ask this package and its rivals on the same pools: those of the files, or generated ones.

    :param systems: names such as "modAL" or "small-text:BADGE"; None is all.
    """
    from benchmarks.pools.bench_pool import make_pool
    from benchmarks.rivals.runner import bench_rivals as ask
    from benchmarks.rivals.systems import chosen_systems
    from benchmarks.rivals.table import rivals_json, rivals_table

    with tempfile.TemporaryDirectory(prefix="al-bench-") as folder:
        say("making the pools")
        asked = [real_pool_of(path) for path in real] or [
            make_pool(n, dim, seed=seed + number, folder=Path(folder)) for number in range(pools)
        ]
        chosen = chosen_systems(systems)
        found = ask(asked, budget=None, limit_s=limit, seed=seed, systems=chosen, progress=say)
    return Shown(rivals_json(found), tuple(rivals_table(found, pool.name) for pool in asked))


def bench_ray(n: int, dim: int, seed: int, say: Say) -> Shown:
    """Run the engine by threads and on a Ray cluster of this machine."""
    from benchmarks.pools.bench_pool import make_pool
    from benchmarks.selection.threads_and_ray import bench_selection_ray

    with tempfile.TemporaryDirectory(prefix="al-bench-") as folder:
        say("making the pool")
        pool = make_pool(n, dim, seed=seed, folder=Path(folder))
        say("selecting by threads and by Ray")
        found = bench_selection_ray(pool, seed=seed)
    lines = [
        f"{found.n:,} items by {found.shards} shards on {len(found.nodes)} nodes: {found.ray.wall_s:.1f} s, "
        f"{found.task_cpu_s:.1f} CPU s in tasks; by {found.cores} threads: {found.threads.wall_s:.1f} s, "
        f"{found.threads.cpu_s:.1f} CPU s",
        f"clusters that are the same: {found.same_clusters:.2%}; pairs: {found.same_pairs:.2%}; "
        f"recall at 10 of the neighbours: {found.recall_at_10:.4f}",
    ]
    return Shown(asdict(found), tuple(lines))


def real_pool_of(path: Path) -> "BenchPool":
    """Return a pool of real vectors from an ``.npz`` file of vectors, truth and scores, and item_ids if there are any.

    :raises CurationError: an array is missing.
    """
    from benchmarks.pools.bench_pool import real_pool

    with np.load(path) as arrays:
        missing = [name for name in _ARRAYS if name not in arrays]
        if missing:
            raise CurationError(f"{path}: has no array {', '.join(missing)}; expected {', '.join(_ARRAYS)}")
        ids = arrays["item_ids"].astype(str).tolist() if "item_ids" in arrays else None
        vectors, truth, scores = (arrays[name] for name in _ARRAYS)
        return real_pool(vectors, truth.astype(np.bool_), scores, item_ids=ids, name=path.stem)


def labelled_texts(path: Path, text: str, label: str, model: str, sentence: str, seed: int) -> "Texts":
    """Return embedded texts with labels and three first labelers: chance, similarity to a sentence, a noisy oracle.

    :raises CurationError: a row has no such text or label; names the row.
    """
    from sentence_transformers import SentenceTransformer

    from al_assets.study.panel import noisy_oracle
    from benchmarks.selection.cold_start import Texts

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get(text), str) or row.get(label) not in (True, False):
            raise CurationError(f"{path}: row {number} has no {text!r}, or a {label!r} that is not true or false")
    embedder = SentenceTransformer(model, device="cpu")
    vectors = embedder.encode([row[text] for row in rows], normalize_embeddings=True, show_progress_bar=False)
    question = embedder.encode([sentence], normalize_embeddings=True, show_progress_bar=False)[0]
    truth = np.array([bool(row[label]) for row in rows])
    labelers = {
        "chance": np.random.default_rng(seed).random(len(rows)),
        "similarity": (vectors @ question + 1) / 2,
        "noisy oracle": noisy_oracle(truth, 0.95, seed),
    }
    return Texts(path.stem, vectors, truth, labelers)


def _sentences(found: "SelectionBench") -> list[str]:
    quality = found.quality
    return [
        f"{found.n:,} items of {found.dim} numbers: {found.wall_s:.1f} s on {found.threads} threads, "
        f"{found.cpu_s:.1f} CPU s, at most {found.peak_rss_mb:,.0f} MB",
        f"floor, the same {found.products:,} products ({found.tflop:.2f} TFLOP) as plain sgemm: "
        f"{found.floor_cpu_s:.1f} CPU s; ratio {found.ratio:.2f}",
        f"recall at 10 of the neighbours across labels: {found.recall_at_10:.3f}; {found.candidates:,} candidate pairs",
        f"250 picks: {quality.band_share:.0%} inside the boundary band, {quality.topics_covered} of {quality.topics} "
        f"boundary topics, {quality.mislabelled_share:.0%} mislabelled, {quality.positive_share:.0%} positive",
        f"folding near-duplicates among as many texts, before all this: {found.fold_cpu_s:.1f} CPU s",
    ]


def _stage_table(found: "SelectionBench") -> Table:
    table = Table("stage", "CPU s", "wall s")
    for name, cpu in found.stages.items():
        table.add_row(name, f"{cpu:.2f}", f"{found.walls[name]:.2f}")
    return table
