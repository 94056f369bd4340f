"""Nearest neighbours by cosine: exact for small pools; for large ones through lists of like rows.

Queries that look into the same list are multiplied with it at once, so that nearly all time is spent in matrix
products, and a list is brought into memory only while it is looked into: no copy of the vectors is kept as an index.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.runner import THREADS, Runner
from al_assets.curation.vectors import Vectors

EXACT_BELOW = 10_000
PROBES = 12
"""Lists looked into for each query, unless told otherwise."""

_PRODUCT = 4_000_000
"""Cosines in memory at a time, in each part."""
_QUERIES = 100_000
_CENTROID_ROWS = 64
_NOTHING = np.float32(-np.inf)
_TIE = 1e-16


@dataclass(frozen=True)
class Found:
    """Each query's nearest rows, nearest first.

    :param cosine: shape (queries, count); minus infinity where fewer were found.
    :param rows: row numbers, shape (queries, count); -1 where fewer were found.
    """

    cosine: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Rows of a pool in lists of like rows; with one list every search is exact.

    :param rows: row numbers, list by list, shape (rows,).
    :param list_of: the list of each of them, rising, shape (rows,).
    :param centroids: of length one, shape (lists, dimensions).
    """

    rows: NDArray[np.int64]
    list_of: NDArray[np.int64]
    centroids: NDArray[np.float32]

    @classmethod
    def of(
        cls, vectors: Vectors, rows: NDArray[np.int64], groups: NDArray[np.int64], *, exact_below: int = EXACT_BELOW
    ) -> "Lists":
        """Return the lists of those rows.

        :param groups: for each of the rows the group of like rows it belongs to; used from ``exact_below`` rows on.
        """
        if len(rows) < exact_below:
            return cls(rows, np.zeros(len(rows), dtype=np.int64), np.zeros((1, vectors.dimensions), dtype=np.float32))
        _, group = np.unique(groups, return_inverse=True)
        order = np.argsort(group, kind="stable")
        return cls(rows[order], group[order], _centroids(vectors, rows[order], group[order]))


def nearest_neighbours(
    vectors: Vectors,
    lists: Lists,
    queries: NDArray[np.int64],
    count: int,
    *,
    probes: int = PROBES,
    runner: Runner = THREADS,
) -> Found:
    """Return each query's nearest rows of the lists.

    :param queries: row numbers of the items that ask, shape (queries,); a row may find itself.
    :param count: how many neighbours; fewer come back where the lists hold fewer.
    :param probes: lists looked into for each query, those of the nearest centroids.
    """
    count = min(count, len(lists.rows))
    found = _nothing(len(queries), count)
    for start in range(0, len(queries) if count else 0, _QUERIES):
        place = slice(start, start + _QUERIES)
        asking = vectors.take(queries[place])
        chosen = _nearest_lists(asking, lists.centroids, min(probes, len(lists.centroids)), runner)
        lengths = np.bincount(chosen.ravel(), minlength=len(lists.centroids)).astype(np.float64)
        parts = runner.divide(np.arange(len(lists.rows)), lengths[lists.list_of] + 1)
        own = Found(found.cosine[place], found.rows[place])
        for who, part in runner.map(_probe, parts, vectors, lists, asking, chosen, count):
            _merge(own, who, part)
    return found


