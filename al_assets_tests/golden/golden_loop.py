"""A whole loop on generated texts, and its figures, for the golden files beside this module.

Nothing of the tests' support is used here, and of the package only its doors, so that an earlier version of the package
can make the files too. To make them anew, after a change that is meant to change figures:

    python -m al_assets_tests.golden.golden_loop
"""

import hashlib
import json
import math
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dagster as dg
import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from al_assets.config import load_policy
from al_assets.definitions import build
from al_assets.review.files.drop_folder import collect
from al_assets.storage.ledger import Ledger

FOLDER = Path(__file__).parent
RATERS = ("ada", "ben", "cleo")
ITERATIONS = 3
_DIMENSIONS = 32
_TOPICS = 6
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
# Of the words that make a text positive, or speak against it, the labelers know the first twelve.
_KNOWN, _LOADED = 12, 24
Words = list[str]


def vocabulary() -> dict[str, Words]:
    """Return words by kind: those of each topic, those of all texts, and those that decide on the label."""
    generator = np.random.default_rng(7)
    codes = generator.choice(len(_SYLLABLES) ** 3, 40 * _TOPICS + 200 + 2 * _LOADED, replace=False)
    base = len(_SYLLABLES)
    words = [_SYLLABLES[code % base] + _SYLLABLES[code // base % base] + _SYLLABLES[code // base**2] for code in codes]
    kinds = {f"topic {topic}": words[40 * topic : 40 * (topic + 1)] for topic in range(_TOPICS)}
    rest = words[40 * _TOPICS :]
    return {**kinds, "common": rest[:200], "bad": rest[200 : 200 + _LOADED], "good": rest[200 + _LOADED :]}


def make_texts(count: int, seed: int) -> list[str]:
    """Return texts of one topic each, with words that decide on the label in a third of them, and near-copies."""
    generator = np.random.default_rng(seed)
    words = vocabulary()
    texts: list[str] = []
    for number in range(count):
        if number % 25 == 24:
            texts.append(texts[-3] + " again")
            continue
        loaded = generator.integers(1, 5) if generator.random() < 0.35 else 0
        bad = int(generator.binomial(loaded, 0.65))
        topic = words[f"topic {min(int(generator.exponential(2)), _TOPICS - 1)}"]
        parts = [
            *generator.choice(topic, generator.integers(5, 12)),
            *generator.choice(words["common"], generator.integers(4, 9)),
            *generator.choice(words["bad"], bad),
            *generator.choice(words["good"], loaded - bad),
        ]
        texts.append(" ".join(str(word) for word in generator.permutation(parts)))
    return texts


def write_embedder(folder: Path) -> Path:
    """Write a static embedder: a vector for each word, near each other within a topic and among the bad words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    generator = np.random.default_rng(11)
    words, vectors = ["[UNK]"], [np.zeros(_DIMENSIONS)]
    for kind, members in vocabulary().items():
        shared = generator.normal(size=_DIMENSIONS) * {"common": 0.0, "bad": 1.2, "good": 0.8}.get(kind, 1.0)
        words += members
        vectors += [shared + generator.normal(size=_DIMENSIONS) for _ in members]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights: NDArray[np.float32] = np.array(vectors, dtype=np.float32)
    StaticModel(weights, tokenizer, config={"normalize": True}).save_pretrained(str(folder))
    return folder


def answer(text: str, rater: str) -> str:
    """Return what a rater says of a text: by its loaded words, and by a hash where they do not decide."""
    words, known = text.split(), vocabulary()
    balance = sum(word in known["bad"] for word in words) - 0.8 * sum(word in known["good"] for word in words)
    drawn = int.from_bytes(hashlib.sha256(f"{rater}: {text}".encode()).digest()[:6], "big") / 2**48
    if drawn > 0.98:
        return "cannot decide"
    strictness = {"ada": 1.4, "ben": 1.6, "cleo": 2.0}[rater]
    return "yes" if drawn < 1 / (1 + math.exp(3 * (strictness - balance))) else "no"


def write_loop(folder: Path, items: int, **selection: Any) -> Path:
    """Write pool, gold, embedder and policy, and return the policy's file."""
    folder.mkdir(parents=True, exist_ok=True)
    embedding = {"kind": "static", "model": str(write_embedder(folder / "embedder"))}
    rows = ({"id": f"t{number:06d}", "text": text} for number, text in enumerate(make_texts(items, seed=1)))
    _write_rows(folder / "pool.jsonl", rows)
    gold = [(text, "yes" if answer(text, "ada") == "yes" else "no") for text in make_texts(20, seed=2)]
    _write_rows(
        folder / "gold.jsonl",
        (
            {"item_id": f"gold{number}", "text": text, "label": label, "why": "-"}
            for number, (text, label) in enumerate(gold)
        ),
    )
    words = vocabulary()
    keywords = [
        {"kind": "keywords", "positive": words["bad"][start : start + 4], "negative": words["good"][start : start + 4]}
        for start in range(0, _KNOWN, 4)
    ]
    policy = {
        "policy": {
            "name": "golden", "question": "Bad?", "guideline": "Bad is what is bad.", "expected_prevalence": 0.15,
        },
        "pool": {"path": "pool.jsonl"},
        "labeler": {"kind": "combination", "labelers": keywords, "weights": [4, 2, 1]},
        "embedding": embedding,
        "selection": {
            "budget": 40, "shares": {"boundary": 0.6, "audit": 0.3, "control": 0.1}, "audit_strata": 2,
            "gold": "gold.jsonl", "gold_share": 0.1, **selection,
        },
        "review": {"raters": list(RATERS), "votes_per_item": 2},
        "student": {"kind": "linear", "embedding": embedding},
        "stopping": {"stop_set_size": 60, "resamples": 300},
        "storage": {"root": "runs"},
    }  # fmt: skip
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy, sort_keys=False), encoding="utf-8")
    return file


