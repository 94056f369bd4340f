"""Labelled pools on which selections are compared: what every system is given, and what is known about the truth."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from al_assets.curation.checks import CurationError, check_at_least, check_item_ids, check_labels
from al_assets.curation.geometry.vectors import BLOCK_ROWS, Vectors
from al_assets.curation.strategies.base import check_scores
from benchmarks.pools.pool_measures import BAND, BAND_NEAR, nearest_items, positive_share_near
from benchmarks.pools.pool_model import (
    BOUNDARY,
    DIFFICULTIES,
    Topics,
    chances,
    draw_standing,
    draw_topics,
    draw_vectors,
    labeler_logits,
    matching_noise,
    matching_shift,
)

LABELER_AUC = 0.83
"""Area under the ROC curve of a weak first labeler, as a word list reaches."""
# Items of a story stand alike, so a mean over many items is less exact than their number says.
_SHIFT_SAMPLE, _NOISE_SAMPLE = 400_000, 50_000
_ITEMS_PER_REAL_TOPIC = 100
_LEAST_BAND = 3


@dataclass(frozen=True)
class BenchPool:
    """A pool with a labeler's scores, and what no labeler knows: the truth and where its boundary runs."""

    name: str
    item_ids: pl.Series
    """Strings, each of its own."""
    vectors: NDArray[Any]
    """Shape (items, dimensions), float16 or float32, rows of length one; may be a memory map."""
    scores: NDArray[np.float64]
    """Probability that the item is positive, by a simulated or real labeler; one half is the threshold."""
    positive: NDArray[np.bool_]
    """Pseudo-labels: the scores at or above the threshold that is matched to the prevalence."""
    truth: NDArray[np.bool_]
    """The true labels."""
    topic: NDArray[np.int32]
    """Topic of each item, numbered from 0."""
    band: NDArray[np.bool_]
    """Whether the item lies inside the true boundary band."""
    boundary_topics: int
    """How many topics have a boundary at all, that is band items."""


def make_pool(
    items: int,
    dim: int = 384,
    difficulty: str = "real",
    prevalence: float = 0.05,
    seed: int = 0,
    folder: Path | None = None,
    labeler_auc: float = LABELER_AUC,
) -> BenchPool:
    """Return a generated pool; the same arguments give the same pool.

    An item is in the **band** if its topic has a boundary and its true chance to be positive, given where it stands in
    the topic, is .25 to .75: items of both labels stand around it, and its own label cannot be told from its place.

    :param items: at least 100. The number of topics grows with its square root: 40 at 10,000, 400 at a million.
    :param difficulty: of ``DIFFICULTIES``; "real" is matched to MiniLM embeddings of short texts.
    :param prevalence: expected share of true positives, above 0 and at most .5.
    :param folder: where the vectors are written as a float16 ``.npy`` file and read as a memory map; None keeps them
        in memory, as float16 too.
    :param labeler_auc: area under the ROC curve of the scores against the truth, above .5; reached up to about .95.
    :raises CurationError: a parameter is out of range, or the difficulty is unknown.
    """
    check_at_least("items", items, 100)
    for field, value, low, high in (("prevalence", prevalence, 0.0, 0.5), ("labeler_auc", labeler_auc, 0.5, 1.0)):
        if not low < value <= high:
            raise CurationError(f"{field}: {value} is out of range; expected above {low:g}, at most {high:g}")
    if difficulty not in DIFFICULTIES:
        raise CurationError(f"difficulty: {difficulty!r} is unknown; choose from {', '.join(DIFFICULTIES)}")
    topics = draw_topics(DIFFICULTIES[difficulty], topic_count(items), dim, prevalence, seed)
    name = f"{difficulty}-{items}x{dim}-p{prevalence:g}-a{labeler_auc:g}-s{seed}"
    drawn = _draw_items(topics, items, prevalence, seed, labeler_auc, folder / f"{name}.npy" if folder else None)
    scores, positive = matched_scores(drawn.logits, prevalence)
    return BenchPool(
        name=name,
        item_ids=_item_ids(items),
        vectors=drawn.vectors,
        scores=scores,
        positive=positive,
        truth=drawn.truth,
        topic=drawn.topic,
        band=drawn.band,
        boundary_topics=len(np.unique(drawn.topic[drawn.band])),
    )


