"""What every stage of curation asks of its input, and the error it raises when it does not get it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

# A vector kept as float16 has a length off by up to 1e-3; one that was never normalised is off by far more.
LENGTH_TOLERANCE = 0.01


class CurationError(ValueError):
    """Input that curation cannot use; the message names the field, what was found, what was expected, the way out."""


@dataclass(frozen=True)
class LabelledPool:
    """Items with vector, pseudo-label and cluster, row for row."""

    item_ids: pl.Series
    vectors: NDArray[np.float32]
    positive: NDArray[np.bool_]
    macro_cluster: NDArray[np.int32]
    cell: NDArray[np.int32]


def check_item_ids(item_ids: Sequence[str] | pl.Series) -> pl.Series:
    """Return the ids as a series of strings.

    :raises CurationError: an id is null or repeats.
    """
    ids = pl.Series("item_id", item_ids, dtype=pl.String)
    repeated = len(ids) - ids.n_unique()
    if ids.null_count() or repeated:
        raise CurationError(
            f"item_id: {ids.null_count()} null and {repeated} repeated of {len(ids)}; give every item an id of its own"
        )
    return ids


def check_vectors(vectors: ArrayLike, items: int | None = None) -> NDArray[np.float32]:
    """Return the vectors as float32 rows of length one.

    :param vectors: shape (items, dimensions), each row of length 1 within 0.01; float16 rounding is repaired.
    :param items: how many rows there must be.
    :raises CurationError: wrong shape, or rows that are not finite or not of length one; names how many.
    """
    rows = np.asarray(vectors)
    if rows.ndim != 2 or (items is not None and len(rows) != items):
        expected = "items" if items is None else str(items)
        raise CurationError(f"vectors: shape {rows.shape}; expected ({expected}, dimensions), one row for each item")
    unit = np.ascontiguousarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(unit, axis=1)
    broken = int((~np.isfinite(lengths)).sum())
    if broken:
        raise CurationError(
            f"vectors: {broken} of {len(unit)} rows hold NaN or infinity; embed those items again or leave them out"
        )
    wrong = int((np.abs(lengths - 1) > LENGTH_TOLERANCE).sum())
    if wrong:
        raise CurationError(
            f"vectors: {wrong} of {len(unit)} rows are not of length 1; divide each row by its Euclidean length"
        )
    return unit / lengths[:, None] if len(unit) else unit


def check_labels(positive: ArrayLike, items: int) -> NDArray[np.bool_]:
    """Return the pseudo-labels as an array of booleans.

    :raises CurationError: not booleans, or not one for each item.
    """
    labels = np.asarray(positive)
    if labels.size == 0 and items == 0:
        return np.zeros(0, dtype=np.bool_)
    if labels.dtype != np.bool_ or labels.shape != (items,):
        raise CurationError(
            f"positive: {labels.dtype} of shape {labels.shape}; expected booleans, one for each of {items} items"
        )
    return labels


def check_columns(frame: pl.DataFrame, name: str, columns: Sequence[str]) -> None:
    """Do nothing if the frame has the columns.

    :raises CurationError: one is missing.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(frame.columns) or "none"
        raise CurationError(f"{name}: column {', '.join(missing)} is missing; found {found}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Do nothing if the value is at least so much.

    :raises CurationError: it is less, or NaN.
    """
    if not value >= least:
        raise CurationError(f"{name}: {value} is too small; expected at least {least}")


def check_share(name: str, value: float) -> None:
    """Do nothing if the value is a share.

    :raises CurationError: it is not in [0, 1].
    """
    if not 0 <= value <= 1:
        raise CurationError(f"{name}: {value} is not a share; expected 0 to 1")


def labelled_pool(
    item_ids: Sequence[str] | pl.Series, vectors: ArrayLike, positive: ArrayLike, clusters: pl.DataFrame
) -> LabelledPool:
    """Bring items and their cluster assignments into one order.

    :param clusters: rows of ``cluster_assignments``, in any order; rows of other items are ignored.
    :raises CurationError: an item has no cluster, or was clustered on the other side.
    """
    ids = check_item_ids(item_ids)
    rows = check_vectors(vectors, len(ids))
    labels = check_labels(positive, len(ids))
    check_columns(clusters, "clusters", ("item_id", "side", "macro_cluster", "cell"))
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
    return LabelledPool(ids, rows, labels, _integers(known["macro_cluster"]), _integers(known["cell"]))


def _integers(column: pl.Series) -> NDArray[np.int32]:
    numbers: NDArray[Any] = column.to_numpy()
    return numbers.astype(np.int32)
