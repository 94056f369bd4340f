"""What every stage of curation asks of its input, and the error it raises when it does not get it."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray


class CurationError(ValueError):
    """Input that curation cannot use; the message names the field, what was found, what was expected, the way out."""


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


def check_share(name: str, value: float, *, below_one: bool = False) -> None:
    """Do nothing if the value is a share.

    :raises CurationError: it is not in [0, 1], or is 1 and must be below.
    """
    if not 0 <= value <= 1 or (below_one and value == 1):
        raise CurationError(f"{name}: {value} is not a share; expected 0 to 1{', 1 excluded' if below_one else ''}")