def run_job(file: Path, instance: dg.DagsterInstance, job: str, key: str) -> None:
    """Run half an iteration."""
    instance.add_dynamic_partitions("iteration", [key])
    definitions = build(str(file))
    assert definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=key).success


def vote(file: Path, key: str) -> None:
    """Let two of the three raters, by turns, answer each item of a queue through the drop folder."""
    policy = load_policy(file)
    inbox = Path(policy.root) / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    queue = _table(file, "review_queue", key).sort("item_id")
    for place, rater in enumerate(RATERS):
        asked = [row for number, row in enumerate(queue.iter_rows(named=True)) if number % 3 != place]
        votes = (
            {"item_id": row["item_id"], "iteration": key, "rater": rater, "label": answer(row["text"], rater)}
            for row in asked
        )
        _write_rows(inbox / f"{key}-{rater}.jsonl", votes)
    with Ledger.of(policy) as ledger:
        for report in collect(_universal(inbox), ledger, policy, min_age_seconds=0):
            assert not report.rejected
            assert report.unreadable is None


def loop_figures(folder: Path, items: int = 400) -> dict[str, Any]:
    """Run three iterations and return, for each, its queue, its labels and its report's figures."""
    file = write_loop(folder, items)
    found: dict[str, Any] = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for number in range(ITERATIONS):
            key = f"{number:04d}"
            run_job(file, instance, "curate", key)
            vote(file, key)
            run_job(file, instance, "learn", key)
            labels = _table(file, "expert_labels", key).sort("item_id", "rater")
            split = _table(file, "label_split", key).sort("item_id")
            found[key] = {
                "queue": queue_rows(file, key),
                "labels": _rows(labels, ["item_id", "rater", "label"]),
                "split": _rows(split, ["item_id", "split", "label"]),
                "figures": figure_rows(_table(file, "kappa_report", key)),
            }
    return found


def mixed_queue(folder: Path, items: int = 400) -> list[list[Any]]:
    """Return the first queue of a mixture of strategies."""
    names = ("boundary_pairs", "margin", "entropy", "top_scored", "disagreement", "random", "k_center",
             "facility_location", "typiclust", "probcover")  # fmt: skip
    file = write_loop(folder, items, strategy=dict.fromkeys(names, 0.1), budget=80)
    with dg.DagsterInstance.ephemeral() as instance:
        run_job(file, instance, "curate", "0000")
    return queue_rows(file, "0000")


def large_queue(folder: Path, items: int = 100_000) -> dict[str, Any]:
    """Return what sums up the first queue of a large pool: its digest, and how many items of each reason."""
    file = write_loop(folder, items, budget=250)
    with dg.DagsterInstance.ephemeral() as instance:
        run_job(file, instance, "curate", "0000")
    rows = queue_rows(file, "0000")
    lines = "".join(f"{item} {reason} {chance}\n" for item, reason, chance in rows)
    return {
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "reasons": dict(sorted(Counter(reason for _, reason, _ in rows).items())),
        "pool": _table(file, "pool", "0000").height,
        "copies": _table(file, "pool", "0000")["duplicate_of"].count(),
        "pairs": _table(file, "boundary_pairs", "0000").height,
        "positive": int(_table(file, "pseudo_labels", "0000")["label"].sum()),
    }


def queue_rows(file: Path, key: str) -> list[list[Any]]:
    """Return a queue's items with reason and chance."""
    return _rows(_table(file, "review_queue", key).sort("item_id"), ["item_id", "reason", "inclusion_probability"])


def figure_rows(report: pl.DataFrame) -> list[list[Any]]:
    """Return the figures of a kappa report that have an estimate, with their intervals.

    What was decided is no figure: the verdict, the promotion, and which stopping rules fired.
    """
    decided = pl.col("figure").str.contains("^(watermark|verdict|promotion|stop_)")
    is_figure = pl.col("estimate").is_not_null() & (~decided | (pl.col("figure") == "stop_set_agreement"))
    kept = report.filter(is_figure).sort("figure", "scope")
    return _rows(kept, ["figure", "scope", "estimate", "low", "high"])


def _rows(frame: pl.DataFrame, columns: Sequence[str]) -> list[list[Any]]:
    return [[_rounded(value) for value in row] for row in frame.select(columns).iter_rows()]


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _table(file: Path, name: str, key: str) -> pl.DataFrame:
    return pl.read_parquet(Path(load_policy(file).root) / name / f"{key}.parquet")


def _universal(path: Path) -> Any:
    from upath import UPath

    return UPath(path)


def _write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_golden(name: str, content: Any) -> None:
    """Write a golden file, a line for each row, so that a change shows which."""
    text = json.dumps(content, indent=1)
    rows = re.sub(r"\[\s+([^\[\]]*?)\s+\]", lambda row: "[" + re.sub(r"\s*\n\s*", " ", row[1]) + "]", text)
    (FOLDER / f"{name}.json").write_text(f"{rows}\n", encoding="utf-8")


def main() -> None:
    """Write the golden files, or those named."""
    makers = {"loop": loop_figures, "mixed_queue": mixed_queue, "large_queue": large_queue}
    for name in sys.argv[1:] or makers:
        with tempfile.TemporaryDirectory() as folder:
            content: Any = makers[name](Path(folder))
        write_golden(name, content)


if __name__ == "__main__":
    main()
