import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before numpy and torch are imported: on a shared machine more threads than cores only cost.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A process that pytest starts may inherit them from readline, and a console would keep that width.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

import dagster as dg
import polars as pl
import pytest
from hypothesis import settings

from al_assets.demo.vader import load_texts, sample_pool
from al_assets_tests.support.loop_journal import Journal, live
from al_assets_tests.support.small_loop import (
    MakeLoop,
    SmallLoop,
    pool_rows,
    write_policy,
    write_pool,
    write_small_embedder,
)

pytest_plugins = [
    "al_assets_tests.support.postgres",
    "al_assets_tests.support.pytest_hooks",
]

# No property is timed; CI tries the same examples each time, a developer's machine looks for new ones.
settings.register_profile("al", deadline=None, derandomize="AL_NO_SKIPS" in os.environ)
settings.load_profile("al")


@pytest.fixture(scope="session")
def small_texts() -> pl.DataFrame:
    """400 remarks with their ratings."""
    return sample_pool(load_texts(), 400, seed=0)


@pytest.fixture(scope="session")
def small_embedder(small_texts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static embedder of 64 dimensions that knows the words of the small texts."""
    return write_small_embedder(tmp_path_factory.mktemp("embedder") / "static", small_texts["text"])


@pytest.fixture
def make_loop(small_texts: pl.DataFrame, small_embedder: Path, tmp_path: Path) -> Iterator[MakeLoop]:
    """Make loops in folders of their own: ``make_loop("name", rows=..., selection={...})``."""
    instances: list[dg.DagsterInstance] = []

    def make(name: str = "loop", rows: list[dict[str, Any]] | None = None, **sections: Any) -> SmallLoop:
        folder = tmp_path / name
        write_pool(folder, pool_rows(small_texts) if rows is None else rows)
        instances.append(dg.DagsterInstance.ephemeral())
        return SmallLoop(write_policy(folder, small_embedder, **sections), instances[-1], small_texts)

    yield make
    for instance in instances:
        instance.dispose()


@pytest.fixture(scope="session")
def curated_folder(small_texts: pl.DataFrame, small_embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose loop has published the queue of iteration 0000; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("curated") / "loop"
    write_pool(folder, pool_rows(small_texts))
    with dg.DagsterInstance.ephemeral() as instance:
        done = SmallLoop(write_policy(folder, small_embedder), instance, small_texts).run("curate", "0000")
    assert done.success
    return folder


@pytest.fixture
def curated(curated_folder: Path, small_texts: pl.DataFrame, tmp_path: Path) -> Iterator[SmallLoop]:
    """A loop of one's own that has published the queue of iteration 0000, with an instance that knows of no run."""
    folder = shutil.copytree(curated_folder, tmp_path / "loop")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("iteration", ["0000"])
        yield SmallLoop(folder / "policy.yaml", instance, small_texts)


@pytest.fixture(scope="session")
def journal(
    small_texts: pl.DataFrame, small_embedder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journal]:
    """A loop that lived through two iterations; read it, change nothing."""
    folder = tmp_path_factory.mktemp("life") / "loop"
    rows = pool_rows(small_texts)
    write_pool(folder, rows)
    policy = write_policy(folder, small_embedder, stopping={"max_iterations": 2, "stop_set_size": 60, "resamples": 200})
    with dg.DagsterInstance.ephemeral() as instance:
        life = Journal(SmallLoop(policy, instance, small_texts))
        live(life)
        more = [{"id": f"new-{row['id']}", "text": f"{row['text']} {number}"} for number, row in enumerate(rows[:100])]
        with (folder / "pool.jsonl").open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in more)
        life.sense("pool grown, sensor")
        life.nightly("pool grown, night")
        yield life
