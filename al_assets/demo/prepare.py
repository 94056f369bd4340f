"""Setting the demo up: the pool, the policy file and a Dagster home, in one folder."""

import json
import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import polars as pl

from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.demo.fetch import minilm_directory, static_model_directory
from al_assets.demo.vader import load_texts, sample_pool

HELD_OUT_ITEMS = 1_500
DAGSTER_YAML = files("al_assets.automation") / "dagster.yaml"


@dataclass(frozen=True)
class DemoSize:
    """How large a demo is.

    :param quick: a linear student and a small static embedder instead of the language model: it learns little, fast.
    """

    items: int = 4_000
    budget: int = 150
    stop_set_size: int = 600
    quick: bool = False
    seed: int = 0


QUICK = DemoSize(items=1_500, budget=80, stop_set_size=300, quick=True)


class DemoFolder:
    """Where a prepared demo is: its policy file and Dagster home, its last run's figures and newest report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path / "policy.yaml"
        self.dagster_home = path / "dagster"
        self.report = path / "report.json"
        self.page = path / "report.html"


def prepare(folder: Path, size: DemoSize) -> DemoFolder:
    """Write pool, policy and Dagster home into a folder, fetching texts and models first.

    A policy file that is there already is kept, so that it can be edited.

    :raises FetchError: a download failed.
    """
    demo = DemoFolder(folder.absolute())
    demo.path.mkdir(parents=True, exist_ok=True)
    texts = demo_texts(size)
    lines = (
        json.dumps({"id": row["item_id"], "text": row["text"], "source": row["source"]}) for row in texts.to_dicts()
    )
    (demo.path / "pool.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not demo.policy.exists():
        template = Template((files("al_assets.demo") / "policy.yaml").read_text(encoding="utf-8"))
        demo.policy.write_text(template.safe_substitute(_values(size)), encoding="utf-8")
    write_dagster_home(demo.dagster_home)
    return demo


def demo_texts(size: DemoSize) -> pl.DataFrame:
    """Return the demo's texts with their ratings."""
    return sample_pool(load_texts(), size.items, size.seed)


def held_out_texts(size: DemoSize) -> pl.DataFrame:
    """Return texts that are not in the pool, nor near-duplicates of any in it: a test set no selection can touch."""
    pool, texts = demo_texts(size), load_texts()
    others = sample_pool(texts.join(pool, on="item_id", how="anti"), HELD_OUT_ITEMS, size.seed)
    representative = near_duplicates([*pool["text"], *others["text"]])
    return others.filter(representative[pool.height :] >= pool.height)


def write_dagster_home(home: Path) -> None:
    """Write a Dagster home whose queue runs one run of the loop at a time; an existing one is kept."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(DAGSTER_YAML.read_text(encoding="utf-8"), encoding="utf-8")


def enter_dagster_home(home: Path) -> None:
    """Make a Dagster home that of this process and of those it starts."""
    os.environ["DAGSTER_HOME"] = str(home.absolute())


def _values(size: DemoSize) -> dict[str, Any]:
    kind = "static" if size.quick else "sentence_transformers"
    model = json.dumps(str(static_model_directory() if size.quick else minilm_directory()))
    if size.quick:
        student = f"{{kind: linear, embedding: {{kind: static, model: {model}}}}}"
    else:
        student = f"{{kind: encoder, base_model: {model}}}"
    return {**asdict(size), "embedding_kind": kind, "embedding_model": model, "student": student}
