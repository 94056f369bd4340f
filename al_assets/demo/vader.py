"""Short texts with 15 to 20 real human ratings each, and experts simulated from those ratings.

Source: C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014; ratings from -4 (extremely negative) to 4. The demo's policy asks for strongly negative remarks: whoever
rates a text -1.5 or less says yes. An expert is the median of several raters, a crowd worker is one rater.
"""

import ast
import hashlib
import html
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.config import Policy
from al_assets.demo.fetch import vader_texts
from al_assets.storage.atomic import write_bytes
from al_assets.storage.root import RunRoot

Votes = Mapping[str, NDArray[np.float64]]
THRESHOLD = -1.5
# Demo name of a source -> the name its two files start with.
SOURCES = {
    "tweet": "tweets",
    "product_review": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
    "movie_review": "movieReviewSnippets",
}
DEMO_SOURCES = ("tweet", "product_review")
SCHEMA = pl.Schema(
    [("item_id", pl.String()), ("text", pl.String()), ("source", pl.String()), ("ratings", pl.List(pl.Float64))]
)


def load_texts(sources: Sequence[str] = DEMO_SOURCES) -> pl.DataFrame:
    """Return the texts with their ratings: item_id, text, source, ratings (-4 to 4, in the raters' order).

    :param sources: of ``SOURCES``; the editorials are where even the experts disagree (kappa .46).
    :raises ValueError: a source is unknown.
    :raises FetchError: the texts are not in the cache and cannot be fetched.
    """
    unknown = [source for source in sources if source not in SOURCES]
    if unknown:
        raise ValueError(f"sources: {unknown[0]!r} is unknown; the sources are {', '.join(SOURCES)}")
    folder = vader_texts()
    return pl.concat([_load_source(folder, source) for source in sources]) if sources else SCHEMA.to_frame()


def sample_pool(texts: pl.DataFrame, items: int, seed: int = 0) -> pl.DataFrame:
    """Return a uniform random sample without replacement, in random order; all of them where fewer are there."""
    order = np.random.default_rng(seed).permutation(texts.height)[:items]
    return texts[order]


def simulate_experts(
    ratings: Iterable[Sequence[float]], experts: int = 3, raters_per_expert: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Return votes of simulated experts, shape (items, experts): 1 positive, 0 negative, NaN where raters ran out.

    Each expert is the median of raters of their own, drawn without replacement and anew for every item; the draw
    depends on the seed and the item's ratings alone, so a vote does not change with the order or number of the items.

    :raises ValueError: ``experts`` or ``raters_per_expert`` is less than 1.
    """
    _at_least_one("experts", experts)
    _at_least_one("raters_per_expert", raters_per_expert)
    drawn = _draw(ratings, experts * raters_per_expert, seed)
    return _votes(np.median(drawn.reshape(len(drawn), experts, raters_per_expert), axis=2))


def simulate_crowd(
    ratings: Iterable[Sequence[float]], workers: int = 1, seed: int = 0, skip: int = 15
) -> NDArray[np.float64]:
    """Return votes of crowd workers, shape (items, workers): 1 positive, 0 negative, NaN where raters ran out.

    :param skip: raters already used; by default those behind three experts of five under the same seed.
    :raises ValueError: ``workers`` is less than 1 or ``skip`` is negative.
    """
    _at_least_one("workers", workers)
    if skip < 0:
        raise ValueError(f"skip: {skip} is negative; give the number of raters that others already used")
    return _votes(_draw(ratings, skip + workers, seed)[:, skip:])


def majority(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each item's majority vote, shape (items,): 1 or 0, NaN where tied or without votes."""
    decisive = ~np.isnan(votes)
    balance = np.where(decisive, votes * 2 - 1, 0).sum(axis=1)
    return np.where(balance > 0, 1.0, np.where(balance < 0, 0.0, np.nan))


def _load_source(folder: Path, source: str) -> pl.DataFrame:
    name = SOURCES[source]
    ratings = {
        row[0]: [float(rating) for rating in ast.literal_eval(row[3])]
        for row in _rows(folder / f"{name}_anonDataRatings.txt", columns=4)
    }
    texts = _rows(folder / f"{name}_GroundTruth.txt", columns=3)
    return pl.DataFrame(
        [(f"{source}-{key}", html.unescape(text).strip(), source, ratings[key]) for key, _, text in texts],
        schema=SCHEMA,
        orient="row",
    )


def _rows(file: Path, columns: int) -> list[list[str]]:
    # Not splitlines(): it would also split at characters that occur inside texts.
    lines = file.read_text(encoding="utf-8-sig").split("\n")
    return [line.rstrip("\r").split("\t", columns - 1) for line in lines if line.strip()]


def _draw(ratings: Iterable[Sequence[float]], count: int, seed: int) -> NDArray[np.float64]:
    rows = [_shuffled(np.asarray(each, dtype=np.float64), seed)[:count] for each in ratings]
    padded = [np.pad(row, (0, count - len(row)), constant_values=np.nan) for row in rows]
    return np.array(padded).reshape(len(rows), count)


def _shuffled(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    digest = hashlib.sha256(values.tobytes()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")]).permutation(values)


def _votes(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(ratings), np.nan, (ratings <= THRESHOLD).astype(np.float64))


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: {value} is too few; give at least 1")


def expert_votes(texts: pl.DataFrame, experts: int) -> Votes:
    """Return each item's votes by simulated experts: 1 positive, 0 negative, NaN where an expert has none."""
    return dict(zip(texts["item_id"], simulate_experts(texts["ratings"], experts=experts), strict=True))


def crowd_votes(texts: pl.DataFrame, experts: int) -> Votes:
    """Return each item's vote by one crowd worker: a single rater who is none of those behind the experts."""
    return dict(zip(texts["item_id"], simulate_crowd(texts["ratings"], skip=5 * experts), strict=True))


def drop_votes(
    queue: pl.DataFrame,
    iteration: str,
    votes: Votes,
    policy: Policy,
    root: RunRoot,
    experts: Collection[str] | None = None,
) -> list[str]:
    """Write one file of votes for each expert into the drop folder.

    :param queue: the published queue.
    :param experts: who answers; None is every rater of the policy.
    :return: the names of the files.
    """
    labels = policy.policy.labels
    said = {1.0: labels.positive, 0.0: labels.negative}
    dropped = []
    for place, rater in enumerate(policy.review.raters):
        if experts is not None and rater not in experts:
            continue
        rows = [
            {
                "item_id": item,
                "iteration": iteration,
                "rater": rater,
                "label": said.get(float(votes[item][place]), labels.undecided),
            }
            for item in queue["item_id"]
        ]
        name = f"{iteration}-{rater}.jsonl"
        write_bytes(root.inbox / name, "".join(json.dumps(row) + "\n" for row in rows).encode())
        dropped.append(name)
    return dropped
