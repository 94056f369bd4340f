"""The model behind generated pools: topics on low-dimensional surfaces in a narrow cone, some cut by a boundary.

Every item belongs to one topic. Its vector is the sum of the cone's axis, the topic's centre, a few directions of the
topic (where the item stands in it), and noise; all follow one falling spectrum, as embeddings do. In a topic with a
boundary a curved surface across those directions decides on how likely the item is positive; elsewhere nearly all items
have one label. A labeler knows more than the vector (it reads the text) and errs in part alike on like items.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

NEGATIVE, BOUNDARY, POSITIVE = 0, 1, 2
"""Kinds of topics."""


@dataclass(frozen=True)
class Difficulty:
    """How a pool is drawn. Lengths are relative to each other: vectors are scaled to length one at the end.

    :param cone: length of the axis that all vectors share.
    :param between: length of a topic's centre.
    :param within: length of where an item stands in its topic.
    :param noise: length of the noise.
    :param own_noise: spread (standard deviation of the logarithm) of an item's own factor on ``within`` and ``noise``.
    :param topic_noise: the same for a topic's factor: some are narrow, some wide.
    :param story: mean number of items that tell one story: near each other, as reports of one event are.
    :param closest: largest share of a story in its items; the shares are squares of uniform numbers times it.
    :param directions: directions of a topic.
    :param spectrum: fall of the spectrum: the j-th standard deviation is (1 + j / ``knee``) ** -``spectrum``.
    :param boundary_topics: share of topics with a boundary.
    :param signal: share of the variance within a topic in the direction that decides.
    :param common: how far that direction is the same in all topics, 0 (each its own) to 1; a linear model learns it.
    :param lean: length by which the centres of topics with positives lie off the others' in that common direction.
    :param steepness: of the way from negative to positive; the logit rises by so much per standard deviation.
    :param curvature: of the boundary.
    :param uneven: spread of the boundary's place from topic to topic, in standard deviations.
    :param stray: share of the positives that lie in negative topics, anywhere: what the vectors cannot tell.
    :param pure: share of the positives that lie in topics of their own.
    :param alike: share of the labeler's errors that like items have in common.
    :param reading: how much of what the vectors cannot tell the labeler sees, 0 to 1.
    """

    cone: float
    between: float
    within: float
    noise: float
    own_noise: float
    topic_noise: float
    story: float
    closest: float
    directions: int
    spectrum: float
    knee: float
    boundary_topics: float
    signal: float
    common: float
    lean: float
    steepness: float
    curvature: float
    uneven: float
    stray: float
    pure: float
    alike: float
    reading: float


@dataclass(frozen=True)
class Topics:
    """The topics of one pool, the largest first, and what holds for all of them."""

    difficulty: Difficulty
    share: Floats
    kind: NDArray[np.int8]
    axis: Singles
    """Shape (dimensions,)."""
    centre: Singles
    """Shape (topics, dimensions)."""
    basis: Singles
    """Shape (topics, directions, dimensions); the first direction decides, the second bends the boundary."""
    noise: Singles
    """Shape (dimensions, dimensions): what turns independent normal numbers into noise."""
    width: Singles
    """Each topic's factor on where its items stand and on their noise."""
    place: Floats
    """Where the boundary runs in each topic, in standard deviations."""
    base: Floats
    """Chance to be positive in a topic without a boundary, and what a boundary's sides are never beyond."""
    error: Floats
    """The labeler's error that all items of a topic share."""
    error_direction: Singles
    """Shape (topics, directions), rows of length one: along it the labeler's error changes within a topic."""

    def __len__(self) -> int:
        return len(self.share)


@dataclass(frozen=True)
class Standing:
    """Where some items stand: all about them but the vector. One row each."""

    topic: NDArray[np.int32]
    within: Singles
    """Shape (items, directions), standard normal."""
    story: NDArray[np.int64]
    """Story of each item, numbered from 0."""
    close: Singles
    """Share of its story in where the item stands and in its noise, 0 to 1."""
    height: Floats
    """Height over the boundary before it is put in its place; 0 in topics without one."""
    hidden: Floats
    """What the vectors cannot tell: standard logistic, added to the logit it decides the true label."""
    error: Floats
    """The labeler's error, of mean 0 and standard deviation about 1."""


