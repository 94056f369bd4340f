"""Items with vector, pseudo-label and clusters, brought into one order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import CurationError, check_columns, check_item_ids, check_labels
from al_assets.curation.geometry.vectors import Vectors


@dataclass(frozen=True)
class Sides:
    """Items with vector and pseudo-label, row for row; a round clusters and pairs the two sides of the label.

    :param vectors: shape (items, dimensions), of length one.
    :param positive: the pseudo-labels, shape (items,).
    """

    item_ids: pl.Series
    vectors: Vectors
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, item_ids: Sequence[str] | pl.Series, vectors: Vectors | ArrayLike, positive: ArrayLike) -> "Sides":
        """Return the items, checked once; vectors of a memory map are read in blocks.

        :raises CurationError: ids repeat, vectors are not finite or not of length one, or one of them is of another
            length or kind.
        """
        ids = check_item_ids(item_ids)
        return cls(ids, Vectors.of(vectors, len(ids)), check_labels(positive, len(ids)))


@dataclass(frozen=True)
class LabelledPool(Sides):
    """Items with vector, pseudo-label, region and cell, row for row."""

    region: NDArray[np.int32]
    cell: NDArray[np.int32]


def labelled_pool(sides: Sides, clusters: pl.DataFrame) -> LabelledPool:
    """Bring items and their cluster assignments into one order.

    :param clusters: rows of ``cluster_assignments``, in any order; rows of other items are ignored.
    :raises CurationError: an item has no cluster, or was clustered on the other side.
    """
    ids, labels = sides.item_ids, sides.positive
    check_columns(clusters, "clusters", ("item_id", "side", "region", "cell"))
    check_item_ids(clusters["item_id"])
    known = ids.to_frame().join(clusters, on="item_id", how="left", maintain_order="left")
    absent = known["side"].null_count()
    if absent:
        raise CurationError(f"clusters: {absent} of {len(ids)} items have no cluster; assign clusters to all of them")
    swapped = int(((known["side"] == "positive").to_numpy() != labels).sum())
    if swapped:
        raise CurationError(
            f"clusters: {swapped} of {len(ids)} items were clustered under the other label; assign clusters again"
        )
    region, cell = (known[name].cast(pl.Int32).to_numpy() for name in ("region", "cell"))
    return LabelledPool(ids, sides.vectors, labels, region, cell)
