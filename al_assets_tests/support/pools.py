"""Small synthetic pools and candidates with a known truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.geometry.clusters import cluster_assignments
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.round import named_regions
from al_assets.curation.settings import ClusterSettings, RoundSettings
from al_assets.curation.strategies.base import Candidates


@dataclass(frozen=True)
class Pool:
    item_ids: list[str]
    vectors: NDArray[np.float32]
    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]

    @property
    def items(self) -> pl.DataFrame:
        return pl.DataFrame(
            {"item_id": self.item_ids, "text": [f"text of {item}" for item in self.item_ids], "duplicate_of": None},
            schema={"item_id": pl.String, "text": pl.String, "duplicate_of": pl.String},
        )

    @property
    def pseudo_labels(self) -> pl.DataFrame:
        return pl.DataFrame({"item_id": self.item_ids, "p_positive": self.scores, "label": self.positive})

    @property
    def sides(self) -> Sides:
        return Sides.of(self.item_ids, self.vectors, self.positive)

    def clusters(self, **settings: Any) -> pl.DataFrame:
        how = ClusterSettings(**{"regions": 8, "dimensions": 8, "items_per_cell": 10, "seed": 0, **settings})
        return cluster_assignments(self.sides, how, regions=Regions.of(self.regions(how)))

    def regions(self, how: ClusterSettings) -> pl.DataFrame:
        return named_regions(self.items, self.pseudo_labels, self.sides, RoundSettings(clusters=how))


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / lengths, dtype=np.float32)


def topic_pool(
    items: int = 400, *, dimensions: int = 16, topics: int = 4, prevalence: float = 0.2, seed: int = 0
) -> Pool:
    """Topics in space; an item is positive if it lies far enough along one direction, so every topic has a boundary."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(topics, dimensions))
    vectors = unit(centres[rng.integers(0, topics, items)] + 0.3 * rng.normal(size=(items, dimensions)))
    along = vectors @ unit(rng.normal(size=(1, dimensions)))[0]
    along = along - np.quantile(along, 1 - prevalence)
    scores = 1 / (1 + np.exp(-10 * along.astype(np.float64)))
    return Pool([f"i{number:04}" for number in range(items)], vectors, along > 0, scores)


def labelled(pool: Pool, positive: NDArray[np.bool_]) -> Pool:
    return Pool(pool.item_ids, pool.vectors, positive, np.where(positive, 0.9, 0.1))


def six(**others: Any) -> Candidates:
    """Items a to f; half of them positive."""
    scores = np.array([0.1, 0.9, 0.45, 0.7, 0.3, 0.55])
    return Candidates(pl.Series("item_id", list("abcdef")), scores, scores >= 0.5, **others)


def topics(items: int = 300, *, labels: int = 0, seed: int = 0, **others: Any) -> Candidates:
    """A pool of topics, some of its items labelled, with all that any strategy may look at."""
    pool = topic_pool(items, seed=seed)
    rng = np.random.default_rng(seed)
    known = np.full(items, np.nan)
    rows = rng.permutation(items)[:labels]
    known[rows] = pool.positive[rows]
    given = {
        "vectors": Vectors(pool.vectors),
        "labels": known,
        "disagreement": rng.random(items),
        "reference": np.clip(pool.scores + rng.normal(0, 0.2, items), 0, 1),
    }
    return Candidates(pl.Series("item_id", pool.item_ids), pool.scores, pool.positive, **{**given, **others})


def on_circle(*degrees: float) -> NDArray[np.float32]:
    """Vectors of length one at those angles."""
    angles = np.radians(degrees)
    return unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def plain(vectors: NDArray[np.float32], scores: list[float] | None = None, **others: Any) -> Candidates:
    """Items 0, 1, 2 ... with those vectors, all scored alike unless told otherwise."""
    given = np.full(len(vectors), 0.25) if scores is None else np.array(scores)
    ids = pl.Series("item_id", [str(row) for row in range(len(vectors))], dtype=pl.String)
    return Candidates(ids, given, given >= 0.5, Vectors(vectors), **others)
