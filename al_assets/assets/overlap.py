"""overlap_map: where clusters of positives and clusters of negatives overlap, the regions of confusion."""

import polars as pl

from al_assets.assets.metadata import picture, table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.vectors import sides_of
from al_assets.curation.geometry.overlap import overlap_map as map_overlaps
from al_assets.pictures import overlap_picture


@loop_asset("curation", {"polars"})
def overlap_map(
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    cluster_assignments: pl.DataFrame,
    boundary_pairs: pl.DataFrame,
) -> TableOutput:
    """Each overlap's size, density and mixing, with named examples and a picture of them all."""
    with sides_of(pseudo_labels, embeddings) as sides:
        frame = map_overlaps(sides.item_ids, sides.vectors, sides.positive, cluster_assignments, boundary_pairs)
    texts = dict(pool.select("item_id", "text").iter_rows())
    names = [
        f"{_cluster(positive)}+ {_cluster(negative)}-"
        for positive, negative in frame.select("positive_cluster", "negative_cluster").iter_rows()
    ]
    x, y, size, mixing = (frame[name].to_list() for name in ("x", "y", "size", "mixing"))
    drawn = overlap_picture(x, y, size, mixing, names)
    largest = frame.head(10).with_columns(
        pl.col(f"{side}_examples").list.first().replace_strict(texts, default="").alias(f"{side} example")
        for side in ("positive", "negative")
    )
    return table_output(
        frame,
        {
            "overlaps": frame.height,
            "items_in_overlaps": int(frame["size"].sum()),
            "map": picture(drawn),
            "largest_overlaps": table(
                largest.select(
                    "positive_cluster",
                    "negative_cluster",
                    "size",
                    "overlap",
                    "mixing",
                    "positive example",
                    "negative example",
                )
            ),
        },
    )


def _cluster(number: int) -> str:
    return "noise" if number < 0 else str(number)
