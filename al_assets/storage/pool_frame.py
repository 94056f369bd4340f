"""Who is in the pool and who was asked, from the tables of all iterations: what population figures are weighted by."""

import polars as pl

from al_assets.agreement.population.pool_design import ASKED_COLUMNS, PoolDesign, pool_design
from al_assets.curation.queue.hidden import HIDDEN
from al_assets.curation.split import CHECK
from al_assets.storage.root import RunRoot


def design_so_far(root: RunRoot, key: str) -> PoolDesign:
    """Return how the items of the iterations up to this one came to be asked, for its pool."""
    return pool_design(asked_so_far(root, key), pool_frame(root, key))


def asked_so_far(root: RunRoot, key: str) -> pl.DataFrame:
    """Return every item that was asked up to an iteration, labelled or not, as ``pool_design`` takes them.

    Of an item that was asked twice the first time counts. Check items have a revision of their own in their iteration.
    """
    queues = []
    for each in [each for each in root.table_keys("review_queue") if each <= key]:
        queue = root.read_table("review_queue", each).filter(~pl.col("reason").is_in(HIDDEN))
        queues.append(_asked(queue, each))
        if root.has_table("check_queue", each):
            check = root.read_table("check_queue", each).with_columns(reason=pl.lit(CHECK))
            queues.append(_asked(check, each))
    return pl.concat(queues, how="vertical_relaxed").unique("item_id", keep="first", maintain_order=True)


def _asked(queue: pl.DataFrame, key: str) -> pl.DataFrame:
    return queue.with_columns(iteration=pl.lit(key)).select(*ASKED_COLUMNS, "revision")


def pool_frame(root: RunRoot, key: str) -> pl.DataFrame:
    """Return the items of an iteration's pool, near-duplicates folded, as ``pool_design`` takes them.

    :return: item_id; joined, the iteration whose snapshot had the item first; and weight, that of its near-duplicates
        included.
    """
    pool = root.read_table("pool", key)
    counted = pool.group_by(item_id=pl.coalesce("duplicate_of", "item_id"), maintain_order=True)
    frame = counted.agg(weight=pl.when(pl.col("weight").is_null().all()).then(1.0).otherwise(pl.col("weight").sum()))
    joined = frame.with_columns(joined=pl.lit(key))
    for earlier in reversed([each for each in root.table_keys("pool") if each < key]):
        there = root.read_table("pool", earlier)["item_id"].implode()
        joined = joined.with_columns(
            joined=pl.when(pl.col("item_id").is_in(there)).then(pl.lit(earlier)).otherwise("joined")
        )
    return joined