def draw_topics(difficulty: Difficulty, count: int, dimensions: int, prevalence: float, seed: int) -> Topics:
    """Draw the topics of a pool.

    :param count: how many; their sizes fall by Zipf's law with exponent 0.8.
    """
    generator = np.random.default_rng((seed, 0))
    share = np.arange(1, count + 1, dtype=np.float64) ** -0.8
    share /= share.sum()
    kind = _kinds(difficulty, share, prevalence, generator)
    scale = (1 + np.arange(dimensions) / difficulty.knee) ** -difficulty.spectrum
    scale /= np.sqrt((scale**2).sum())
    turn = np.linalg.qr(generator.standard_normal((dimensions, dimensions)))[0]
    spread = scale[:, None] * turn
    common = generator.standard_normal(dimensions)
    common /= np.linalg.norm(common)
    basis = _bases(difficulty, spread, common, count, generator)
    centre = difficulty.between * generator.standard_normal((count, dimensions)) @ spread
    centre += difficulty.lean * np.outer(kind != NEGATIVE, common)
    direction = generator.standard_normal((count, difficulty.directions))
    return Topics(
        difficulty=difficulty,
        share=share,
        kind=kind,
        axis=(difficulty.cone * turn[-1]).astype(np.float32),
        centre=centre.astype(np.float32),
        basis=basis,
        noise=(difficulty.noise * spread).astype(np.float32),
        width=np.exp(difficulty.topic_noise * generator.standard_normal(count)).astype(np.float32),
        place=difficulty.uneven * generator.standard_normal(count),
        base=_base_chances(difficulty, share, kind, prevalence),
        error=generator.standard_normal(count),
        error_direction=(direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32),
    )


def draw_standing(topics: Topics, items: int, generator: np.random.Generator) -> Standing:
    """Draw where items stand, each in a topic drawn by size."""
    model = topics.difficulty
    stories = max(round(items / model.story), 1)
    weight = generator.exponential(size=stories)
    story = generator.choice(stories, items, p=weight / weight.sum())
    close = (model.closest * generator.random(items, dtype=np.float32) ** 2).astype(np.float32)
    topic = generator.choice(len(topics), stories, p=topics.share).astype(np.int32)[story]
    told = generator.standard_normal((stories, model.directions), dtype=np.float32)
    within = _blend(told[story], generator.standard_normal((items, model.directions), dtype=np.float32), close)
    bend = (within[:, 1].astype(np.float64) ** 2 - 1) / np.sqrt(2)
    height = np.where(topics.kind[topic] == BOUNDARY, within[:, 0] + model.curvature * bend, 0.0)
    alike = (topics.error[topic] + np.einsum("ij,ij->i", within, topics.error_direction[topic])) / np.sqrt(2)
    own = generator.standard_normal(items)
    error = np.sqrt(model.alike) * alike + np.sqrt(1 - model.alike) * own
    # Copies of one text have one label: the nearer an item is to its story, the likelier it has the story's.
    hidden = np.where(
        generator.random(items) < close, generator.logistic(size=stories)[story], generator.logistic(size=items)
    )
    return Standing(topic, within, story, close, height, hidden, error)


def draw_vectors(topics: Topics, standing: Standing, generator: np.random.Generator) -> Singles:
    """Return the vectors of items, float32 of length one, shape (items, dimensions)."""
    items, dimensions = len(standing.topic), len(topics.axis)
    told = generator.standard_normal((int(standing.story.max(initial=0)) + 1, dimensions), dtype=np.float32)
    own = generator.standard_normal((items, dimensions), dtype=np.float32)
    rows: Singles = _blend(told[standing.story], own, standing.close) @ topics.noise
    order = np.argsort(standing.topic, kind="stable")
    ends = np.searchsorted(standing.topic[order], np.arange(len(topics) + 1))
    for topic in np.flatnonzero(np.diff(ends)):
        members = order[ends[topic] : ends[topic + 1]]
        rows[members] += standing.within[members] @ topics.basis[topic]
    factor = np.exp(topics.difficulty.own_noise * generator.standard_normal(items, dtype=np.float32))
    rows *= (factor * topics.width[standing.topic])[:, None]
    rows += topics.axis
    rows += topics.centre[standing.topic]
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def chances(topics: Topics, standing: Standing, shift: float) -> Floats:
    """Return each item's true chance to be positive given where it stands.

    :param shift: added to the height over every boundary; :func:`matching_shift` finds the one for a prevalence.
    """
    height = standing.height - topics.place[standing.topic] + shift
    base = topics.base[standing.topic]
    slope = 1 / (1 + np.exp(-topics.difficulty.steepness * height))
    return np.where(topics.kind[standing.topic] == BOUNDARY, base + (1 - 2 * base) * slope, base)


