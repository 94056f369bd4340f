"""Clusters of each side, positive and negative: macro clusters for names and coverage, micro cells for picking."""

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import check_at_least
from al_assets.curation.geometry.cells import micro_cells
from al_assets.curation.geometry.labelled_pool import Sides
from al_assets.curation.geometry.vectors import Vectors
from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.settings import DEFAULTS, ClusterSettings

NOISE = -1
_BLOCK = 16_384


def cluster_assignments(
    sides: Sides, settings: ClusterSettings = DEFAULTS.clusters, seed: int = 0, runner: Runner = THREADS
) -> pl.DataFrame:
    """Cluster each side on its own and return the columns of ``cluster_assignments``, items in the given order.

    A side may be empty. Without a ``min_cluster_size`` all are noise: pairs are picked by cells alone.

    :param seed: used where the settings name none.
    :raises CurationError: a setting is out of range.
    """
    ids, rows, labels = sides.item_ids, sides.vectors, sides.positive
    seed = seed if settings.seed is None else settings.seed
    macro = np.empty(len(ids), dtype=np.int32)
    cell = np.zeros(len(ids), dtype=np.int32)
    distance = np.zeros(len(ids), dtype=np.float32)
    for side in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        macro[side] = macro_clusters(rows, side, settings, seed, runner)
        cell[side], _, distance[side] = micro_cells(
            rows, side, items_per_cell=settings.items_per_cell, seed=seed, runner=runner
        )
    return pl.DataFrame(
        {
            "item_id": ids,
            "side": pl.Series(labels).replace_strict({True: "positive", False: "negative"}, return_dtype=pl.String),
            "macro_cluster": macro,
            "cell": cell,
            "distance": distance,
        }
    )


def cluster_counts(clusters: pl.DataFrame) -> pl.DataFrame:
    """Return for each side how many items, macro clusters and cells there are, and the share of noise.

    :param clusters: as ``cluster_assignments`` returned them.
    """
    counts = clusters.group_by("side").agg(
        pl.len().alias("items"),
        pl.col("macro_cluster").filter(pl.col("macro_cluster") >= 0).n_unique().alias("macro_clusters"),
        (pl.col("macro_cluster") < 0).mean().alias("noise_share"),
        pl.col("cell").n_unique().alias("cells"),
    )
    return counts.sort("side")


def macro_clusters(
    vectors: Vectors | ArrayLike,
    side: NDArray[np.int64] | None = None,
    settings: ClusterSettings = DEFAULTS.clusters,
    seed: int = 0,
    runner: Runner = THREADS,
) -> NDArray[np.int32]:
    """Return the hdbscan cluster (Campello, Moulavi, Sander 2013) of each row, the largest being 0; -1 is noise.

    The vectors are first reduced to their principal components. From ``exact_below`` rows on, a seeded sample of that
    many is reduced and clustered, and every item takes the cluster of its nearest sampled item; ``min_cluster_size``
    then counts sampled items. Fewer than twice ``min_cluster_size`` items cannot form two clusters: all are noise.

    :param vectors: shape (items, dimensions), rows of length one.
    :param side: row numbers of the items to cluster, shape (rows,); None is all.
    """
    vectors = Vectors.of(vectors)
    side = np.arange(len(vectors)) if side is None else side
    smallest, exact_below = settings.min_cluster_size, settings.exact_below
    if smallest is None:
        return np.full(len(side), NOISE, dtype=np.int32)
    check_at_least("min_cluster_size", smallest, 2)
    check_at_least("pca_dimensions", settings.pca_dimensions, 1)
    check_at_least("exact_below", exact_below, 1)
    if len(side) < 2 * smallest:
        return np.full(len(side), NOISE, dtype=np.int32)
    whole = len(side) < exact_below
    sample = side if whole else np.sort(np.random.default_rng(seed).choice(side, exact_below, replace=False))
    rows = vectors.take(sample)
    axes, mean = principal_axes(rows, settings.pca_dimensions), rows.mean(axis=0)
    # Rounded, or the last bits of equal vectors would be clustered.
    reduced = np.round((rows - mean) @ axes, 5)
    clusters = _density_clusters(reduced, smallest)
    if not whole:
        parts = runner.divide(side, np.ones(len(side)))
        nearest = list(runner.map(_nearest_sampled, parts, vectors, axes, mean, reduced))
        clusters = clusters[np.concatenate(nearest)]
    return _largest_first(clusters)


def principal_axes(rows: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the leading principal axes as columns, shape (width of the rows, at most ``dimensions``).

    Each axis's sign is chosen so that its largest loading is positive: the same input gives the same output.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not len(rows):
        return np.zeros((rows.shape[1], min(dimensions, rows.shape[1])), dtype=np.float32)
    # LAPACK's threads wait for each other on a busy machine: 2.4 s on two cores instead of .01 s on one.
    with threadpool_limits(1, user_api="blas"):
        centred = rows - rows.mean(axis=0)
        _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    leading = axes[:, ::-1][:, :dimensions]
    largest = np.abs(leading).argmax(axis=0)
    signed: NDArray[np.float32] = (leading * np.sign(leading[largest, np.arange(leading.shape[1])])).astype(np.float32)
    return signed


def principal_components(rows: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the projection on the leading principal axes, shape (rows, at most ``dimensions``)."""
    if not len(rows):
        return np.zeros((0, min(dimensions, rows.shape[1])), dtype=np.float32)
    projected: NDArray[np.float32] = (rows - rows.mean(axis=0)) @ principal_axes(rows, dimensions)
    return projected


def _density_clusters(reduced: NDArray[np.float32], min_cluster_size: int) -> NDArray[np.int32]:
    import hdbscan

    if len(reduced) < 2 * min_cluster_size:
        return np.full(len(reduced), NOISE, dtype=np.int32)
    model = hdbscan.HDBSCAN(min_cluster_size=min_cluster_size, core_dist_n_jobs=1)
    labels: NDArray[np.int32] = model.fit_predict(reduced.astype(np.float64)).astype(np.int32)
    return labels


def _largest_first(clusters: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber clusters by falling size, so that number 0 means the same kind of thing in every report."""
    found, sizes = np.unique(clusters[clusters != NOISE], return_counts=True)
    number = np.full(int(found.max(initial=NOISE)) + 2, NOISE, dtype=np.int32)
    number[found[np.argsort(-sizes, kind="stable")]] = np.arange(len(found), dtype=np.int32)
    # The last place stands for -1, so noise stays noise.
    return number[clusters]


def _nearest_sampled(
    part: NDArray[np.int64],
    vectors: Vectors,
    axes: NDArray[np.float32],
    mean: NDArray[np.float32],
    reduced: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Return for each row of the part the nearest sampled item in the reduced space."""
    import faiss

    # In this few dimensions faiss is faster than a product and a search for its largest entry.
    index = faiss.IndexFlatL2(reduced.shape[1])
    index.add(np.ascontiguousarray(reduced))
    found = []
    for start in range(0, len(part), _BLOCK):
        projected = ((vectors.take(part[start : start + _BLOCK]) - mean) @ axes).astype(np.float32)
        found.append(index.search(projected, 1)[1][:, 0])
    return np.concatenate(found)
