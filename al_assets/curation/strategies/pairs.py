"""Boundary pairs as a strategy: nearest items with different labels, both members always together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from al_assets.curation.checks import CurationError, check_at_least, check_columns
from al_assets.curation.strategies.base import EXPLORATION, PICKS, Candidates, draw_from_ranking

_PAIRS = ("pair_id", "positive_item", "negative_item", "similarity", "mixing", "positive_cell", "negative_cell")


@dataclass(frozen=True)
class BoundaryPairs:
    """Pairs in the order of ``rank_pairs``, both members free; ``budget`` counts items, two for each pair.

    :param exploration: the part of the pairs drawn by lot from the short list, 0 to 1.
    """

    exploration: float = EXPLORATION
    reason: str = "boundary"

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return both members of each picked pair, beside each other and of the pair's rank.

        :raises CurationError: no pairs were given.
        """
        check_at_least("budget", budget, 0)
        if candidates.pairs is None:
            raise CurationError("pairs: none given; pass what rank_pairs returned for the same items")
        check_columns(candidates.pairs, "pairs", ("pair_id", "positive_item", "negative_item", "rank"))
        free = candidates.item_ids.gather(candidates.open_rows).to_frame("item_id")
        pairs = candidates.pairs.drop_nulls("rank").sort("rank")
        for member in ("positive_item", "negative_item"):
            pairs = pairs.join(free, left_on=member, right_on="item_id", how="semi", maintain_order="left")
        places, chances = draw_from_ranking(pairs.height, budget // 2, self.exploration, seed)
        members = pairs[places].select(
            pl.concat_list("positive_item", "negative_item").alias("item_id"),
            pl.lit(self.reason).alias("reason"),
            "pair_id",
            "rank",
            pl.Series("inclusion_probability", chances, dtype=pl.Float64),
        )
        return members.explode("item_id").select(pl.col(name).cast(dtype) for name, dtype in PICKS.items())


def rank_pairs(candidates: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Rank candidate pairs for variety; returns them with ``rank``, ranked pairs first.

    Round robin over pairs of micro cells, those that hold the best pair (highest mixing, then similarity) first; at its
    turn a pair of cells gives its best pair whose members are both still free. So an item has at most one ranked pair,
    and any of the ranked pairs can stand in for one that cannot be queued. Pairs that reuse an item get rank null.

    :param candidates: what ``cross_label_pairs`` returned.
    :param seed: draws the order of pairs with equal mixing and similarity.
    """
    check_columns(candidates, "candidates", _PAIRS)
    lot = np.random.default_rng(seed).permutation(candidates.height)
    ordered = (
        candidates.sort("pair_id")
        .with_columns(pl.Series("_lot", lot))
        .sort("mixing", "similarity", "_lot", descending=[True, True, False])
        .drop("_lot")
    )
    rank = np.full(ordered.height, -1, dtype=np.int64)
    for place, row in enumerate(_round_robin(ordered)):
        rank[row] = place
    return (
        ordered.with_columns(pl.Series("rank", rank))
        .with_columns(pl.when(pl.col("rank") >= 0).then("rank").alias("rank"))
        .sort("rank", nulls_last=True, maintain_order=True)
    )


def _round_robin(ordered: pl.DataFrame) -> Iterator[int]:
    """Yield the row numbers of a frame of pairs, best first, in the order of picking."""
    positives, negatives = (
        ordered[member].cast(pl.Categorical).to_physical().to_list() for member in ("positive_item", "negative_item")
    )
    cells: dict[tuple[int, int], list[int]] = {}
    for row, cell in enumerate(zip(ordered["positive_cell"].to_list(), ordered["negative_cell"].to_list(), strict=True)):
        cells.setdefault(cell, []).append(row)
    used: set[int] = set()
    waiting = [iter(rows) for rows in cells.values()]
    while waiting:
        still_waiting = []
        for rows in waiting:
            free = (row for row in rows if positives[row] not in used and negatives[row] not in used)
            for row in islice(free, 1):
                used.update((positives[row], negatives[row]))
                still_waiting.append(rows)
                yield row
        waiting = still_waiting
