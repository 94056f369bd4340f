"""Regions: places of the pool, of a size that a person can look at, in a space that knows the policy.

One clustering serves both labels: they overlap where a region holds both. Clustering each label on its own tells no
more about where LLM-0 errs, and density clusters tell far less (docs/regions.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.curation.checks import check_at_least, check_share
from al_assets.curation.geometry.cells import assign_cells
from al_assets.curation.geometry.vectors import Vectors, cosines
from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.settings import DEFAULTS, ClusterSettings

MIN_ITEMS = 25
"""There are no more regions than leave so many items to each, on average."""
TYPICAL = 3
_WORDS = 3
_SURE = 1e-3


@dataclass(frozen=True)
class Regions:
    """What decides in which region an item lies: the one whose linear function of its vector is largest.

    That is the nearest centre of k-means in the reduced space: |u - m|^2 is least where 2 m.u - |m|^2 is largest, and u
    is linear in the vector.

    :param directions: shape (regions, dimensions of the vectors).
    :param offsets: shape (regions,).
    """

    directions: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @classmethod
    def whole(cls, dimensions: int) -> "Regions":
        """Return the one region that is all of the pool."""
        return cls(np.zeros((1, dimensions), np.float32), np.zeros(1, np.float32))

    @classmethod
    def of(cls, table: pl.DataFrame) -> "Regions":
        """Return them as kept in the table ``regions``."""
        directions = np.array(table["direction"].to_list(), dtype=np.float32)
        return cls(directions, table["offset"].to_numpy().astype(np.float32))

    def __len__(self) -> int:
        return len(self.offsets)

    def find(
        self, vectors: Vectors, rows: NDArray[np.int64] | None = None, runner: Runner = THREADS
    ) -> NDArray[np.int32]:
        """Return the region of each of the rows, shape (rows,)."""
        rows = np.arange(len(vectors)) if rows is None else rows
        if len(self) == 1:
            return np.zeros(len(rows), np.int32)
        return assign_cells(vectors, rows, self.directions, runner, self.offsets)[0]

    def depth(self, vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return by how much each row's region is nearer than the next, shape (rows,); 0 where there is only one."""
        from threadpoolctl import threadpool_limits

        if len(self) == 1:
            return np.zeros(len(rows), np.float32)
        # Sums of one thread are the same on any machine.
        with threadpool_limits(1):
            nearness = cosines(vectors.take(rows), self.directions) + self.offsets
        two = np.partition(nearness, -2, axis=1)[:, -2:]
        return np.asarray(two[:, 1] - two[:, 0])