def real_pool(
    vectors: NDArray[Any],
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    chance: ArrayLike | None = None,
    item_ids: Sequence[str] | pl.Series | None = None,
    name: str = "real texts",
    prevalence: float | None = None,
    seed: int = 0,
) -> BenchPool:
    """Return a pool of real vectors with known true labels and a labeler's scores.

    **Topics** are k-means clusters of the vectors, one for every 100 items. An item is in the **band** if its chance to
    be positive is .25 to .75 and at least three items of its topic have such a chance: with twenty noisy labels a lone
    one is an accident. Without ``chance`` it is the share of true positives among the 20 nearest items: what somebody
    who knew all neighbours' labels could not settle.

    :param vectors: shape (items, dimensions), rows of length one; kept as they are if float16 or float32.
    :param scores: probabilities; only their order and their distance in logits from the threshold are used.
    :param chance: each item's chance to be positive, where it is known better, such as the share of its many raters
        who say so; shape (items,).
    :param prevalence: expected share of positives that the pseudo-labels are matched to; None takes the true share.
    :param seed: of the k-means.
    :raises CurationError: columns of different length, or values out of range.
    """
    checked = Vectors.of(vectors)
    labels = check_labels(truth, len(checked))
    given = np.asarray(scores, dtype=np.float64)
    check_scores(given, len(checked))
    near_certain = np.clip(given, 1e-9, 1 - 1e-9)
    expected = float(labels.mean()) if prevalence is None else prevalence
    matched, positive = matched_scores(np.log(near_certain) - np.log1p(-near_certain), expected)
    topic = _clusters(checked, seed)
    band = _real_band(_chances_near(checked, labels) if chance is None else np.asarray(chance, dtype=np.float64), topic)
    return BenchPool(
        name=name,
        item_ids=_item_ids(len(checked)) if item_ids is None else check_item_ids(item_ids),
        vectors=vectors if vectors.dtype in (np.float16, np.float32) else checked.take(slice(None)),
        scores=matched,
        positive=positive,
        truth=labels,
        topic=topic,
        band=band,
        boundary_topics=len(np.unique(topic[band])),
    )


def read_pool(path: Path) -> BenchPool:
    """Return a pool of real vectors from an ``.npz`` file of vectors, truth and scores, and item_ids if there are any.

    :raises CurationError: an array is missing.
    """
    with np.load(path) as arrays:
        missing = [name for name in ("vectors", "truth", "scores") if name not in arrays]
        if missing:
            raise CurationError(f"{path}: has no array {', '.join(missing)}; expected vectors, truth, scores")
        ids = arrays["item_ids"].astype(str).tolist() if "item_ids" in arrays else None
        truth = arrays["truth"].astype(np.bool_)
        return real_pool(arrays["vectors"], truth, arrays["scores"], item_ids=ids, name=path.stem)


def topic_count(items: int) -> int:
    """Return how many topics a generated pool has."""
    return max(round(40 * math.sqrt(items / 10_000)), 4)


