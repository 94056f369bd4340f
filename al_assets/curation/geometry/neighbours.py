"""Nearest neighbours by cosine: exact for small pools; for large ones through lists of like rows.

Queries that look into the same list are multiplied with it at once, so that nearly all time is spent in matrix
products, and a list is brought into memory only while it is looked into: no copy of the vectors is kept as an index.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors, cosines
from al_assets.curation.runner import THREADS, Runner

PROBES = 48
"""Lists looked into for each query, unless told otherwise."""

_PRODUCT = 4_000_000
"""Cosines in memory at a time, in each part."""
_QUERIES = 100_000
_CENTROID_ROWS = 64
_Hits = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]
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
    """Rows of a pool in lists of like rows; in one list every search is exact.

    :param rows: row numbers, list by list, shape (rows,).
    :param list_of: the list of each of them, rising, shape (rows,).
    :param centroids: of length one, shape (lists, dimensions).
    """

    rows: NDArray[np.int64]
    list_of: NDArray[np.int64]
    centroids: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: Vectors, rows: NDArray[np.int64], groups: NDArray[np.integer[Any]]) -> "Lists":
        """Return the lists of those rows.

        :param groups: for each of the rows the group of like rows it belongs to.
        """
        _, group = np.unique(groups, return_inverse=True)
        order = np.argsort(group, kind="stable")
        return cls(rows[order], group[order], _centroids(vectors, rows[order], group[order]))

    def in_one(self) -> "Lists":
        """Return the same rows in one list."""
        return Lists(self.rows, np.zeros_like(self.list_of), np.zeros_like(self.centroids[:1]))

    def among(self, allowed: NDArray[np.bool_]) -> "Lists":
        """Return the lists without some rows.

        :param allowed: which rows of the pool stay, shape (items,).
        """
        kept = allowed[self.rows]
        return Lists(self.rows[kept], self.list_of[kept], self.centroids)


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
        own = Found(found.cosine[place], found.rows[place])
        # The nearest list first: what it holds sets the bar for the others, which few of their rows pass.
        for first, looked_into in ((True, chosen[:, :1]), (False, chosen[:, 1:])):
            if looked_into.size:
                # A copy: merging moves the bar while others still look at it.
                bar = None if first else own.cosine[:, -1].copy()
                lengths = np.bincount(looked_into.ravel(), minlength=len(lists.centroids)).astype(np.float64)
                parts = runner.divide(np.arange(len(lists.rows)), lengths[lists.list_of] + 1, lists.rows)
                for who, part in runner.map(_probe, parts, vectors, lists, asking, looked_into, count, bar):
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
    cosine = cosines(asking[part], centroids)
    largest = _nothing(len(cosine), count)
    _write_largest(largest, np.arange(len(cosine)), cosine, np.arange(len(centroids)))
    return largest.rows


def _probe(
    part: NDArray[np.int64],
    vectors: Vectors,
    lists: Lists,
    asking: NDArray[np.float32],
    chosen: NDArray[np.int64],
    count: int,
    bar: NDArray[np.float32] | None,
) -> tuple[NDArray[np.int64], Found]:
    """Return which queries look into the lists of this part, and their nearest rows of it.

    :param part: places in the lists, list by list.
    :param chosen: the lists that each query looks into, shape (queries, any); one alone where there is no bar.
    :param bar: cosines that a row has to pass, shape (queries,).
    """
    present, starts = np.unique(lists.list_of[part], return_index=True)
    rows, members = lists.rows[part], vectors.take(lists.rows[part])
    who, queries = _queries_by_list(chosen, present)
    found = _nothing(len(who), count)
    hits: list[_Hits] = []
    for start, stop, asks in zip(starts, np.append(starts[1:], len(part)), queries, strict=True):
        size = max(1, _PRODUCT // (stop - start))
        for piece in range(0, len(asks), size):
            some = asks[piece : piece + size]
            cosine = cosines(asking[who[some]], members[start:stop])
            if bar is None:
                _write_largest(found, some, cosine, rows[start:stop])
            else:
                hits.append(_above(bar[who[some]], some, cosine, rows[start:stop]))
    _add_hits(found, hits)
    return who, found


def _queries_by_list(
    chosen: NDArray[np.int64], present: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the queries that look into any of these lists, and for each list who does, as places in the first.

    :param present: the lists, rising.
    """
    looks = np.isin(chosen, present)
    who = np.flatnonzero(looks.any(axis=1))
    place, probe = np.nonzero(looks[who])
    wanted = np.searchsorted(present, chosen[who[place], probe])
    order = np.argsort(wanted, kind="stable")
    return who, np.split(place[order], np.searchsorted(wanted[order], np.arange(1, len(present))))


def _above(
    bar: NDArray[np.float32], who: NDArray[np.int64], cosine: NDArray[np.float32], rows: NDArray[np.int64]
) -> _Hits:
    """Return queries, cosines and rows of all entries above the queries' bars."""
    # Ten times faster than to ask for rows and columns at once.
    places = np.flatnonzero(cosine > bar[:, None])
    query, column = np.divmod(places, len(rows))
    return who[query], cosine.ravel()[places], rows[column]


def _write_largest(found: Found, who: NDArray[np.int64], cosine: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Write each query's nearest rows, nearest first; ``cosine``, of shape (who, rows), is used up."""
    place = np.arange(len(who))
    # numpy finds one largest column six times faster than it sorts out the first few.
    for column in range(min(found.rows.shape[1], len(rows))):
        best = cosine.argmax(axis=1)
        found.cosine[who, column] = cosine[place, best]
        found.rows[who, column] = rows[best]
        cosine[place, best] = _NOTHING


def _add_hits(found: Found, hits: list[_Hits]) -> None:
    """Let rows above the bar take the places of farther ones."""
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
