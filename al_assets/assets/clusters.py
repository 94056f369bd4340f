"""cluster_assignments: both sides of the label, clustered separately; overlap_map: where their clusters overlap."""

import polars as pl

from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, table
from al_assets.assets.resource import LoopResource
from al_assets.assets.round_inputs import round_settings, sides_of
from al_assets.curation.geometry import clusters, overlap
from al_assets.partitions import Job
from al_assets.pictures import overlap_picture
from al_assets.scale.ray_runner import runner_of
from al_assets.tables import CLUSTER_ASSIGNMENTS, OVERLAP_MAP


@loop_asset(
    "curation",
    {"hdbscan", "faiss"},
    Declaration(
        CLUSTER_ASSIGNMENTS,
        Job.CURATE,
        algorithm=2,
        depends_on=lambda policy: [policy.clustering.fingerprint()],
    ),
)
def cluster_assignments(loop: LoopResource, pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame) -> TableOutput:
    """Macro clusters for names and coverage, micro cells for picking, each side of the label on its own."""
    with sides_of(pseudo_labels, embeddings) as sides, runner_of(loop.policy) as runner:
        frame = clusters.cluster_assignments(sides, round_settings(loop.policy).clusters, runner=runner)
    return table_output(frame, {"sides": table(clusters.cluster_counts(frame))})


@loop_asset("curation", {"polars"}, Declaration(OVERLAP_MAP, Job.CURATE))
def overlap_map(
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    cluster_assignments: pl.DataFrame,
    boundary_pairs: pl.DataFrame,
) -> TableOutput:
    """Each overlap's size, density and mixing, with named examples and a picture of them all."""
    with sides_of(pseudo_labels, embeddings) as sides:
        frame = overlap.overlap_map(sides, cluster_assignments, boundary_pairs)
    names = [
        f"{_cluster(positive)}+ {_cluster(negative)}-"
        for positive, negative in frame.select("positive_cluster", "negative_cluster").iter_rows()
    ]
    x, y, size, mixing = (frame[name].to_list() for name in ("x", "y", "size", "mixing"))
    return table_output(
        frame,
        {
            "overlaps": frame.height,
            "items_in_overlaps": int(frame["size"].sum()),
            "map": picture(overlap_picture(x, y, size, mixing, names)),
            "largest_overlaps": table(overlap.largest_overlaps(frame, pool)),
        },
    )


def _cluster(number: int) -> str:
    return "noise" if number < 0 else str(number)
