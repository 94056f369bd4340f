"""Studies of seconds on generated texts, and rows of studies whose answers are known."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from al_assets.study.report.page import StudyAbout
from al_assets.study.report.result_rows import checked_rows
from al_assets.study.settings import Study

Row = dict[str, Any]
Level = Callable[[int, float], float]
"""Kappa by seed and labels."""


def row(strategy: str, seed: int, number: int, labels: int, kappa: float | None, **more: Any) -> Row:
    return {
        "dataset": "texts",
        "strategy": strategy,
        "student": "small",
        "embedding": "minilm",
        "seed": seed,
        "round": number,
        "labels": labels,
        "kappa": kappa,
        "kappa_boundary": None if kappa is None else kappa - 0.1,
        "average_precision": 0.5,
        "positive_share": 0.3,
        "seconds": 2.0,
        "budget": 100,
        "votes": 2 * labels,
        **more,
    }


def curve(strategy: str, seeds: Sequence[int], labels: Sequence[int], kappa: Level, **more: Any) -> list[Row]:
    return [
        row(strategy, seed, number, each, kappa(seed, each), **more)
        for seed in seeds
        for number, each in enumerate(labels)
    ]


def crowd(seeds: Sequence[int], sizes: Sequence[int], kappa: Level, **more: Any) -> list[Row]:
    rows = curve("crowd", seeds, sizes, kappa, **more)
    return [{**each, "votes": each["labels"], "embedding": "none", "budget": 0} for each in rows]


def frame(*parts: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return checked_rows(pl.DataFrame([each for part in parts for each in part], infer_schema_length=None))


def framed(table: Callable[..., list[Row]]) -> Callable[..., pl.DataFrame]:
    """What gives a table of the summary, as what gives a frame."""
    return lambda *args, **options: pl.DataFrame(table(*args, **options), infer_schema_length=None)


LABELS = (100, 200, 300)
SIZES = (100, 1_000, 10_000)
SHIFT = (0.0, 0.02, -0.02, 0.01, -0.01)
MARKUP = "<b>|x_1 $2^"
NOISE = (0.0, 0.004, -0.004, 0.002, -0.002)
ABOUT = StudyAbout("small", "small.yaml", "al study run small.yaml", "a machine", "today", {"numpy": "2"}, "seed: 0", 0)


def arm(strategy: str, level: float, seeds: int = 5, noise: Sequence[float] = (0.0,), **more: Any) -> list[Row]:
    def kappa(seed: int, labels: float) -> float:
        return level - 0.1 * (1 - labels / 300) + SHIFT[seed] + noise[seed % len(noise)]

    return curve(strategy, range(seeds), LABELS, kappa, **more)


def crowd_arm(level: float, seeds: int = 5, sizes: Sequence[int] = SIZES, **more: Any) -> list[Row]:
    """The crowd's kappa is the level at 10,000 labels and .1 less for every tenth of them."""
    steps = dict(zip(SIZES, (-0.2, -0.1, 0), strict=True))
    return crowd(range(seeds), sizes, lambda seed, size: level + steps[int(size)] + SHIFT[seed], **more)


def whole_study(seeds: int = 5) -> pl.DataFrame:
    further = {"probe_embedding": 0.5, "ceiling": 0.6, "curation_seconds": 0.5, "training_seconds": 1.0,
               "expert_kappa": 0.8, "expert_kappa_boundary": 0.7, "crowd_kappa": 0.5, "prevalence": 0.1,
               "promoted": 1.0, "incumbent_kappa": 0.4, "recommended_kappa": 0.4, "gain": 0.1, "gain_low": -0.1,
               "gain_high": 0.3, "better": 0.0, "estimated_prevalence": 0.1}  # fmt: skip
    parts = [arm(name, level, seeds, NOISE, **further) for name, level in
             (("boundary_pairs", 0.45), ("random", 0.4), (MARKUP, 0.42))]  # fmt: skip
    parts += [arm("boundary_pairs", 0.3 + x / 4, seeds, variant=f"expert kappa {x}") for x in (0.5, 0.75, 1.0)]
    parts += [arm("boundary_pairs", 0.4, seeds, NOISE, variant="no mixing filter"), crowd_arm(0.5, seeds)]
    llm0 = [row("llm0", seed, 0, 0, 0.1, student="none", embedding="none", budget=0) for seed in range(seeds)]
    return frame(*parts, llm0)


BAD = ("awful", "horrid", "dreadful", "rotten", "vile", "foul", "nasty", "grim")


GOOD = ("lovely", "bright", "gentle", "sweet", "calm", "kind", "merry", "warm")


PLAIN = ("door", "river", "table", "engine", "paper", "window", "garden", "street", "bottle", "letter")


def write_judged_texts(path: Path, items: int = 700, seed: int = 0) -> Path:
    """Write texts of which about a quarter are bad, with five noisy judgements each, 1 in 8 of them wrong."""
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(items):
        bad = rng.random() < 0.25
        words = [*rng.choice(BAD if bad else GOOD, 2), *rng.choice(PLAIN, 3), f"n{number}", f"m{7 * number}"]
        # Some words of the other side, so that no word decides alone.
        words += [str(rng.choice(GOOD if bad else BAD))] if rng.random() < 0.4 else []
        judgements = np.where(rng.random(5) < 0.125, not bad, bad).astype(float)
        lines.append(json.dumps({"id": str(number), "text": " ".join(words), "judgments": judgements.tolist()}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def small_study(folder: Path, **changes: Any) -> Study:
    """Return a study of seconds: two seeds, two rounds, three strategies, a crowd, one control."""
    embedding = {"kind": "static", "model": str(folder / "embedder")}
    values: dict[str, Any] = {
        "name": "small",
        "seeds": 2,
        "datasets": {
            "words": {
                "kind": "file",
                "path": str(folder / "texts.jsonl"),
                "pool": 400,
                "held_out": 200,
                "boundary_items": 60,
                "panel": {"experts": 2, "raters_per_expert": 2},
                "labeler": {"kind": "oracle", "auc": 0.8},
            }
        },
        "embeddings": {"small": embedding},
        "students": {"linear": {"kind": "linear", "embedding": embedding}},
        "strategies": ["boundary_pairs", "random", "margin"],
        "budgets": [40],
        "rounds": 2,
        "crowd_sizes": [50, "all"],
        "controls": {"no mixing filter": {"loop": {"min_mixing": 0}}},
    }
    return Study.model_validate({**values, **changes})
