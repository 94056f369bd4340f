"""A small study on generated texts, with the small static embedder: everything real but the texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from al_assets.study.settings import Study

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
