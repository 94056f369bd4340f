"""How hard a labelled pool of vectors is: how its labels mix, how its clusters stand apart, how its neighbours lie.

A benchmark on well separated blobs flatters whoever clusters. These are the figures by which a generated pool is
compared with embeddings of real texts; most depend on the number of items and on the prevalence, so compare like with
like: :func:`thinned` draws a pool of a given size and prevalence from a larger one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_labels, check_share
from al_assets.curation.geometry.vectors import Vectors

NEAR = 10
"""Nearest items over which the mixing of labels is looked at."""
BAND_NEAR = 20
"""Nearest items over which an item's chance to be positive is estimated."""
BAND = (0.25, 0.75)
"""Share of positive items among the nearest between which an item is at the boundary, ends included."""
_CLUSTERS = 40
_SILHOUETTE_SAMPLE = 2_000
_NOISE_DIMENSIONS = 16
_NOISE_CLUSTER_SIZE = 15
# Share of the largest distance ratios that the fit of Facco et al. leaves out.
_DISCARDED = 0.1

# What MiniLM embeddings of real texts measure, for generated pools to be held against: the mean over five pools drawn
# from a data set by ``thinned`` with seeds 0 to 4 and measured by ``measure`` with seed 0. VADER: the demo's tweets and
# product reviews (Hutto & Gilbert 2014), truth is the majority of three simulated experts. Webis: Webis Clickbait 17,
# truth is a mean judgement above one half.
ITEMS, PREVALENCE = 6_000, 0.05
VADER = {
    "opposite_near_positives": 0.823, "lone_positives": 0.271, "crowded_positives": 0.271,
    "opposite_near_items": 0.075, "mixed_items": 0.030,
    "nearest_cosine_q10": 0.434, "nearest_cosine_q50": 0.607, "nearest_cosine_q90": 0.800,
    "nearest_opposite_q10": 0.400, "nearest_opposite_q50": 0.531, "nearest_opposite_q90": 0.720,
    "mean_cosine": 0.102, "between_share": 0.239, "silhouette": 0.020, "noise_share": 0.594,
    "intrinsic_dimension": 20.1, "participation_ratio": 70.0, "probe_auc": 0.889,
}  # fmt: skip
WEBIS = {
    "opposite_near_positives": 0.850, "lone_positives": 0.357, "crowded_positives": 0.208,
    "opposite_near_items": 0.084, "mixed_items": 0.025,
    "nearest_cosine_q10": 0.400, "nearest_cosine_q50": 0.512, "nearest_cosine_q90": 0.698,
    "nearest_opposite_q10": 0.365, "nearest_opposite_q50": 0.468, "nearest_opposite_q90": 0.617,
    "mean_cosine": 0.059, "between_share": 0.158, "silhouette": 0.021, "noise_share": 0.829,
    "intrinsic_dimension": 18.6, "participation_ratio": 129.0, "probe_auc": 0.813,
}  # fmt: skip
TOLERANCE = {
    "opposite_near_positives": 0.04, "lone_positives": 0.08, "crowded_positives": 0.08,
    "opposite_near_items": 0.01, "mixed_items": 0.02,
    "nearest_cosine_q10": 0.04, "nearest_cosine_q50": 0.04, "nearest_cosine_q90": 0.04,
    "nearest_opposite_q10": 0.06, "nearest_opposite_q50": 0.06, "nearest_opposite_q90": 0.06,
    "mean_cosine": 0.02, "between_share": 0.03, "silhouette": 0.025, "noise_share": 0.15,
    "intrinsic_dimension": 2.0, "participation_ratio": 15.0, "probe_auc": 0.04,
}  # fmt: skip
"""How far outside the two data sets' range a pool of the difficulty "real" may be; two pools of one data set differ by
about half of it in the figures on positives, of which there are 300."""


@dataclass(frozen=True)
class PoolMeasures:
    """Figures of one labelled pool; NaN where there is nothing to measure, such as mixing without positives."""

    items: int
    prevalence: float
    opposite_near_positives: float
    """Mean share of negatives among the ten nearest of a positive: 0 apart, 1 - prevalence if labels are at random."""
    lone_positives: float
    """Share of positives with no positive among their ten nearest."""
    crowded_positives: float
    """Share of positives with at least three positives among their ten nearest."""
    opposite_near_items: float
    """Mean share of items of the other label among the ten nearest of any item."""
    mixed_items: float
    """Share of items with 25 to 75 % positives among their twenty nearest."""
    nearest_cosine_q10: float
    nearest_cosine_q50: float
    nearest_cosine_q90: float
    """Quantiles of the cosine of an item and its nearest."""
    nearest_opposite_q10: float
    nearest_opposite_q50: float
    nearest_opposite_q90: float
    """Quantiles of the cosine of a positive and the nearest negative."""
    mean_cosine: float
    """Mean cosine of two items drawn at random: how narrow a cone the vectors lie in."""
    between_share: float
    """Share of the variance between 40 k-means clusters."""
    silhouette: float
    """Mean silhouette of those clusters by Euclidean distance, -1 to 1 (Rousseeuw 1987), on 2,000 items."""
    noise_share: float
    """Share that hdbscan leaves as noise after PCA to 16 dimensions, with clusters of at least 15."""
    intrinsic_dimension: float
    """TwoNN, see :func:`intrinsic_dimension`."""
    participation_ratio: float
    """(sum l)^2 / sum l^2 over the eigenvalues l of the covariance: how many directions carry the variance."""
    probe_auc: float
    """Area under the ROC curve of a logistic regression on the vectors, out of fold."""


