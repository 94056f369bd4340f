"""boundary_pairs: nearest pairs with different labels, ranked for variety, from where both labels really mix."""

import dagster as dg
import polars as pl

from al_assets.assets.hidden import gold_in_pool
from al_assets.assets.metadata import table
from al_assets.assets.partitioned import TableOutput, loop_asset, table_output
from al_assets.assets.resource import LoopResource
from al_assets.assets.vectors import sides_of
from al_assets.curation.pairs import cross_label_pairs
from al_assets.curation.queue import divide_budget
from al_assets.curation.strategies._old import promising_share
from al_assets.curation.strategies.boundary import divide_boundary
from al_assets.curation.strategies.pairs import draw_pairs, rank_pairs
from al_assets.partitions import previous_key
from al_assets.storage.root import RunRoot


@loop_asset("curation", {"faiss"})
def boundary_pairs(
    context: dg.AssetExecutionContext,
    loop: LoopResource,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    embeddings: pl.DataFrame,
    cluster_assignments: pl.DataFrame,
) -> TableOutput:
    """Candidate pairs of the round and those picked within the budget; items already asked for are left out."""
    sides, settings = sides_of(pseudo_labels, embeddings), loop.policy.selection
    candidates = cross_label_pairs(
        sides.item_ids,
        sides.vectors,
        sides.positive,
        cluster_assignments,
        neighbours=settings.neighbours,
        min_mixing=settings.min_mixing,
        exclude=not_to_ask(loop, context.partition_key, pool),
        seed=settings.seed,
    )
    promising = promising_part(loop, context.partition_key)
    wanted, _ = divide_boundary(divide_budget(settings.budget, shares_of(loop)).boundary, promising)
    seed = settings.seed + int(context.partition_key)
    pairs = draw_pairs(rank_pairs(candidates, settings.seed), wanted, settings.exploration, seed)
    texts = dict(pool.select("item_id", "text").iter_rows())
    return table_output(
        pairs,
        {
            "candidates": pairs.height,
            "selected": int(pairs["selected"].sum()),
            "promising_share": promising,
            "most_instructive_pairs": table(instructive_pairs(pairs, texts)),
        },
    )


def not_to_ask(loop: LoopResource, key: str, pool: pl.DataFrame) -> list[str]:
    """Return the items that are not asked for a label: those earlier iterations asked for, and gold."""
    with loop.ledger() as ledger:
        queue = ledger.queue()
    queued = queue.filter(pl.col("iteration") < key)["item_id"].to_list()
    return sorted({*queued, *gold_in_pool(loop, pool)})


def promising_part(loop: LoopResource, key: str) -> float:
    """Return the part of the boundary share that goes to top-scored items, by what earlier labels showed."""
    found = boundary_labels(loop.root, previous_key(key))
    share = found.mean()
    return promising_share(
        float(share) if isinstance(share, (int, float)) else None,
        loop.policy.selection.target_positive_share,
        len(found),
    )


def boundary_labels(root: RunRoot, key: str | None) -> pl.Series:
    """Return the adjudicated labels that the boundary share of all iterations up to ``key`` got."""
    if key is None:
        return pl.Series(dtype=pl.Boolean)
    split = root.read_table("label_split", key)
    return split.filter(~pl.col("reason").is_in(["audit", "control"]))["label"].drop_nulls()


def shares_of(loop: LoopResource) -> tuple[float, float, float]:
    """Return the policy's boundary, audit and control shares."""
    shares = loop.policy.selection.shares
    return shares.boundary, shares.audit, shares.control


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
