"""regions of the pool, cluster_assignments: where each item lies, overlap_map: where the labels overlap and mislead."""

import dagster as dg
import polars as pl

from al_assets.assets.incumbent import OF_THE_FIRST
from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import picture, table
from al_assets.assets.resource import LoopResource
from al_assets.assets.round_inputs import history_of, round_settings, sides_of
from al_assets.curation import round as curation
from al_assets.curation.geometry import clusters
from al_assets.curation.geometry.overlap import most_confused
from al_assets.curation.geometry.regions import Regions
from al_assets.partitions import Job
from al_assets.pictures import region_map
from al_assets.scale.ray_runner import runner_of
from al_assets.tables import CLUSTER_ASSIGNMENTS, OVERLAP_MAP, REGIONS


@loop_asset(
    "curation",
    {"scikitlearn"},
    Declaration(REGIONS, Job.CURATE, depends_on=lambda policy: [policy.clustering.fingerprint()]),
    ins={"pseudo_labels": OF_THE_FIRST},
)
def regions(
    loop: LoopResource, pool: pl.DataFrame, pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame
) -> TableOutput:
    """Places of the pool with a name; the same in every iteration as long as the embedding stays.

    They are fitted on the items of the first pool, in a space that holds what LLM-0 said of them.
    """
    with sides_of(pseudo_labels, embeddings) as sides:
        frame = curation.named_regions(pool, pseudo_labels, sides, round_settings(loop.policy))
    return table_output(frame, {"regions": frame.height, "names": table(frame.select("name"))})


@loop_asset(
    "curation",
    {"faiss"},
    Declaration(
        CLUSTER_ASSIGNMENTS,
        Job.CURATE,
        algorithm=3,
        depends_on=lambda policy: [policy.clustering.fingerprint()],
    ),
)
def cluster_assignments(
    loop: LoopResource, pseudo_labels: pl.DataFrame, embeddings: pl.LazyFrame, regions: pl.DataFrame
) -> TableOutput:
    """The region of each item, and its micro cell, for picking, among the items of the same label."""
    with sides_of(pseudo_labels, embeddings) as sides, runner_of(loop.policy) as runner:
        settings = round_settings(loop.policy).clusters
        frame = clusters.cluster_assignments(sides, settings, runner=runner, regions=Regions.of(regions))
    return table_output(frame, {"sides": table(clusters.cluster_counts(frame))})


@loop_asset("curation", {"scikitlearn"}, Declaration(OVERLAP_MAP, Job.CURATE, algorithm=2))
def overlap_map(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    regions: pl.DataFrame,
    cluster_assignments: pl.DataFrame,
    boundary_pairs: pl.DataFrame,
) -> TableOutput:
    """How the labels overlap in each region, how many of them the experts would overturn, and a picture of it all."""
    history = history_of(loop, context.partition_key, pool)
    with sides_of(pseudo_labels, embeddings) as sides:
        frame = curation.region_overlaps(
            sides, regions, cluster_assignments, boundary_pairs, pseudo_labels, history, loop.policy.clustering.seed
        )
    expected = float((frame["error"] * frame["items"]).sum())
    return table_output(
        frame,
        {
            "regions": frame.height,
            "expected_errors": round(expected),
            "expected_error_share": expected / max(int(frame["items"].sum()), 1),
            "labels_so_far": int(frame["labels"].sum()),
            "map": picture(region_map(frame)),
            "most_confused": table(most_confused(frame, pool)),
        },
    )
