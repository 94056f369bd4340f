"""Asset checks, blocking where going on would be wrong."""

from functools import partial

import dagster as dg
import numpy as np
import polars as pl

from al_assets.agreement.core.figures import figure_of
from al_assets.assets.loop_assets import ITERATIONS
from al_assets.assets.queue import share_needed
from al_assets.assets.resource import LoopResource
from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.curation.split import FINE_TUNING

UNIT_LENGTH_TOLERANCE = 2e-3
"""float16 keeps about three decimals, so a vector of length one comes back within this."""

_check = partial(dg.asset_check, blocking=True, partitions_def=ITERATIONS)


@_check(asset="pool", description="Every item has an id of its own.")
def ids_are_unique(pool: pl.DataFrame) -> dg.AssetCheckResult:
    """Pass when the pool has items and no id twice."""
    repeated = pool.height - pool["item_id"].n_unique()
    return dg.AssetCheckResult(
        passed=pool.height > 0 and repeated == 0, metadata={"items": pool.height, "repeated_ids": repeated}
    )


@_check(asset="embeddings", description="Vectors are finite and of length one.")
def vectors_are_unit_length(embeddings: pl.DataFrame) -> dg.AssetCheckResult:
    """Pass when every vector is finite and has length one."""
    lengths = np.linalg.norm(embeddings["vector"].to_numpy().astype(np.float32), axis=1)
    wrong = int((~(np.abs(lengths - 1) <= UNIT_LENGTH_TOLERANCE)).sum())
    return dg.AssetCheckResult(passed=wrong == 0, metadata={"vectors": len(lengths), "not_unit_length": wrong})


@_check(asset="expert_labels", description="Every queued item has enough votes, or the deadline's share of them has.")
def votes_are_complete(context: dg.AssetCheckExecutionContext, loop: LoopResource) -> dg.AssetCheckResult:
    """Pass when this iteration's items have enough votes to learn from."""
    review = loop.policy.review
    with loop.ledger() as ledger:
        # Check items are asked for later, and the report waits for them by itself.
        progress = ledger.progress(context.partition_key, review.votes_per_item, check=False)
    needed = share_needed(review)
    return dg.AssetCheckResult(
        passed=progress.queued > 0 and progress.coverage >= needed,
        metadata={"queued": progress.queued, "complete": progress.complete, "share_needed": needed},
        description=f"{progress.complete} of {progress.queued} items have {review.votes_per_item} votes",
    )


@_check(
    asset="label_split",
    description="No text, near-duplicate or pair partner is judged by a student that learnt from another of its kind.",
)
def splits_do_not_leak(label_split: pl.DataFrame, loop: LoopResource) -> dg.AssetCheckResult:
    """Pass when no group and no near-duplicate is divided between evaluation and fine-tuning, or between folds."""
    with loop.ledger() as ledger:
        asked = ledger.queue().unique("item_id", keep="first", maintain_order=True).select("item_id", "text")
    items = label_split.join(asked, on="item_id", maintain_order="left")
    copies = near_duplicates(items["text"].to_list(), loop.policy.pool.near_duplicate_similarity)
    judge = pl.when(pl.col("split") != FINE_TUNING).then(pl.col("fold").fill_null(-1))
    sided = items.with_columns(judge=judge, copy=pl.Series(copies))
    leaks = {
        by: sided.group_by(by).agg(pl.col("judge").n_unique().alias("sides")).filter(pl.col("sides") > 1).height
        for by in ("group_id", "copy")
    }
    return dg.AssetCheckResult(
        passed=not any(leaks.values()),
        metadata={"divided_groups": leaks["group_id"], "divided_near_duplicates": leaks["copy"]},
    )


@_check(asset="kappa_report", description="Agreement among experts, and of the model with them, is defined.")
def kappa_is_defined(kappa_report: pl.DataFrame) -> dg.AssetCheckResult:
    """Fail without an expert-expert kappa, warn without a model-expert one; the report says why."""
    missing = {}
    for figure, scope in (("expert_expert_kappa", "loop"), ("model_expert_kappa", "evaluation")):
        found = figure_of(kappa_report, figure, scope)
        if found is None or found.estimate is None:
            missing[figure] = "the report has no such figure" if found is None else found.detail
    blocking = "expert_expert_kappa" in missing
    return dg.AssetCheckResult(
        passed=not missing,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        metadata={name: str(why) for name, why in missing.items()},
    )


CHECKS = [ids_are_unique, vectors_are_unit_length, votes_are_complete, splits_do_not_leak, kappa_is_defined]
