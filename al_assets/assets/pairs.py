"""boundary_pairs: nearest pairs with different labels, ranked for variety, from where both labels really mix."""

import dagster as dg
import polars as pl

from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.assets.selection import boundary_budget, cold_start, draw_seed, not_to_ask, pairs_budget
from al_assets.assets.vectors import sides_of
from al_assets.curation.geometry.cross_label_pairs import cross_label_pairs
from al_assets.curation.strategies.ranked_pairs import draw_pairs, rank_pairs
from al_assets.scale.choice import runner_of


@loop_asset("curation", {"faiss"})
def boundary_pairs(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.LazyFrame,
    cluster_assignments: pl.DataFrame,
) -> TableOutput:
    """Candidate pairs of the round and those picked within the budget; items already asked for are left out."""
    key, settings = context.partition_key, loop.policy.selection
    exclude = not_to_ask(loop, key, pool)
    with sides_of(pseudo_labels, embeddings) as sides, runner_of(loop.policy) as runner:
        candidates = cross_label_pairs(
            sides.item_ids,
            sides.vectors,
            sides.positive,
            cluster_assignments,
            neighbours=settings.neighbours,
            min_mixing=settings.min_mixing,
            exclude=exclude,
            seed=settings.seed,
            runner=runner,
        )
    ranked = rank_pairs(candidates, settings.seed, pseudo_labels)
    start = cold_start(loop, key, pool, pseudo_labels, ranked, exclude)
    wanted = pairs_budget(settings.strategy_shares, boundary_budget(loop), start.share)
    pairs = draw_pairs(ranked, wanted, settings.exploration, draw_seed(loop, key))
    texts = dict(pool.select("item_id", "text").iter_rows())
    return table_output(
        pairs,
        {
            "candidates": pairs.height,
            "selected": int(pairs["selected"].sum()),
            "promising_share": start.share,
            "why_this_share": start.why,
            "most_instructive_pairs": table(instructive_pairs(pairs, texts)),
        },
    )


def instructive_pairs(pairs: pl.DataFrame, texts: dict[str, str], rows: int = 12) -> pl.DataFrame:
    """Return the first picked pairs with their texts, for people to read."""
    picked = pairs.filter("selected").sort("rank").head(rows)
    return pl.DataFrame(
        {
            "called positive": [texts.get(item, "") for item in picked["positive_item"]],
            "called negative": [texts.get(item, "") for item in picked["negative_item"]],
            "similarity": picked["similarity"],
            "mixing": picked["mixing"],
        }
    )
