"""boundary_pairs: nearest pairs with different labels, ranked for variety, from where both labels really mix."""

import dagster as dg
import polars as pl

from al_assets.assets.loop_assets import Declaration, TableOutput, loop_asset, table_output
from al_assets.assets.metadata import table
from al_assets.assets.resource import LoopResource
from al_assets.assets.round_inputs import draw_seed, history_of, round_settings, sides_of
from al_assets.curation import round as curation
from al_assets.partitions import Job
from al_assets.scale.ray_runner import runner_of
from al_assets.tables import BOUNDARY_PAIRS


@loop_asset(
    "curation",
    {"faiss"},
    Declaration(BOUNDARY_PAIRS, Job.CURATE, algorithm=2, depends_on=lambda policy: [policy.selection.fingerprint()]),
)
def boundary_pairs(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    regions: pl.DataFrame,
    cluster_assignments: pl.DataFrame,
) -> TableOutput:
    """Candidate pairs of the round and those picked within the budget; items already asked for are left out."""
    key = context.partition_key
    with sides_of(pseudo_labels, embeddings) as sides, runner_of(loop.policy) as runner:
        pairs, start = curation.boundary_pairs(
            sides,
            cluster_assignments,
            pool,
            pseudo_labels,
            history_of(loop, key, pool),
            round_settings(loop.policy),
            draw_seed(loop.policy, key),
            runner,
        )
    texts = dict(pool.select("item_id", "text").iter_rows())
    return table_output(
        pairs,
        {
            "candidates": pairs.height,
            "selected": int(pairs["selected"].sum()),
            "promising_share": start.share,
            "why_this_share": start.why,
            "most_instructive_pairs": table(
                instructive_pairs(pairs, texts, dict(regions.select("region", "name").iter_rows()))
            ),
        },
    )


def instructive_pairs(
    pairs: pl.DataFrame, texts: dict[str, str], regions: dict[int, str], rows: int = 12
) -> pl.DataFrame:
    """Return the first picked pairs with their texts and the region of the positive item, for people to read."""
    picked = pairs.filter("selected").sort("rank").head(rows)
    return pl.DataFrame(
        {
            "called positive": [texts.get(item, "") for item in picked["positive_item"]],
            "called negative": [texts.get(item, "") for item in picked["negative_item"]],
            "region": [regions[region] for region in picked["positive_region"]],
            "similarity": picked["similarity"],
            "mixing": picked["mixing"],
        }
    )
