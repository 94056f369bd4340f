"""What each region is like: how its two labels overlap, and how confused the labeler is there."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError, check_columns
from al_assets.curation.geometry.labelled_pool import LabelledPool
from al_assets.curation.geometry.regions import Regions, principal_axes
from al_assets.tables import OVERLAP_MAP

EXAMPLES = 5
_SIDES = ("positive", "negative")


def overlap_map(
    pool: LabelledPool, candidates: pl.DataFrame, regions: pl.DataFrame, errors: pl.DataFrame
) -> pl.DataFrame:
    """Return the columns of ``overlap_map``, the region with most expected errors first.

    An item lies in the overlap of the two labels if it is a member of a candidate pair; excluded items are in none, so
    they count in a region's size only. Regions without an item have no row. The picture's x and y are the first two
    principal components of the regions' places.

    :param candidates: what ``cross_label_pairs`` returned for the same items.
    :param regions: the table ``regions``.
    :param errors: what ``expected_errors`` returned: region, labels, overturned, error, error_low, error_high.
    :raises CurationError: a column is missing, or a candidate names an unknown item.
    """
    check_columns(candidates, "candidates", ("positive_item", "negative_item", "similarity", "mixing"))
    places = pl.DataFrame({"item_id": pool.item_ids, "region": pool.region, "positive": pool.positive})
    members = _members(places.with_row_index("row"), candidates)
    overlaps = members.group_by("region").agg(
        # In order, because the mean of floats depends on the order of its terms.
        pl.col("similarity", "mixing").sort_by("similarity", "mixing").mean(),
        contested=pl.col("row").n_unique(),
    )
    found = (
        places.group_by("region")
        .agg(items=pl.len(), positive_share=pl.col("positive").mean())
        .join(overlaps, on="region", how="left")
        .join(regions.select("region", "name").with_columns(**_places(regions)), on="region", how="left")
        .join(errors, on="region", how="left")
        .with_columns(overlap=pl.col("contested").fill_null(0) / pl.col("items"), density="similarity")
    )
    examples = _examples(pool, members)
    for side in _SIDES:
        ids = [examples.get((region, side == "positive"), []) for region in found["region"]]
        found = found.with_columns(pl.Series(f"{side}_examples", ids, dtype=pl.List(pl.String)))
    order = [pl.col("error") * pl.col("items"), pl.col("region")]
    shown = [pl.col(name).cast(dtype) for name, dtype in OVERLAP_MAP.schema.items()]
    return found.sort(order, descending=[True, False]).select(shown)


def most_confused(overlaps: pl.DataFrame, pool: pl.DataFrame, rows: int = 10) -> pl.DataFrame:
    """Return the regions with most expected errors, with a contested text of either label, for people to read.

    :param overlaps: as ``overlap_map`` returned them.
    :param pool: item_id, text.
    """
    texts = dict(pool.select("item_id", "text").iter_rows())
    examples = [
        pl.col(f"{side}_examples").list.first().replace_strict(texts, default="").alias(f"contested, called {side}")
        for side in _SIDES
    ]
    errors = (pl.col("error") * pl.col("items")).round(0).cast(pl.Int64).alias("expected errors")
    figures = ("error", "error_low", "error_high", "labels", "overlap")
    return overlaps.head(rows).select("name", "items", "positive_share", errors, *figures, *examples)


def _members(places: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Return each pair's two members with their place: item_id, row, region, positive, similarity, mixing."""
    found = []
    for side in _SIDES:
        here = places.filter(pl.col("positive") == (side == "positive"))
        members = candidates.select("similarity", "mixing", item_id=f"{side}_item").join(
            here, on="item_id", how="left", maintain_order="left"
        )
        foreign = members["row"].null_count()
        if foreign:
            raise CurationError(
                f"candidates.{side}_item: {foreign} of {candidates.height} pairs name an item that is not on that side "
                "of the pool; pass the pairs found among the same items"
            )
        found.append(members)
    return pl.concat(found)


def _examples(pool: LabelledPool, members: pl.DataFrame) -> dict[tuple[int, bool], list[str]]:
    """Return by region and label the ids of the contested items nearest to the centre of all of the region's."""
    examples = {}
    for (region,), of_region in members.unique("row").sort("row").group_by("region", maintain_order=True):
        rows: NDArray[np.int64] = of_region["row"].to_numpy().astype(np.int64)
        vectors = pool.vectors.take(rows)
        nearest = rows[np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")]
        for side in (True, False):
            chosen = nearest[pool.positive[nearest] == side][:EXAMPLES]
            examples[int(region), side] = pool.item_ids.gather(chosen).to_list()
    return examples


def _places(regions: pl.DataFrame) -> dict[str, pl.Series]:
    centres = Regions.of(regions).directions
    points = np.zeros((len(centres), 2))
    axes = principal_axes(centres, 2)
    points[:, : axes.shape[1]] = (centres - centres.mean(axis=0)) @ axes
    return {"x": pl.Series(points[:, 0]), "y": pl.Series(points[:, 1])}
