"""What a selection is worth on a pool whose truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_item_ids
from benchmarks.pools.bench_pool import BenchPool


@dataclass(frozen=True)
class Quality:
    """Figures of one selection; the shares are of its picks, NaN without picks."""

    band_share: float
    """Picks inside the true boundary band: where an expert's label says most."""
    topics_covered: int
    """Topics with a boundary of which at least one band item was picked."""
    topics: int
    """Topics with a boundary."""
    mislabelled_share: float
    """Picks whose pseudo-label is not the truth: errors that the experts get to see."""
    positive_share: float
    """Picks that are truly positive."""


def selection_quality(pool: BenchPool, picked_item_ids: Sequence[str] | pl.Series) -> Quality:
    """Return what the picks are worth.

    :param picked_item_ids: items of the pool, none twice, in any order.
    :raises CurationError: an item is null, repeats, or is not in the pool; says how many.
    """
    picked = check_item_ids(picked_item_ids)
    places = pl.DataFrame({"item_id": pool.item_ids}).with_row_index("place")
    rows = picked.to_frame("item_id").join(places, on="item_id", how="inner")["place"].to_numpy()
    if len(rows) != len(picked):
        raise CurationError(
            f"item_id: {len(picked) - len(rows)} of {len(picked)} picks are not in the pool {pool.name!r}; "
            "give the ids of its items"
        )
    band, truth = pool.band[rows], pool.truth[rows]
    return Quality(
        band_share=_share(band),
        topics_covered=len(np.unique(pool.topic[rows][band])),
        topics=pool.boundary_topics,
        mislabelled_share=_share(pool.positive[rows] != truth),
        positive_share=_share(truth),
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
