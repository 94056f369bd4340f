"""Setting the demo up: the pool, the policy file and a Dagster home, in one folder."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal

import polars as pl
import yaml

from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.demo.fetch import minilm_directory, smollm2_directory, static_model_directory
from al_assets.demo.vader import load_texts, sample_pool

HELD_OUT_ITEMS = 1_000
StudentKind = Literal["encoder", "linear", "sft"]
DAGSTER_YAML = files("al_assets.automation") / "dagster.yaml"


@dataclass(frozen=True)
class DemoSize:
    """How large a demo is, and who learns in it.

    :param student: MiniLM fine-tuned whole, a linear head on the embedder's vectors, or SmolLM2-135M through TRL.
    :param embedder: MiniLM, or a small static model that knows little, fast.
    :param labeler: URL of an OpenAI-compatible server whose ``model`` is LLM-0; empty: the lexicon is.
    """

    items: int = 4_000
    budget: int = 120
    stop_set_size: int = 400
    student: StudentKind = "encoder"
    embedder: Literal["minilm", "static"] = "minilm"
    labeler: str = ""
    model: str = ""
    seed: int = 0


QUICK = DemoSize(items=1_500, budget=80, stop_set_size=300, student="linear", embedder="static")


class DemoFolder:
    """Where a prepared demo is: its policy file, Dagster home and log, its last run's figures and newest report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.policy = path / "policy.yaml"
        self.dagster_home = path / "dagster"
        self.report = path / "report.json"
        self.page = path / "report.html"
        self.log = path / "dagster.log"


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
    """Return what the policy's $-names stand for, sections as YAML in a line."""
    static = size.embedder == "static"
    model = str(static_model_directory() if static else minilm_directory())
    embedding = {"kind": "static" if static else "sentence_transformers", "model": model}
    students: dict[StudentKind, Callable[[], dict[str, Any]]] = {
        "encoder": lambda: {"base_model": model},
        "linear": lambda: {"embedding": embedding},
        "sft": lambda: {"base_model": str(smollm2_directory()), "prompt": "Remark: {text}\nStrongly negative?"},
    }
    lexicon = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
    server = {"kind": "openai", "base_url": size.labeler, "model": size.model}
    parts = {
        "labeler": server if size.labeler else lexicon,
        "embedding": embedding,
        "student": {"kind": size.student, **students[size.student]()},
    }
    lines = {
        name: yaml.safe_dump(part, default_flow_style=True, sort_keys=False, width=1_000).strip()
        for name, part in parts.items()
    }
    return asdict(size) | lines | {"folds": "null" if size.student == "sft" else 2}
