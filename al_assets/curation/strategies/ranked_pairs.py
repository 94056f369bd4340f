"""Boundary pairs as a strategy: nearest items with different labels, both members always together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from al_assets.curation.checks import CurationError, check_at_least, check_columns
from al_assets.curation.strategies.base import (
    EXPLORATION,
    PICKS,
    Candidates,
    draw_order,
    first_free,
    short_list,
)

_PAIRS = ("pair_id", "positive_item", "negative_item", "similarity", "mixing", "positive_cell", "negative_cell")


@dataclass(frozen=True)
class BoundaryPairs:
    """Pairs in the order of ``draw_pairs``, both members free; ``budget`` counts items, two for each pair.

    :param exploration: the part of the pairs drawn by lot from the short list, 0 to 1; without effect where the pairs
        come with their order, as those of the table ``boundary_pairs`` do.
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
        pairs = candidates.pairs.drop_nulls("rank").sort("rank")
        open_items = candidates.item_ids.gather(candidates.open_rows).implode()
        members = (pairs[name].is_in(open_items).to_numpy() for name in ("positive_item", "negative_item"))
        free = np.logical_and(*members)
        if "draw_order" not in pairs.columns:
            pairs = draw_pairs(pairs, budget // 2, self.exploration, seed)
        chance = pairs["inclusion_probability"]
        order = np.argsort(pairs["draw_order"].to_numpy(), kind="stable")
        certain, listed = int((chance == 1).sum()), int((chance < 1).sum())
        places, chances = first_free(order, free, budget // 2, certain, listed)
        picked = pairs[places].select(
            pl.concat_list("positive_item", "negative_item").alias("item_id"),
            pl.lit(self.reason).alias("reason"),
            "pair_id",
            "rank",
            pl.Series("inclusion_probability", chances, dtype=pl.Float64),
        )
        return picked.explode("item_id", empty_as_null=False).select(
            pl.col(name).cast(dtype) for name, dtype in PICKS.items()
        )


def rank_pairs(candidates: pl.DataFrame, seed: int = 0, scores: pl.DataFrame | None = None) -> pl.DataFrame:
    """Rank candidate pairs for variety; returns them with ``rank``, ranked pairs first.

    Round robin over pairs of micro cells, those that hold the best pair first; at its turn a pair of cells gives its
    best pair whose members are both still free. So an item has at most one ranked pair, and any of the ranked pairs can
    stand in for one that cannot be queued. Pairs that reuse an item get rank null.

    The best pair is that of the highest mixing; with scores, of the highest ``mixing closeness^4``: the closeness of
    the member on the larger side is the share of that side whose scores lie no nearer to the threshold, 0 to 1. Where
    positives are rare, mixing alone takes many negatives that nobody would doubt (docs/selection.md).

    :param candidates: what ``cross_label_pairs`` returned.
    :param seed: draws the order of pairs that are equally good and similar.
    :param scores: item_id, p_positive, label of the whole pool; None ranks without them.
    """
    check_columns(candidates, "candidates", _PAIRS)
    lot = np.random.default_rng(seed).permutation(candidates.height)
    worth = candidates["mixing"] if scores is None else candidates["mixing"] * _closeness(candidates, scores) ** 4
    ordered = (
        candidates.with_columns(worth.alias("_worth"))
        .sort("pair_id")
        .with_columns(pl.Series("_lot", lot))
        .sort("_worth", "similarity", "_lot", descending=[True, True, False])
        .drop("_worth", "_lot")
    )
    rank = np.full(ordered.height, -1, dtype=np.int64)
    for place, row in enumerate(_round_robin(ordered)):
        rank[row] = place
    return (
        ordered.with_columns(pl.Series("rank", rank))
        .with_columns(pl.when(pl.col("rank") >= 0).then("rank").alias("rank"))
        .sort("rank", nulls_last=True, maintain_order=True)
    )


def draw_pairs(
    ranked: pl.DataFrame, budget_pairs: int, exploration: float = EXPLORATION, seed: int = 0
) -> pl.DataFrame:
    """Return ranked pairs with their place in the draw and their chance in it.

    :param ranked: what ``rank_pairs`` returned.
    :param budget_pairs: how many pairs are to be picked.
    :param exploration: the part of them drawn by lot from a short list, see ``strategies.base``.
    :return: with draw_order (null where rank is), selected (among the first ``budget_pairs`` of that order) and
        inclusion_probability (1 at the head, that of the lot on the short list, null behind it). Pairs that lose a
        member to the audit or the control give way to the next of the order.
    """
    height = ranked["rank"].drop_nulls().len()
    place_of = np.empty(height, dtype=np.int64)
    place_of[draw_order(height, budget_pairs, exploration, seed)] = np.arange(height)
    certain, listed = short_list(height, budget_pairs, exploration)
    chance = min(1.0, (budget_pairs - certain) / max(listed, 1))
    in_draw = pl.DataFrame({"rank": np.arange(height), "draw_order": place_of})
    return ranked.join(in_draw, on="rank", how="left", maintain_order="left").with_columns(
        (pl.col("draw_order") < budget_pairs).fill_null(value=False).alias("selected"),
        pl.when(pl.col("rank") < certain)
        .then(1.0)
        .when(pl.col("rank") < certain + listed)
        .then(chance)
        .alias("inclusion_probability"),
    )


def _closeness(candidates: pl.DataFrame, scores: pl.DataFrame) -> pl.Series:
    """Return for each pair how near its member on the larger side is to the threshold, by rank on that side."""
    check_columns(scores, "scores", ("item_id", "p_positive", "label"))
    larger = scores["label"].sum() * 2 > scores.height
    side = scores.filter(pl.col("label") == larger)
    # Negatives come nearer to the threshold with a higher score, positives with a lower one.
    rank = side["p_positive"].rank("max", descending=larger) / max(side.height, 1)
    member = "positive_item" if larger else "negative_item"
    near = side.select(pl.col("item_id").alias(member), closeness=rank)
    found = candidates.join(near, on=member, how="left", maintain_order="left")["closeness"]
    if found.null_count():
        raise CurationError(
            f"scores: {found.null_count()} of {len(found)} pairs have a {member} without score on that side; pass the "
            "scores and labels of the whole pool"
        )
    return found


def _round_robin(ordered: pl.DataFrame) -> Iterator[int]:
    """Yield the row numbers of a frame of pairs, best first, in the order of picking."""
    # Numbers instead of ids: the two sides have no item in common, so each may be numbered on its own.
    positives, negatives = (ordered[member].rank("dense").to_list() for member in ("positive_item", "negative_item"))
    cells: dict[tuple[int, int], list[int]] = {}
    for row, cell in enumerate(
        zip(ordered["positive_cell"].to_list(), ordered["negative_cell"].to_list(), strict=True)
    ):
        cells.setdefault(cell, []).append(row)
    taken: tuple[set[int], set[int]] = (set(), set())
    waiting = [iter(rows) for rows in cells.values()]
    while waiting:
        still_waiting = []
        for rows in waiting:
            free = (row for row in rows if positives[row] not in taken[0] and negatives[row] not in taken[1])
            for row in islice(free, 1):
                taken[0].add(positives[row])
                taken[1].add(negatives[row])
                still_waiting.append(rows)
                yield row
        waiting = still_waiting
