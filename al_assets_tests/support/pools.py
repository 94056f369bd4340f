"""Small synthetic pools with a known truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.geometry.clusters import assign_clusters


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

    def clusters(self, **settings: Any) -> pl.DataFrame:
        defaults: dict[str, Any] = {
            "min_cluster_size": 10,
            "pca_dimensions": 8,
            "exact_below": 10_000,
            "items_per_cell": 10,
            "seed": 0,
        }
        return assign_clusters(self.item_ids, self.vectors, self.positive, **{**defaults, **settings})


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
