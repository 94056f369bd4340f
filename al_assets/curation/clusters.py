"""Clusters of each side, positive and negative: macro clusters for names and coverage, micro cells for picking."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import check_at_least, check_item_ids, check_labels, check_vectors

NOISE = -1
_KMEANS_ROUNDS = 8
# More training points per centroid cost time and hardly move the cells (facts.md, selection at size).
_KMEANS_POINTS = 48


def assign_clusters(
    item_ids: Sequence[str] | pl.Series,
    vectors: ArrayLike,
    positive: ArrayLike,
    *,
    min_cluster_size: int,
    pca_dimensions: int,
    exact_below: int,
    items_per_cell: int,
    seed: int,
) -> pl.DataFrame:
    """Cluster each side on its own and return the columns of ``cluster_assignments``, items in the given order.

    :param vectors: shape (items, dimensions), rows of length one.
    :param positive: the pseudo-labels, booleans of shape (items,). A side may be empty.
    :raises CurationError: ids repeat, or vectors are not finite or not of length one.
    """
    ids = check_item_ids(item_ids)
    rows = check_vectors(vectors, len(ids))
    labels = check_labels(positive, len(ids))
    macro = np.full(len(ids), NOISE, dtype=np.int32)
    cell = np.zeros(len(ids), dtype=np.int32)
    distance = np.zeros(len(ids), dtype=np.float32)
    for side in (labels, ~labels):
        macro[side] = macro_clusters(
            rows[side],
            min_cluster_size=min_cluster_size,
            pca_dimensions=pca_dimensions,
            exact_below=exact_below,
            seed=seed,
        )
        cell[side], _, distance[side] = micro_cells(rows[side], items_per_cell=items_per_cell, seed=seed)
    return pl.DataFrame(
        {
            "item_id": ids,
            "side": np.where(labels, "positive", "negative"),
            "macro_cluster": macro,
            "cell": cell,
            "distance": distance,
        },
        schema_overrides={"side": pl.String},
    )


def macro_clusters(
    vectors: ArrayLike, *, min_cluster_size: int, pca_dimensions: int, exact_below: int, seed: int
) -> NDArray[np.int32]:
    """Return each item's hdbscan cluster (Campello, Moulavi, Sander 2013), the largest being 0; -1 is noise.

    The vectors are first reduced to their principal components. From ``exact_below`` rows on, a seeded sample of that
    many is clustered and every item takes the cluster of its nearest sampled item; ``min_cluster_size`` then counts
    sampled items. Fewer than twice ``min_cluster_size`` items cannot form two clusters: all are noise.

    :param vectors: shape (items, dimensions), rows of length one.
    """
    check_at_least("min_cluster_size", min_cluster_size, 2)
    check_at_least("pca_dimensions", pca_dimensions, 1)
    check_at_least("exact_below", exact_below, 1)
    rows = check_vectors(vectors)
    if len(rows) < 2 * min_cluster_size:
        return np.full(len(rows), NOISE, dtype=np.int32)
    # Rounded, or the last bits of equal vectors would be clustered.
    reduced = np.round(principal_components(rows, pca_dimensions), 5)
    if len(rows) < exact_below:
        return _largest_first(_density_clusters(reduced, min_cluster_size))
    sample = np.sort(np.random.default_rng(seed).choice(len(rows), exact_below, replace=False))
    clusters = _density_clusters(reduced[sample], min_cluster_size)
    return _largest_first(clusters[_nearest_row(reduced, reduced[sample])])


def micro_cells(
    vectors: ArrayLike, *, items_per_cell: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Return each item's spherical k-means cell, the cells' centroids and each item's distance to its centroid.

    There are about ``items / items_per_cell`` cells, but no more than ``2 sqrt(items)``; none is empty.

    :param vectors: shape (items, dimensions), rows of length one.
    :return: cells (items,), centroids of length one (cells, dimensions), distances 1 - cosine (items,) in [0, 2].
    """
    check_at_least("items_per_cell", items_per_cell, 1)
    rows = check_vectors(vectors)
    if not len(rows):
        return np.zeros(0, dtype=np.int32), rows, np.zeros(0, dtype=np.float32)
    wanted = max(1, min(len(rows) // items_per_cell, int(2 * np.sqrt(len(rows)))))
    centroids = _train_centroids(rows, wanted, seed)
    similarity, nearest = _most_similar(rows, centroids)
    used, cells = np.unique(nearest, return_inverse=True)
    distance = np.clip(1 - similarity, 0, 2).astype(np.float32)
    return cells.astype(np.int32), centroids[used], distance


def principal_components(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the projection on the leading principal components, shape (items, at most ``dimensions``).

    Each component's sign is chosen so that its largest loading is positive: the same input gives the same output.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not len(vectors):
        return np.zeros((0, min(dimensions, vectors.shape[1])), dtype=np.float32)
    centred = vectors - vectors.mean(axis=0)
    # LAPACK's threads wait for each other on a busy machine: 2.4 s on two cores instead of .01 s on one.
    with threadpool_limits(1, user_api="blas"):
        _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    leading = axes[:, ::-1][:, :dimensions]
    largest = np.abs(leading).argmax(axis=0)
    leading = leading * np.sign(leading[largest, np.arange(leading.shape[1])])
    projected: NDArray[np.float32] = centred @ leading.astype(np.float32)
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


def _nearest_row(queries: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.int64]:
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(rows))
    nearest: NDArray[np.int64] = index.search(np.ascontiguousarray(queries), 1)[1][:, 0]
    return nearest


def _train_centroids(rows: NDArray[np.float32], cells: int, seed: int) -> NDArray[np.float32]:
    import faiss

    kmeans = faiss.Kmeans(
        rows.shape[1],
        cells,
        niter=_KMEANS_ROUNDS,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_KMEANS_POINTS,
    )
    kmeans.train(rows)
    return np.array(kmeans.centroids, dtype=np.float32)


def _most_similar(
    rows: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import faiss

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    similarity, nearest = index.search(rows, 1)
    return similarity[:, 0], nearest[:, 0]
