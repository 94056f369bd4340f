"""Where clusters of the two labels overlap: one row for each pair of clusters that has boundary candidates."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_columns
from al_assets.curation.geometry.clusters import principal_components
from al_assets.curation.geometry.labelled_pool import LabelledPool, Sides, labelled_pool
from al_assets.tables import OVERLAP_MAP

EXAMPLES = 5
_BETWEEN = ["positive_cluster", "negative_cluster"]


def overlap_map(sides: Sides, clusters: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of ``overlap_map``, the overlap with most items first.

    An item lies in the overlap of two clusters if it is a member of a candidate pair between them; excluded items are
    in no candidate, so they count in the clusters' sizes only. Noise (-1) takes part as a cluster of its own.
    The picture's x and y are the first two principal components of the overlaps' centres (0 where there are too few).

    :param candidates: what ``cross_label_pairs`` returned for the same items.
    :raises CurationError: as ``cross_label_pairs``, or a candidate names an unknown item.
    """
    pool = labelled_pool(sides, clusters)
    check_columns(candidates, "candidates", ("positive_item", "negative_item", "similarity", "mixing"))
    groups = _summaries(_placed(pool, candidates))
    if not groups.height:
        return OVERLAP_MAP.empty()
    row_of = _rows_of_members(pool.item_ids, groups)
    sizes = {side: _sizes(pool.macro_cluster[pool.positive == side]) for side in (True, False)}
    rows, centres = [], []
    for group in groups.iter_rows(named=True):
        row, centre = _describe(group, pool, row_of, sizes)
        rows.append(row)
        centres.append(centre)
    return (
        pl.DataFrame(rows, schema=OVERLAP_MAP.schema)
        .with_columns(**_picture(np.stack(centres)))
        .sort("size", *_BETWEEN, descending=[True, False, False])
    )


def largest_overlaps(overlaps: pl.DataFrame, pool: pl.DataFrame, rows: int = 10) -> pl.DataFrame:
    """Return the largest overlaps with the text of an example from either side, for people to read.

    :param overlaps: as ``overlap_map`` returned them.
    :param pool: item_id, text.
    """
    texts = dict(pool.select("item_id", "text").iter_rows())
    examples = [
        pl.col(f"{side}_examples").list.first().replace_strict(texts, default="").alias(f"{side} example")
        for side in ("positive", "negative")
    ]
    return overlaps.head(rows).select(*_BETWEEN, "size", "overlap", "mixing", *examples)


def _placed(pool: LabelledPool, candidates: pl.DataFrame) -> pl.DataFrame:
    """Return the candidates with the clusters that their members have in the pool."""
    for side in ("positive", "negative"):
        here = pl.Series(pool.positive == (side == "positive"))
        clusters = pl.DataFrame({f"{side}_item": pool.item_ids, f"{side}_cluster": pool.macro_cluster}).filter(here)
        candidates = candidates.drop(f"{side}_cluster", strict=False).join(
            clusters, on=f"{side}_item", how="left", maintain_order="left"
        )
        foreign = candidates[f"{side}_cluster"].null_count()
        if foreign:
            raise CurationError(
                f"candidates.{side}_item: {foreign} of {candidates.height} pairs name an item that is not on that side "
                "of the pool; pass the pairs found among the same items"
            )
    return candidates


def _summaries(candidates: pl.DataFrame) -> pl.DataFrame:
    # In order, because the mean of floats depends on the order of its terms.
    return (
        candidates.group_by(_BETWEEN, maintain_order=True)
        .agg(
            pl.col("similarity").mean().alias("density"),
            pl.col("mixing").mean(),
            pl.col("positive_item").unique().sort().alias("positive_items"),
            pl.col("negative_item").unique().sort().alias("negative_items"),
        )
        .sort(_BETWEEN)
    )


def _rows_of_members(item_ids: pl.Series, groups: pl.DataFrame) -> dict[str, int]:
    """Return the row numbers of the items that lie in an overlap: few of a large pool."""
    members = pl.concat(
        [groups[f"{side}_items"].explode(empty_as_null=False) for side in ("positive", "negative")]
    ).unique()
    rows = np.flatnonzero(item_ids.is_in(members.implode()).to_numpy())
    return dict(zip(item_ids.gather(rows).to_list(), rows.tolist(), strict=True))


def _sizes(clusters: NDArray[np.int32]) -> dict[int, int]:
    found, counts = np.unique(clusters, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _describe(
    group: dict[str, Any], pool: LabelledPool, row_of: dict[str, int], sizes: dict[bool, dict[int, int]]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    members = {
        side: np.array([row_of[item] for item in group[f"{side}_items"]], dtype=np.int64)
        for side in ("positive", "negative")
    }
    size = sum(len(rows) for rows in members.values())
    centre: NDArray[np.float32] = pool.vectors.take(np.concatenate(list(members.values()))).mean(axis=0)
    row = {
        **{name: group[name] for name in (*_BETWEEN, "density", "mixing")},
        "overlap": size / (sizes[True][group["positive_cluster"]] + sizes[False][group["negative_cluster"]]),
        "size": size,
        "x": 0.0,
        "y": 0.0,
        **{f"{side}_examples": _typical(pool, rows, centre) for side, rows in members.items()},
    }
    return row, centre


def _typical(pool: LabelledPool, rows: NDArray[np.int64], centre: NDArray[np.float32]) -> list[str]:
    """Return the ids of the items nearest to the overlap's centre."""
    nearest = np.argsort(-(pool.vectors.take(rows) @ centre), kind="stable")[:EXAMPLES]
    return pool.item_ids.gather(rows[nearest]).to_list()


def _picture(centres: NDArray[np.float32]) -> dict[str, pl.Series]:
    points = np.zeros((len(centres), 2))
    projected = principal_components(centres, 2)
    points[:, : projected.shape[1]] = projected
    return {"x": pl.Series(points[:, 0]), "y": pl.Series(points[:, 1])}
