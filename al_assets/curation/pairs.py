"""Candidates for boundary pairs: near neighbours with different pseudo-labels in a neighbourhood that holds both."""

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import LabelledPool, check_at_least, check_share, labelled_pool
from al_assets.curation.neighbours import nearest_neighbours, without_self

CANDIDATES = pl.Schema(
    {
        "pair_id": pl.String,
        "positive_item": pl.String,
        "negative_item": pl.String,
        "similarity": pl.Float64,
        "mixing": pl.Float64,
        "positive_cluster": pl.Int32,
        "negative_cluster": pl.Int32,
        "positive_cell": pl.Int32,
        "negative_cell": pl.Int32,
    }
)
_MAX_QUERIES = 50_000


def cross_label_pairs(
    item_ids: Sequence[str] | pl.Series,
    vectors: ArrayLike,
    positive: ArrayLike,
    clusters: pl.DataFrame,
    *,
    neighbours: int,
    min_mixing: float,
    exclude: Collection[str] = (),
    seed: int = 0,
    max_queries: int = _MAX_QUERIES,
) -> pl.DataFrame:
    """Return the columns of ``boundary_pairs`` up to the cells, most similar pair first.

    The side with fewer items asks for its nearest items on the other side. Mixing is 2 min(p, 1 - p), p being the share
    of positive items among the ``neighbours`` nearest of both members, the members left out: a lone item among items of
    the other label, most often a labelling error, gets 0. Empty if a side is empty.

    :param vectors: shape (items, dimensions), rows of length one.
    :param clusters: ``cluster_assignments`` of the same items.
    :param neighbours: how many partners each item proposes, and how many neighbours of each member mixing looks at.
    :param min_mixing: pairs below it are dropped, 0 to 1.
    :param exclude: items that may not be in a pair, such as those already labelled; they still count as neighbours.
    :param seed: draws which items ask, should there be more than ``max_queries``.
    :raises CurationError: vectors not finite or not of length one, or clusters of other items or other labels.
    """
    check_at_least("neighbours", neighbours, 1)
    check_at_least("max_queries", max_queries, 1)
    check_share("min_mixing", min_mixing)
    pool = labelled_pool(item_ids, vectors, positive, clusters)
    free = ~pool.item_ids.is_in(list(exclude)).to_numpy()
    positives, negatives = _nearest_partners(pool, free, neighbours, np.random.default_rng(seed), max_queries)
    mixing = _mixing(pool, positives, negatives, neighbours)
    mixed = mixing >= min_mixing
    return _frame(pool, positives[mixed], negatives[mixed], mixing[mixed])


def _nearest_partners(
    pool: LabelledPool, free: NDArray[np.bool_], neighbours: int, rng: np.random.Generator, max_queries: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row numbers of the positive and of the negative members of all proposed pairs."""
    positives, negatives = np.flatnonzero(pool.positive & free), np.flatnonzero(~pool.positive & free)
    asking, answering = sorted((positives, negatives), key=len)
    if len(asking) > max_queries:
        asking = np.sort(rng.choice(asking, max_queries, replace=False))
    _, found = nearest_neighbours(
        pool.vectors[answering],
        pool.vectors[asking],
        neighbours,
        lists=pool.cell[answering].astype(np.int64),
    )
    query, place = np.nonzero(found >= 0)
    one, other = asking[query], answering[found[query, place]]
    is_positive = pool.positive[one]
    return np.where(is_positive, one, other), np.where(is_positive, other, one)


def _mixing(
    pool: LabelledPool, positives: NDArray[np.int64], negatives: NDArray[np.int64], neighbours: int
) -> NDArray[np.float64]:
    members, place = np.unique(np.concatenate((positives, negatives)), return_inverse=True)
    # Cells are numbered within a side; doubled and shifted they are lists of the whole pool.
    lists = 2 * pool.cell.astype(np.int64) + pool.positive
    _, found = nearest_neighbours(pool.vectors, pool.vectors[members], neighbours + 1, lists=lists)
    near = without_self(found, members, neighbours)
    pairs = len(positives)
    joint = np.concatenate((near[place[:pairs]], near[place[pairs:]]), axis=1)
    return joint_mixing(joint, positives, negatives, pool.positive)


def joint_mixing(
    joint: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64], positive: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return 2 min(p, 1 - p) for each pair, p being the share of positive items among its distinct neighbours.

    :param joint: row numbers of the neighbours of both members, shape (pairs, any); -1 and the members do not count.
    :return: shape (pairs,), 0 to 1; 0 where no neighbour is left.
    """
    if not joint.shape[1]:
        return np.zeros(len(joint), dtype=np.float64)
    members = (joint == one[:, None]) | (joint == other[:, None])
    ordered = np.sort(np.where(members, -1, joint), axis=1)
    counted = ordered >= 0
    counted[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    total = counted.sum(axis=1)
    positives = (counted & positive[ordered]).sum(axis=1)
    share: NDArray[np.float64] = positives / np.maximum(total, 1)
    return np.where(total > 0, 2 * np.minimum(share, 1 - share), 0.0)


def _frame(
    pool: LabelledPool, positives: NDArray[np.int64], negatives: NDArray[np.int64], mixing: NDArray[np.float64]
) -> pl.DataFrame:
    similarity = np.einsum("ij,ij->i", pool.vectors[positives], pool.vectors[negatives])
    frame = pl.DataFrame(
        {
            "positive_item": pool.item_ids.gather(positives),
            "negative_item": pool.item_ids.gather(negatives),
            # A float32 product of equal vectors may end a hair above one.
            "similarity": np.clip(similarity.astype(np.float64), -1, 1),
            "mixing": mixing,
            "positive_cluster": pool.macro_cluster[positives],
            "negative_cluster": pool.macro_cluster[negatives],
            "positive_cell": pool.cell[positives],
            "negative_cell": pool.cell[negatives],
        }
    ).with_columns(pl.concat_str("positive_item", "negative_item", separator="|").alias("pair_id"))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATES.items()).sort(
        "similarity", "pair_id", descending=[True, False]
    )