def matching_shift(topics: Topics, standing: Standing, prevalence: float) -> float:
    """Return the shift with which a sample of items has a mean chance equal to the prevalence, as far as it can."""
    low, high = -12.0, 12.0
    for _ in range(36):
        middle = (low + high) / 2
        if chances(topics, standing, middle).mean() < prevalence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def labeler_logits(topics: Topics, standing: Standing, logits: Floats, noise: float) -> Floats:
    """Return what the labeler makes of items: what it reads plus ``noise`` times its error, in no particular unit."""
    return logits + topics.difficulty.reading * standing.hidden + noise * standing.error


def matching_noise(topics: Topics, standing: Standing, logits: Floats, truth: NDArray[np.bool_], auc: float) -> float:
    """Return the noise with which the labeler's area under the ROC curve on a sample is ``auc``, as far as it can."""
    from sklearn.metrics import roc_auc_score

    low, high = 0.0, 100.0
    for _ in range(20):
        middle = (low + high) / 2
        if roc_auc_score(truth, labeler_logits(topics, standing, logits, middle)) > auc:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _blend(told: Singles, own: Singles, close: Singles) -> Singles:
    """Return normal numbers that an item shares with its story by the square root of ``close``, of variance 1."""
    own *= np.sqrt(1 - close)[:, None]
    told *= np.sqrt(close)[:, None]
    own += told
    return own


def _kinds(
    difficulty: Difficulty, share: Floats, prevalence: float, generator: np.random.Generator
) -> NDArray[np.int8]:
    """Return the kind of each topic: boundaries among large and small topics alike, positive topics the smallest."""
    kind = np.full(len(share), NEGATIVE, dtype=np.int8)
    cut = max(round(difficulty.boundary_topics * len(share)), 1)
    # One from each stretch of the ranking, so the share of items with a boundary hardly depends on the seed.
    edges = np.linspace(len(share) // 4, len(share), cut + 1).astype(np.int64)
    kind[[generator.integers(low, high) for low, high in zip(edges[:-1], edges[1:], strict=True)]] = BOUNDARY
    small = np.flatnonzero(kind != BOUNDARY)[::-1]
    kind[small[np.cumsum(share[small]) <= difficulty.pure * prevalence]] = POSITIVE
    return kind


def _base_chances(difficulty: Difficulty, share: Floats, kind: NDArray[np.int8], prevalence: float) -> Floats:
    negative = float(share[kind == NEGATIVE].sum())
    stray = min(difficulty.stray * prevalence / max(negative, 1e-9), 0.5)
    return np.where(kind == POSITIVE, 1 - stray, stray)


def _bases(
    difficulty: Difficulty, spread: Floats, common: Floats, count: int, generator: np.random.Generator
) -> Singles:
    """Return each topic's directions, shape (topics, directions, dimensions), as long as they have variance."""
    directions = difficulty.directions
    basis = generator.standard_normal((count, directions, len(spread))) @ spread
    basis /= np.linalg.norm(basis, axis=2, keepdims=True)
    basis[:, 0] = difficulty.common * common + (1 - difficulty.common) * basis[:, 0]
    basis /= np.linalg.norm(basis, axis=2, keepdims=True)
    variance = np.full(directions, (1 - difficulty.signal) / max(directions - 1, 1))
    variance[0] = difficulty.signal
    basis *= difficulty.within * np.sqrt(variance)[:, None]
    return np.asarray(basis, dtype=np.float32)


# Found by hand and by random search, so that pools measure what ``real_figures`` says; docs/pools.md has the table.
_REAL = Difficulty(
    cone=0.23, between=0.35, within=0.38, noise=0.72, own_noise=0.33, topic_noise=0.22, story=4, closest=0.85,
    directions=4, spectrum=0.53, knee=12, boundary_topics=0.57, signal=0.031, common=0.95, lean=0.05, steepness=2.6,
    curvature=0.3, uneven=0.1, stray=0.16, pure=0.05, alike=0.5, reading=0.5,
)  # fmt: skip

DIFFICULTIES = {
    "real": _REAL,
    # Blobs that stand apart and labels that hardly err: what benchmarks often use, for comparison.
    "easy": replace(
        _REAL, between=1.0, noise=0.25, own_noise=0.1, topic_noise=0.0, within=0.5, signal=0.4, lean=0.0, common=0.3,
        boundary_topics=0.2, steepness=4.0, stray=0.02, alike=0.1,
    ),
}  # fmt: skip
"""``real``: like MiniLM embeddings of short texts. ``easy``: far easier than any real text."""
