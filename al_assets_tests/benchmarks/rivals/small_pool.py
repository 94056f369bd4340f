"""A pool of two overlapping classes in a few topics, small enough for any system."""

import numpy as np
import polars as pl

from benchmarks.pools.bench_pool import BenchPool


def small_pool(items: int = 300, seed: int = 0, positive_share: float = 0.2) -> BenchPool:
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 6, items).astype(np.int32)
    vectors = rng.normal(size=(6, 16))[topic] + 0.7 * rng.normal(size=(items, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    height = vectors @ rng.normal(size=16)
    cut = np.quantile(height, 1 - positive_share)
    scores = 1 / (1 + np.exp(3 - 4 * (height - cut) - 0.8 * rng.normal(size=items)))
    band = np.abs(height - cut) < 0.2
    return BenchPool(
        name="small",
        item_ids=pl.Series("item_id", [f"i{row:04d}" for row in range(items)]),
        vectors=vectors.astype(np.float16),
        scores=scores,
        positive=scores >= np.quantile(scores, 1 - positive_share),
        truth=height > cut,
        topic=topic,
        band=band,
        boundary_topics=len(np.unique(topic[band])),
    )