def matched_scores(logits: NDArray[np.float64], prevalence: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores whose threshold, matched to the prevalence, is one half, and the pseudo-labels.

    Without that shift a system that takes the labeler for calibrated and looks around one half would be judged on the
    labeler's offset and not on what it picks.

    :param logits: the labeler's, shape (items,).
    :return: scores (items,) in [0, 1], in the logits' order; the pseudo-labels, score >= .5.
    """
    threshold = float(np.quantile(logits, 1 - prevalence, method="higher"))
    shifted = logits - threshold
    return np.asarray(1 / (1 + np.exp(-np.clip(shifted, -500, 500)))), shifted >= 0


@dataclass(frozen=True)
class _Drawn:
    vectors: NDArray[Any]
    topic: NDArray[np.int32]
    truth: NDArray[np.bool_]
    band: NDArray[np.bool_]
    logits: NDArray[np.float64]


def _draw_items(
    topics: Topics, items: int, prevalence: float, seed: int, labeler_auc: float, path: Path | None
) -> _Drawn:
    shift, noise = _matched(topics, prevalence, seed, labeler_auc)
    topic = np.empty(items, dtype=np.int32)
    truth, band = np.empty(items, dtype=np.bool_), np.empty(items, dtype=np.bool_)
    logits = np.empty(items)

    def draw_blocks() -> Iterator[NDArray[np.float16]]:
        for start in range(0, items, BLOCK_ROWS):
            place = slice(start, min(start + BLOCK_ROWS, items))
            generator = np.random.default_rng((seed, 2, start))
            standing = draw_standing(topics, place.stop - start, generator)
            chance = chances(topics, standing, shift)
            position = np.log(chance) - np.log1p(-chance)
            topic[place], truth[place] = standing.topic, position + standing.hidden > 0
            inside = (chance >= BAND[0]) & (chance <= BAND[1])
            band[place] = inside & (topics.kind[standing.topic] == BOUNDARY)
            logits[place] = labeler_logits(topics, standing, position, noise)
            yield draw_vectors(topics, standing, generator).astype(np.float16)

    vectors: NDArray[Any]
    if path is None:
        vectors = np.concatenate(list(draw_blocks()))
    else:
        _write_vectors(path, draw_blocks(), (items, len(topics.axis)))
        vectors = np.asanyarray(np.load(path, mmap_mode="r"))
    return _Drawn(vectors, topic, truth, band, logits)


def _write_vectors(path: Path, blocks: Iterable[NDArray[np.float16]], shape: tuple[int, int]) -> None:
    """Write rows as they come; the file appears when it is complete.

    They are written as a stream and not through a memory map, whose dirty pages would count as this process's memory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.writelines(block.tobytes() for block in blocks)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _matched(topics: Topics, prevalence: float, seed: int, labeler_auc: float) -> tuple[float, float]:
    """Return the shift of all boundaries and the labeler's noise, found on samples that are not of the pool."""
    generator = np.random.default_rng((seed, 1))
    shift = matching_shift(topics, draw_standing(topics, _SHIFT_SAMPLE, generator), prevalence)
    standing = draw_standing(topics, _NOISE_SAMPLE, generator)
    chance = chances(topics, standing, shift)
    position = np.log(chance) - np.log1p(-chance)
    return shift, matching_noise(topics, standing, position, position + standing.hidden > 0, labeler_auc)


def _item_ids(items: int) -> pl.Series:
    numbers = pl.Series("item_id", np.arange(items)).cast(pl.String).str.zfill(8)
    return ("item-" + numbers).alias("item_id")


def _chances_near(vectors: Vectors, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    _, near = nearest_items(vectors, np.arange(len(vectors)), BAND_NEAR)
    return positive_share_near(near, truth)


def _real_band(chance: NDArray[np.float64], topic: NDArray[np.int32]) -> NDArray[np.bool_]:
    if chance.shape != topic.shape:
        raise CurationError(f"chance: shape {chance.shape}; expected ({len(topic)},), one for each item")
    between = (chance >= BAND[0]) & (chance <= BAND[1])
    return np.asarray(between & (np.bincount(topic, weights=between)[topic] >= _LEAST_BAND))


def _clusters(vectors: Vectors, seed: int) -> NDArray[np.int32]:
    from sklearn.cluster import MiniBatchKMeans

    count = max(len(vectors) // _ITEMS_PER_REAL_TOPIC, 1)
    clusters = MiniBatchKMeans(count, n_init=1, random_state=seed).fit_predict(vectors.take(slice(None)))
    return np.asarray(clusters, dtype=np.int32)
