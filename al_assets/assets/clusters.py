"""cluster_assignments: the incumbent's positives and negatives, clustered separately."""

import polars as pl

from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.assets.vectors import sides_of
from al_assets.curation.geometry.clusters import assign_clusters
from al_assets.scale.choice import runner_of


@loop_asset("curation", {"hdbscan", "faiss"})
def cluster_assignments(loop: LoopResource, pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame) -> TableOutput:
    """Macro clusters for names and coverage, micro cells for picking, each side of the label on its own."""
    settings = loop.policy.clustering
    with sides_of(pseudo_labels, embeddings) as sides, runner_of(loop.policy) as runner:
        frame = assign_clusters(
            sides.item_ids,
            sides.vectors,
            sides.positive,
            min_cluster_size=settings.min_cluster_size,
            pca_dimensions=settings.pca_dimensions,
            exact_below=settings.exact_below,
            items_per_cell=settings.items_per_cell,
            seed=settings.seed,
            runner=runner,
        )
    counts = frame.group_by("side").agg(
        pl.len().alias("items"),
        pl.col("macro_cluster").filter(pl.col("macro_cluster") >= 0).n_unique().alias("macro_clusters"),
        (pl.col("macro_cluster") < 0).mean().alias("noise_share"),
        pl.col("cell").n_unique().alias("cells"),
    )
    return table_output(frame, {"sides": table(counts.sort("side"))})