def fit_regions(
    vectors: Vectors, scores: NDArray[np.float64], settings: ClusterSettings = DEFAULTS.clusters, seed: int = 0
) -> Regions:
    """Return the regions of a pool, the largest first: k-means (scikit-learn) on a seeded sample of it.

    The space is the leading principal components of the vectors and, as one more axis, what the vectors know of the
    policy: the log-odds that LLM-0 gives an item, as ridge regression on the vectors tells them. Where all scores are
    the same there is no such axis.

    :param vectors: shape (items, dimensions), rows of length one.
    :param scores: LLM-0's probability of positive, shape (items,); items without one (NaN) count in all but that axis.
    :raises CurationError: a setting is out of range.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    check_at_least("dimensions", settings.dimensions, 1)
    check_at_least("sample", settings.sample, 1)
    check_share("policy_share", settings.policy_share, below_one=True)
    sample = region_sample(len(vectors), settings, seed)
    wanted = min(settings.regions or 1, len(sample) // MIN_ITEMS)
    if wanted < 2:
        return Regions.whole(vectors.dimensions)
    # Sums of one thread are the same on any machine.
    with threadpool_limits(1):
        rows = vectors.take(sample)
        mean, axes = rows.mean(axis=0), principal_axes(rows, settings.dimensions)
        centred = rows - mean
        policy = _policy_axis(centred, scores[sample])
        if policy is not None:
            spread = settings.policy_share / (1 - settings.policy_share) * (centred @ axes).var(axis=0).sum()
            axes = np.column_stack([axes, policy * np.sqrt(spread) / (centred @ policy).std()]).astype(np.float32)
        # Rounded, or the last bits of equal vectors would be clustered.
        reduced = np.round(centred @ axes, 5)
        wanted = min(wanted, len(np.unique(reduced, axis=0)))
        if wanted < 2:
            return Regions.whole(vectors.dimensions)
        model = KMeans(wanted, n_init=4, random_state=seed).fit(reduced)
    sizes = np.bincount(model.labels_, minlength=wanted)
    centres = model.cluster_centers_[np.argsort(-sizes, kind="stable")]
    directions = 2 * centres @ axes.T
    offsets = -(centres**2).sum(axis=1) - directions @ mean
    return Regions(directions.astype(np.float32), offsets.astype(np.float32))


def region_sample(items: int, settings: ClusterSettings, seed: int) -> NDArray[np.int64]:
    """Return the rows that regions are fitted on and named after: all, or a seeded sample of a large pool."""
    if items <= settings.sample:
        return np.arange(items)
    return np.sort(np.random.default_rng((seed, 7)).choice(items, settings.sample, replace=False))


def describe_regions(
    regions: Regions, ids: pl.Series, texts: Sequence[str], vectors: Vectors, sample: NDArray[np.int64]
) -> pl.DataFrame:
    """Return the columns of the table ``regions``: number, name, typical items, and what decides who lies there.

    :param ids: of all items, as ``vectors``; ``texts``: of the sample's, in its order.
    """
    found, depth = regions.find(vectors, sample), regions.depth(vectors, sample)
    names = region_names(texts, found, len(regions))
    members = [np.flatnonzero(found == region) for region in range(len(regions))]
    typical = [sample[rows[np.argsort(-depth[rows], kind="stable")[:TYPICAL]]] for rows in members]
    return pl.DataFrame(
        {
            "region": np.arange(len(regions), dtype=np.int32),
            "name": names,
            "typical_items": [ids.gather(rows).to_list() for rows in typical],
            "direction": regions.directions.tolist(),
            "offset": regions.offsets.astype(np.float64),
        }
    )


def region_names(texts: Sequence[str], region: NDArray[np.int32], regions: int) -> list[str]:
    """Return each region's number with the words that it has more of than others, such as ``7: liar, hate, stupid``.

    Words are weighted by class-based TF-IDF (Grootendorst 2022, arXiv 2203.05794): share of the region's words times
    log(1 + mean words of a region / occurrences in all). Words in more than a tenth of the texts, in fewer than three,
    or of fewer than three letters, name nothing.
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=r"(?u)\b[^\W\d_]{3,}\b", min_df=3, max_df=max(0.1, 3 / len(texts)))
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:
        # No word is left.
        return [str(number) for number in range(regions)]
    member = csr_array((np.ones(len(texts)), (region, np.arange(len(texts)))), shape=(regions, len(texts)))
    within = np.asarray((member @ counts).todense())
    words, total = within.sum(axis=1, keepdims=True), within.sum(axis=0)
    weight = within / np.maximum(words, 1) * np.log1p(words.mean() / total)
    known = vectorizer.get_feature_names_out()
    names = []
    for number, row in enumerate(weight):
        best = [known[place] for place in np.argsort(-row, kind="stable")[:_WORDS] if row[place] > 0]
        names.append(f"{number}: {', '.join(best)}" if best else str(number))
    return names


def principal_axes(rows: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the leading principal axes as columns, shape (width of the rows, at most ``dimensions``).

    Each axis's sign is chosen so that its largest loading is positive: the same input gives the same output.
    """
    from threadpoolctl import threadpool_limits

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


def _policy_axis(centred: NDArray[np.float32], scores: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Return the weights by which vectors tell LLM-0's log-odds, shape (dimensions,); None if all are the same."""
    from scipy.special import logit
    from sklearn.linear_model import Ridge

    known = np.isfinite(scores)
    odds = logit(np.clip(scores[known], _SURE, 1 - _SURE))
    if not len(odds) or np.ptp(odds) == 0:
        return None
    weights: NDArray[np.float32] = Ridge(alpha=1.0).fit(centred[known], odds).coef_.astype(np.float32)
    return weights if (centred @ weights).std() > 0 else None
