"""What the selection library is given: item ids, vectors and pseudo-labels in one order."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Sides(NamedTuple):
    """Items of the pool in the order of the embeddings.

    :param vectors: shape (items, dimensions), float32, rows of length one.
    :param positive: shape (items,), the pseudo-labels.
    """

    item_ids: pl.Series
    vectors: NDArray[np.float32]
    positive: NDArray[np.bool_]


def sides_of(pseudo_labels: pl.DataFrame, embeddings: pl.DataFrame) -> Sides:
    """Join pseudo-labels and vectors by item; float16 vectors are brought back to length one in float32."""
    joined = embeddings.join(pseudo_labels.select("item_id", "label"), on="item_id", how="inner", maintain_order="left")
    vectors = joined["vector"].to_numpy().astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Sides(joined["item_id"], vectors, joined["label"].to_numpy())