def measure(vectors: Vectors | ArrayLike, truth: ArrayLike, seed: int = 0) -> PoolMeasures:
    """Measure a pool; exact neighbours and hdbscan, so meant for up to about 20,000 items (some 10 CPU-s at 6,000).

    :param vectors: shape (items, dimensions), rows of length one.
    :param truth: booleans of shape (items,): the labels that mix.
    :param seed: of k-means, of the folds and of the sample for the silhouette.
    :raises CurationError: fewer than 50 items, vectors not of length one, or labels that are not booleans.
    """
    checked = Vectors.of(vectors)
    labels = check_labels(truth, len(checked))
    check_at_least("items", len(checked), 50)
    rows = checked.take(slice(None))
    cosines, near = nearest_items(checked, np.arange(len(rows)), BAND_NEAR)
    shares, silhouette = _separability(rows, seed)
    return PoolMeasures(
        items=len(rows),
        prevalence=float(labels.mean()),
        **_mixing(near, labels),
        **_quantiles("nearest_cosine", cosines[:, 0]),
        **_quantiles("nearest_opposite", _nearest_opposite(rows, labels)),
        mean_cosine=_mean_cosine(rows),
        between_share=shares,
        silhouette=silhouette,
        noise_share=_noise_share(rows, seed),
        intrinsic_dimension=intrinsic_dimension(cosines[:, :2]),
        participation_ratio=participation_ratio(rows),
        probe_auc=probe_auc(rows, labels, seed),
    )


def thinned(truth: ArrayLike, items: int, prevalence: float, seed: int = 0) -> NDArray[np.int64]:
    """Return the row numbers, rising, of a random sample with a given size and share of positives.

    :param truth: booleans, shape (all items,).
    :raises CurationError: there are too few items of one label; says how many there are.
    """
    labels = np.asarray(truth, dtype=np.bool_)
    check_share("prevalence", prevalence)
    wanted = round(items * prevalence)
    generator = np.random.default_rng(seed)
    parts = []
    for name, value, count in (("positive", True, wanted), ("negative", False, items - wanted)):
        rows = np.flatnonzero(labels == value)
        if len(rows) < count:
            raise CurationError(f"items: {count} {name} items asked for and {len(rows)} are there; ask for fewer items")
        parts.append(generator.choice(rows, count, replace=False))
    return np.sort(np.concatenate(parts))


def misses(measures: PoolMeasures) -> dict[str, tuple[float, float, float]]:
    """Return the figures outside the tolerance: name -> (measured, lowest allowed, highest allowed).

    :param measures: of a pool of about ``ITEMS`` items at ``PREVALENCE``; at other sizes they mean something else.
    """
    outside = {}
    for name, tolerance in TOLERANCE.items():
        low, high = sorted((VADER[name], WEBIS[name]))
        value = getattr(measures, name)
        # Written so that NaN is a miss.
        if not low - tolerance <= value <= high + tolerance:
            outside[name] = (value, low - tolerance, high + tolerance)
    return outside