def without_self(found: NDArray[np.int64], own: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return each query's first ``count`` neighbours other than itself, from a search for ``count + 1``.

    Equal vectors may push the query itself out of its own neighbours; then the last one is dropped.

    :param found: row numbers, shape (queries, up to count + 1).
    :param own: each query's own row number, shape (queries,).
    """
    itself = found == own[:, None]
    order = np.argsort(itself, axis=1, kind="stable")
    kept = np.take_along_axis(np.where(itself, -1, found), order, axis=1)
    return kept[:, :count]


def nearest_of_both(one: Found, other: Found, count: int) -> Found:
    """Return each query's nearest rows among those of two searches over different rows."""
    cosine = np.concatenate((one.cosine, other.cosine), axis=1)
    rows = np.concatenate((one.rows, other.rows), axis=1)
    # Equal cosines come in the order of the rows, whoever found them first; float32 leaves room for that below its
    # last digit up to 100 million rows.
    order = np.argsort(rows * _TIE - cosine, axis=1)[:, :count]
    return Found(np.take_along_axis(cosine, order, axis=1), np.take_along_axis(rows, order, axis=1))


def _centroids(vectors: Vectors, rows: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return each list's mean direction, from at most 64 of its rows, evenly spaced."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(np.append(starts, len(rows)))
    counts = np.minimum(sizes, _CENTROID_ROWS)
    step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    picked = np.repeat(starts, counts) + step * np.repeat(sizes, counts) // np.repeat(counts, counts)
    sums = np.add.reduceat(vectors.take(rows[picked]), np.cumsum(counts) - counts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, 1e-12), dtype=np.float32)


def _nearest_lists(
    asking: NDArray[np.float32], centroids: NDArray[np.float32], probes: int, runner: Runner
) -> NDArray[np.int64]:
    """Return the lists each query looks into, nearest first, shape (queries, probes)."""
    if len(centroids) == probes:
        return np.broadcast_to(np.arange(probes), (len(asking), probes))
    size = max(1, _PRODUCT // len(centroids))
    parts = [slice(start, start + size) for start in range(0, len(asking), size)]
    return np.concatenate(list(runner.map(_largest_columns, parts, asking, centroids, probes)))


def _largest_columns(
    part: slice, asking: NDArray[np.float32], centroids: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    cosine = asking[part] @ centroids.T
    own = np.arange(len(cosine))
    columns = np.empty((len(cosine), count), dtype=np.int64)
    # numpy finds one largest column six times faster than it sorts out the first few.
    for place in range(count):
        columns[:, place] = cosine.argmax(axis=1)
        cosine[own, columns[:, place]] = _NOTHING
    return columns


def _probe(
    part: NDArray[np.int64],
    vectors: Vectors,
    lists: Lists,
    asking: NDArray[np.float32],
    chosen: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], Found]:
    """Return which queries look into the lists of this part, and their nearest rows of it."""
    present, starts = np.unique(lists.list_of[part], return_index=True)
    rows, members = lists.rows[part], vectors.take(lists.rows[part])
    who, queries = _queries_by_list(chosen, present)
    found = _nothing(len(who), count)
    hits: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]] = []
    # The nearest list of the part first: what it holds sets the bar for the others, which few of their rows pass.
    for nearest in (True, False):
        for start, stop, asks in zip(starts, np.append(starts[1:], len(part)), queries[nearest], strict=True):
            size = max(1, _PRODUCT // (stop - start))
            for piece in range(0, len(asks), size):
                some = asks[piece : piece + size]
                cosine = asking[who[some]] @ members[start:stop].T
                if nearest:
                    _write_largest(found, some, cosine, rows[start:stop])
                else:
                    query, column = np.nonzero(cosine > found.cosine[some, -1:])
                    hits.append((some[query], cosine[query, column], rows[start:stop][column]))
    _add_hits(found, hits)
    return who, found


def _queries_by_list(
    chosen: NDArray[np.int64], present: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[bool, list[NDArray[np.int64]]]]:
    """Return the queries that look into any of these lists, and for each list who does: as its nearest, or not.

    :param chosen: lists of each query, nearest first, shape (queries, probes).
    :param present: the lists, rising.
    :return: the queries' numbers; for True and False one array a list, of places in the first.
    """
    looks = np.isin(chosen, present)
    who = np.flatnonzero(looks.any(axis=1))
    place, probe = np.nonzero(looks[who])
    wanted = np.searchsorted(present, chosen[who[place], probe])
    first = np.diff(place, prepend=-1) != 0
    by_list = {}
    for nearest in (True, False):
        own = np.flatnonzero(first == nearest)
        own = own[np.argsort(wanted[own], kind="stable")]
        edges = np.searchsorted(wanted[own], np.arange(1, len(present)))
        by_list[nearest] = np.split(place[own], edges)
    return who, by_list


def _write_largest(found: Found, who: NDArray[np.int64], cosine: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Write each query's nearest rows, nearest first; ``cosine``, of shape (who, rows), is used up."""
    place = np.arange(len(who))
    # numpy finds one largest column six times faster than it sorts out the first few.
    for column in range(min(found.rows.shape[1], len(rows))):
        best = cosine.argmax(axis=1)
        found.cosine[who, column] = cosine[place, best]
        found.rows[who, column] = rows[best]
        cosine[place, best] = _NOTHING


def _add_hits(found: Found, hits: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]) -> None:
    """Let what was found beyond the first lists take the places of farther rows."""
    if not hits:
        return
    who, cosine, rows = (np.concatenate(column) for column in zip(*hits, strict=True))
    order = np.lexsort((rows, -cosine, who))
    who, cosine, rows = who[order], cosine[order], rows[order]
    asked, first = np.unique(who, return_index=True)
    place = np.arange(len(who)) - np.repeat(first, np.diff(np.append(first, len(who))))
    kept = place < found.rows.shape[1]
    more = _nothing(len(asked), found.rows.shape[1])
    row = np.searchsorted(asked, who[kept])
    more.cosine[row, place[kept]], more.rows[row, place[kept]] = cosine[kept], rows[kept]
    _merge(found, asked, more)


def _nothing(queries: int, count: int) -> Found:
    return Found(np.full((queries, count), _NOTHING, dtype=np.float32), np.full((queries, count), -1, dtype=np.int64))


def _merge(into: Found, who: NDArray[np.int64], part: Found) -> None:
    """Write the nearest of what is there and what a part found into the first, in place."""
    merged = nearest_of_both(Found(into.cosine[who], into.rows[who]), part, into.rows.shape[1])
    into.cosine[who], into.rows[who] = merged.cosine, merged.rows
