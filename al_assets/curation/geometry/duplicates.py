"""Near-duplicates by their text: MinHash and banding propose candidates, exact Jaccard similarity decides."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError

if TYPE_CHECKING:
    from scipy.cluster.hierarchy import DisjointSet

SHINGLE = 5
_PERMUTATIONS = 128
_CHARACTERS_AT_ONCE = 2_000_000
_PAIRS_AT_ONCE = 100_000
# A pair exactly at the wanted similarity escapes all bands less often than this.
_MISS = 0.005
# Buckets up to this size are compared pair by pair; larger ones by chain and star, so that boilerplate stays linear.
_SMALL_BUCKET = 16
_WINDOW = 4
# An estimated similarity this many standard deviations too low is not worth a look at the shingles.
_DEVIATIONS = 4


def near_duplicates(texts: Sequence[str], similarity: float = 0.8, seed: int = 0) -> NDArray[np.int64]:
    """Return for each text the index of its group's first text; its own index if it has no earlier copy.

    Texts are compared without regard to case and runs of white space. Two are near-duplicates if the Jaccard similarity
    of their sets of character 5-grams is at least ``similarity``; groups are transitive. Texts shorter than five
    characters are compared by equality. Candidates come from MinHash with banding (Broder 1997; Leskovec, Rajaraman,
    Ullman, Mining of Massive Datasets, section 3.4), so a pair at the very threshold is missed with a probability of
    at most .5 %, a closer one far less; no pair below it is ever joined directly. Where many texts share a band, as
    boilerplate does, each is compared with its neighbours only, so that time grows with the pool and not its square.

    :param similarity: above 0, at most 1.
    :raises CurationError: similarity out of range.
    """
    if not 0 < similarity <= 1:
        raise CurationError(f"similarity: {similarity} is out of range; expected above 0, at most 1")
    first_of: dict[str, int] = {}
    equal = np.array(
        [first_of.setdefault(_normalise(text), number) for number, text in enumerate(texts)], dtype=np.int64
    )
    distinct = [(text, number) for text, number in first_of.items() if len(text) >= SHINGLE]
    representative = np.arange(len(texts), dtype=np.int64)
    if len(distinct) > 1:
        groups = _similar_texts([text for text, _ in distinct], similarity, seed)
        first_in: dict[int, int] = {}
        for place, (_, number) in enumerate(distinct):
            representative[number] = first_in.setdefault(groups[place], number)
    return representative[equal]


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split())


def _similar_texts(texts: list[str], similarity: float, seed: int) -> "DisjointSet":
    """Return the groups of similar texts, by their places."""
    from scipy.cluster.hierarchy import DisjointSet

    groups = DisjointSet(range(len(texts)))

    # Small, because a text may be 20,000 characters long; a missing set costs microseconds to build again.
    @lru_cache(maxsize=512)
    def shingles(place: int) -> frozenset[str]:
        text = texts[place]
        return frozenset(text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1))

    signatures = _signatures(texts, seed)
    slack = _DEVIATIONS * (similarity * (1 - similarity) / _PERMUTATIONS) ** 0.5
    least_equal = (similarity - slack) * _PERMUTATIONS - 1e-9
    for one, other in _candidates(signatures, _rows_per_band(similarity)):
        likely = _equal_columns(signatures, one, other) >= least_equal
        for left, right in zip(one[likely].tolist(), other[likely].tolist(), strict=True):
            # Two texts already in one group need no look at their shingles: the groups are transitive.
            if groups.connected(left, right):
                continue
            a, b = shingles(left), shingles(right)
            common = len(a & b)
            if common / (len(a) + len(b) - common) >= similarity:
                groups.merge(left, right)
    return groups


def _equal_columns(
    signatures: NDArray[np.uint32], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.int64]:
    parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(one), _PAIRS_AT_ONCE)]
    counts = [(signatures[one[part]] == signatures[other[part]]).sum(axis=1) for part in parts]
    return np.concatenate([np.zeros(0, dtype=np.int64), *counts])


def _rows_per_band(similarity: float) -> int:
    """Return the most rows a band may have and still let a pair at the threshold through (1 - s^r)^(128 // r)."""
    fitting = [rows for rows in range(1, 17) if (1 - similarity**rows) ** (_PERMUTATIONS // rows) <= _MISS]
    return max(fitting, default=1)


def _signatures(texts: list[str], seed: int) -> NDArray[np.uint32]:
    """Return MinHash signatures, shape (texts, 128): the smallest of each text's hashed shingles, 128 times."""
    rng = np.random.default_rng(seed)
    multipliers = rng.integers(0, 2**63, size=_PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    signatures = np.empty((len(texts), _PERMUTATIONS), dtype=np.uint32)
    parts = np.cumsum([len(text) for text in texts]) // _CHARACTERS_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(texts)]
    for start, end in pairwise(edges):
        hashes, starts = _hashed_shingles(texts[start:end])
        for column, multiplier in enumerate(multipliers):
            smallest = np.minimum.reduceat(hashes * multiplier, starts)
            signatures[start:end, column] = smallest >> np.uint64(32)
    return signatures


def _hashed_shingles(texts: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the 64-bit hashes of all texts' shingles one after the other, and where each text's begin."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    windows = len(points) - SHINGLE + 1
    rolling = np.zeros(windows, dtype=np.uint64)
    for offset in range(SHINGLE):
        rolling = rolling * np.uint64(0x9E3779B97F4A7C15) + points[offset : offset + windows]
    # A shingle that begins in the last four characters of a text would reach into the next one.
    end = np.repeat(np.cumsum(lengths), lengths)[:windows]
    inside = np.arange(windows) + SHINGLE <= end
    counts = lengths - SHINGLE + 1
    return _scramble(rolling[inside]), np.concatenate(([0], np.cumsum(counts)[:-1]))


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the splitmix64 finaliser of each value, so that the high bits depend on every character."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _candidates(signatures: NDArray[np.uint32], rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield for each band the pairs of texts that agree in all its rows."""
    bands = signatures.shape[1] // rows
    keys = [_band_key(signatures[:, band * rows : (band + 1) * rows]) for band in range(bands)]
    for band, key in enumerate(keys):
        # Within a bucket the next band's key decides the order, so that the closest texts stand beside each other.
        order = np.lexsort((keys[(band + 1) % bands], key))
        edges = np.flatnonzero(np.diff(key[order])) + 1
        starts = np.concatenate(([0], edges))
        sizes = np.diff(np.concatenate((starts, [len(order)])))
        yield _pairs_in_buckets(order, starts, sizes)


def _band_key(rows: NDArray[np.uint32]) -> NDArray[np.uint64]:
    key = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        key = _scramble(key + column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return key


def _pairs_in_buckets(
    order: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = np.arange(len(order))
    start = np.repeat(starts, sizes)
    left_in_bucket = np.repeat(starts + sizes, sizes) - places
    reach = np.where(np.repeat(sizes, sizes) <= _SMALL_BUCKET, _SMALL_BUCKET, _WINDOW)
    ones, others = [], []
    for step in range(1, _SMALL_BUCKET):
        near = np.flatnonzero((left_in_bucket > step) & (reach >= step))
        ones.append(order[near])
        others.append(order[near + step])
    far = np.flatnonzero((places - start > _WINDOW) & (reach == _WINDOW))
    ones.append(order[start[far]])
    others.append(order[far])
    return np.concatenate(ones), np.concatenate(others)
