"""Where each item lies: in a region of the pool, for people, and in a micro cell of its label's side, for picking."""

import numpy as np
import polars as pl

from al_assets.curation.geometry.cells import micro_cells
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.regions import Regions
from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.settings import DEFAULTS, ClusterSettings


def cluster_assignments(
    sides: Sides,
    settings: ClusterSettings = DEFAULTS.clusters,
    seed: int = 0,
    runner: Runner = THREADS,
    *,
    regions: Regions | None = None,
) -> pl.DataFrame:
    """Return the columns of ``cluster_assignments``, items in the given order.

    A side may be empty.

    :param seed: used where the settings name none.
    :param regions: of the pool; None is one region that is all of it.
    :raises CurationError: a setting is out of range.
    """
    ids, rows, labels = sides.item_ids, sides.vectors, sides.positive
    seed = seed if settings.seed is None else settings.seed
    region = (regions or Regions.whole(rows.dimensions)).find(rows, runner=runner)
    cell = np.zeros(len(ids), dtype=np.int32)
    distance = np.zeros(len(ids), dtype=np.float32)
    for side in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        cell[side], _, distance[side] = micro_cells(
            rows, side, items_per_cell=settings.items_per_cell, seed=seed, runner=runner
        )
    return pl.DataFrame(
        {
            "item_id": ids,
            "side": pl.Series(labels).replace_strict({True: "positive", False: "negative"}, return_dtype=pl.String),
            "region": region,
            "cell": cell,
            "distance": distance,
        }
    )


def cluster_counts(clusters: pl.DataFrame) -> pl.DataFrame:
    """Return for each side how many items, regions and cells there are, and the share of the largest region.

    :param clusters: as ``cluster_assignments`` returned them.
    """
    counts = clusters.group_by("side").agg(
        pl.len().alias("items"),
        pl.col("region").n_unique().alias("regions"),
        (pl.col("region").value_counts(sort=True).struct.field("count").first() / pl.len()).alias("largest_region"),
        pl.col("cell").n_unique().alias("cells"),
    )
    return counts.sort("side")
