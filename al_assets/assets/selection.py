"""What selecting has to know of the loop: whom not to ask, what was learnt so far, how the budget is divided."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.assets.hidden import gold_in_pool
from al_assets.assets.resource import LoopResource
from al_assets.curation.budget import divide_budget, largest_remainder
from al_assets.curation.queue.cold_start import ColdStart, gather_evidence, promising_share
from al_assets.curation.queue.review_queue import askable
from al_assets.curation.split import FINE_TUNING
from al_assets.curation.strategies.base import Candidates
from al_assets.curation.strategies.boundary import divide_boundary
from al_assets.models.incumbent import Incumbent, llm0
from al_assets.partitions import previous_key

PAIRS = "boundary_pairs"
_DRAWN = ("draw_order", "selected", "inclusion_probability")


def not_to_ask(loop: LoopResource, key: str, pool: pl.DataFrame) -> list[str]:
    """Return the items that are not asked for a label: those earlier iterations asked for, and gold."""
    with loop.ledger() as ledger:
        queue = ledger.queue()
    queued = queue.filter(pl.col("iteration") < key)["item_id"].to_list()
    return sorted({*queued, *gold_in_pool(loop, pool)})


def shares_of(loop: LoopResource) -> tuple[float, float, float]:
    """Return the policy's boundary, audit and control shares."""
    shares = loop.policy.selection.shares
    return shares.boundary, shares.audit, shares.control


def boundary_budget(loop: LoopResource) -> int:
    """Return how many items the boundary share of a round's budget pays for."""
    return divide_budget(loop.policy.selection.budget, shares_of(loop)).boundary


def pairs_budget(shares: dict[str, float], budget: int, promising: float) -> int:
    """Return how many pairs are picked of a boundary budget, given the strategies' shares of it."""
    parts = dict(zip(shares, largest_remainder(budget, list(shares.values())), strict=True))
    return divide_boundary(parts.get(PAIRS, 0), promising)[0]


def draw_seed(loop: LoopResource, key: str) -> int:
    """Return the seed of an iteration's draws."""
    return loop.policy.selection.seed + int(key)


def labels_so_far(loop: LoopResource, key: str) -> pl.DataFrame:
    """Return the adjudicated labels that earlier iterations got: item_id, iteration, split, label."""
    before = previous_key(key)
    if before is None:
        return pl.DataFrame(schema=dict.fromkeys(("item_id", "iteration", "split"), pl.String) | {"label": pl.Boolean})
    split = loop.root.read_table("label_split", before)
    return split.select("item_id", "iteration", "split", "label").drop_nulls("label").unique("item_id", keep="last")


def cold_start(
    loop: LoopResource,
    key: str,
    pool: pl.DataFrame,
    pseudo_labels: pl.DataFrame,
    ranked: pl.DataFrame,
    exclude: list[str],
) -> ColdStart:
    """Return the part of the boundary pairs' share that goes to top-scored items, by what the labels so far showed.

    :param ranked: ranked pairs, drawn or not.
    :param exclude: items that are not asked, see ``not_to_ask``.
    """
    settings, policy = loop.policy.selection, loop.policy.policy
    scores = pseudo_labels.sort("item_id")
    ids = scores["item_id"]
    free = askable(pool, exclude)["item_id"]
    candidates = Candidates(
        ids,
        scores["p_positive"].to_numpy(),
        scores["label"].to_numpy(),
        free=ids.is_in(free.implode()).to_numpy(),
        pairs=ranked.drop(_DRAWN, strict=False),
    )
    evidence = gather_evidence(
        candidates,
        _not_learnt(loop, key, ids),
        budget=boundary_budget(loop),
        expected_prevalence=policy.expected_prevalence,
        exploration=settings.exploration,
        seed=draw_seed(loop, key),
    )
    return promising_share(evidence, settings.target_positive_share)


def reference_scores(loop: LoopResource, pool: pl.DataFrame, pseudo_labels: pl.DataFrame) -> pl.DataFrame | None:
    """Return what LLM-0 thinks of the items, for strategies that compare the student with it: item_id, p_positive.

    None while LLM-0 itself is the labeler. Items it has not scored are left out.
    """
    first = llm0(loop.policy).fingerprint
    if pseudo_labels["labeler_fingerprint"][0] == first:
        return None
    store = loop.root.scores(first)
    items = pool.filter(pl.col("text_hash").is_in(sorted(store.known(pool["text_hash"].to_list()))))
    scores: NDArray[np.float64] = np.asarray(store.get(items["text_hash"].to_list()), dtype=np.float64)
    return items.select("item_id", p_positive=pl.Series(scores))


def _not_learnt(loop: LoopResource, key: str, ids: pl.Series) -> NDArray[np.float64]:
    """Return the labels of items that the present labeler was not trained on, NaN elsewhere, row for row."""
    labels = labels_so_far(loop, key)
    trained_in = Incumbent.of(loop.root.read_table("incumbent_model", key)).promoted_from
    if trained_in is not None:
        labels = labels.filter((pl.col("split") != FINE_TUNING) | (pl.col("iteration") > trained_in))
    known = labels.select("item_id", pl.col("label").cast(pl.Float64))
    found = ids.to_frame("item_id").join(known, on="item_id", how="left", maintain_order="left")["label"]
    return found.fill_null(float("nan")).to_numpy()
