import numpy as np
import polars as pl
import pytest

from al_assets.curation.checks import check_item_ids, check_labels


def test_ids_must_be_there_and_differ() -> None:
    with pytest.raises(ValueError, match="item_id: 1 null and 2 repeated of 5"):
        check_item_ids(pl.Series(["a", "a", "a", "b", None]))


def test_labels_must_be_booleans() -> None:
    with pytest.raises(ValueError, match="positive: int64"):
        check_labels(np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="one for each of 3 items"):
        check_labels(np.array([True, False]), 3)
    assert check_labels([], 0).dtype == np.bool_