def nearest_items(
    vectors: Vectors, queries: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return cosine and row number of the items nearest to some items, themselves left out, nearest first; exact.

    Memory is bounded by a block of the vectors and the queries.

    :param queries: row numbers, shape (queries,).
    :return: two arrays of shape (queries, min(count, items - 1)).
    """
    import faiss

    count = min(count, len(vectors) - 1)
    asked = vectors.take(queries)
    best = np.full((len(queries), count + 1), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), count + 1), -1, dtype=np.int64)
    for place, block in vectors.blocks():
        cosine, places = faiss.knn(asked, block, min(count + 1, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best = np.concatenate([best, cosine], axis=1)
        rows = np.concatenate([rows, places + place.start], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, : count + 1]
        best, rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(rows, order, axis=1)
    # Among equal vectors an item need not be the first of its own neighbours, nor among them at all.
    itself = rows == queries[:, None]
    itself[~itself.any(axis=1), -1] = True
    kept = ~itself
    shape = (len(queries), count)
    return np.minimum(best[kept].reshape(shape), 1), rows[kept].reshape(shape)


def intrinsic_dimension(cosines: NDArray[np.float32]) -> float:
    """Return the TwoNN estimate of the dimension of the surface on which the items lie.

    Facco, d'Errico, Rodriguez and Laio, "Estimating the intrinsic dimension of datasets by a minimal neighborhood
    information", Scientific Reports 7 (2017): with mu the ratio of the distances to an item's second and first nearest,
    the slope through the origin of -log(1 - F(mu)) over log(mu), without the largest tenth.

    :param cosines: of each item with its nearest and second nearest, shape (items, 2).
    :return: NaN where fewer than ten items have a first neighbour that is not a copy.
    """
    distance = np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0))
    # A copy has no ratio, and the rounding of float16 vectors makes copies of near copies.
    own = distance[distance[:, 0] > 1e-3]
    if len(own) < 10:
        return float("nan")
    ratio = np.log(np.sort(own[:, 1] / own[:, 0]))
    kept = int(len(ratio) * (1 - _DISCARDED))
    rising = -np.log1p(-np.arange(1, kept + 1) / len(ratio))
    steep = float(ratio[:kept] @ ratio[:kept])
    return float(ratio[:kept] @ rising) / steep if steep else float("nan")


def participation_ratio(rows: NDArray[np.float32]) -> float:
    """Return (sum l)^2 / sum l^2 over the eigenvalues l of the covariance of the rows: 1 to the dimensions."""
    covariance = np.cov(rows, rowvar=False)
    return float(np.trace(covariance) ** 2 / np.sum(covariance**2))


def probe_auc(rows: NDArray[np.float32], labels: NDArray[np.bool_], seed: int = 0) -> float:
    """Return the area under the ROC curve of a logistic regression (C = 1), each item judged by a model of the others.

    :return: NaN where one of the labels has fewer than five items.
    """
    from sklearn.metrics import roc_auc_score

    chances = probe_chances(rows, labels, seed)
    return float("nan") if chances is None else float(roc_auc_score(labels, chances))


def probe_chances(rows: NDArray[np.float32], labels: NDArray[np.bool_], seed: int = 0) -> NDArray[np.float64] | None:
    """Return each item's chance to be positive by a logistic regression fitted to four fifths without it.

    :return: shape (items,), or None where one of the labels has fewer than five items.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(labels.sum(), (~labels).sum()) < 5:
        return None
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = LogisticRegression(max_iter=1_000)
    chances = cross_val_predict(model, rows, labels, cv=folds, method="predict_proba")
    return np.asarray(chances[:, 1], dtype=np.float64)


def positive_share_near(near: NDArray[np.int64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of positive items among each item's nearest, shape (items,).

    :param near: row numbers, shape (items, nearest).
    """
    return np.asarray(labels[near].mean(axis=1), dtype=np.float64)


def _mixing(near: NDArray[np.int64], labels: NDArray[np.bool_]) -> dict[str, float]:
    positives = labels[near[:, :NEAR]].sum(axis=1)
    among, opposite = near[:, :NEAR].shape[1], np.where(labels, near[:, :NEAR].shape[1] - positives, positives)
    own = positives[labels]
    share = positive_share_near(near, labels)
    nothing = float("nan")
    return {
        "opposite_near_positives": float(opposite[labels].mean()) / among if len(own) else nothing,
        "lone_positives": float((own == 0).mean()) if len(own) else nothing,
        "crowded_positives": float((own >= 3).mean()) if len(own) else nothing,
        "opposite_near_items": float(opposite.mean()) / among,
        "mixed_items": float(((share >= BAND[0]) & (share <= BAND[1])).mean()),
    }


def _nearest_opposite(rows: NDArray[np.float32], labels: NDArray[np.bool_]) -> NDArray[np.float32]:
    import faiss

    if labels.all() or not labels.any():
        return np.zeros(0, dtype=np.float32)
    cosine, _ = faiss.knn(rows[labels], rows[~labels], 1, metric=faiss.METRIC_INNER_PRODUCT)
    return np.minimum(cosine[:, 0], 1)


def _quantiles(name: str, values: NDArray[np.float32]) -> dict[str, float]:
    points = np.quantile(values, (0.1, 0.5, 0.9)) if len(values) else np.full(3, np.nan)
    return {f"{name}_{at}": float(point) for at, point in zip(("q10", "q50", "q90"), points, strict=True)}


def _mean_cosine(rows: NDArray[np.float32]) -> float:
    total = rows.sum(axis=0, dtype=np.float64)
    return float((total @ total - len(rows)) / (len(rows) * (len(rows) - 1)))


def _separability(rows: NDArray[np.float32], seed: int) -> tuple[float, float]:
    """Return the share of variance between k-means clusters, and their silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    clusters = KMeans(min(_CLUSTERS, len(rows) // 2), n_init=1, random_state=seed).fit(rows)
    total = float(((rows - rows.mean(axis=0)) ** 2).sum())
    if not total:
        return float("nan"), float("nan")
    sample = min(_SILHOUETTE_SAMPLE, len(rows))
    silhouette = silhouette_score(rows, clusters.labels_, sample_size=sample, random_state=seed)
    return 1 - float(clusters.inertia_) / total, float(silhouette)


def _noise_share(rows: NDArray[np.float32], seed: int) -> float:
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    flat = PCA(min(_NOISE_DIMENSIONS, *rows.shape), random_state=seed).fit_transform(rows)
    labels = HDBSCAN(min_cluster_size=_NOISE_CLUSTER_SIZE, n_jobs=1, copy=True).fit_predict(flat)
    return float((labels < 0).mean())
