"""The order in which a language model sees its training texts: balanced classes, little padding."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Batches that are sorted by length together: more save padding, fewer keep the order random.
_WINDOW = 8


def training_order(
    labels: Sequence[bool], lengths: Sequence[int], *, epochs: float, batch_size: int, positive_share: float, seed: int
) -> NDArray[np.int64]:
    """Return indices of texts, batch after batch, shape (batches, batch_size).

    An epoch holds every text of one class once and repeats those of the other until positives make up
    ``positive_share``; which texts are repeated once more than others is drawn anew each epoch. Batches hold texts of
    like length, which halves the padding; their order is random.

    :param labels: at least one of each class.
    :param lengths: tokens of each text.
    :param epochs: may be fractional; at least one batch is returned.
    """
    rng = np.random.default_rng(seed)
    truth = np.asarray(labels, dtype=bool)
    epoch = len(_balanced(truth, positive_share, np.random.default_rng(seed)))
    batches = max(1, round(epochs * epoch / batch_size))
    stream = [rng.permutation(_balanced(truth, positive_share, rng)) for _ in range(-(-batches * batch_size // epoch))]
    flat = np.concatenate(stream)[: batches * batch_size]
    tokens = np.asarray(lengths)
    ordered = np.empty((batches, batch_size), dtype=np.int64)
    for start in range(0, batches, _WINDOW):
        window = flat[start * batch_size : (start + _WINDOW) * batch_size]
        window = window[np.argsort(tokens[window], kind="stable")].reshape(-1, batch_size)
        ordered[start : start + len(window)] = rng.permutation(window)
    return ordered


def _balanced(truth: NDArray[np.bool_], positive_share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    positive, negative = np.flatnonzero(truth), np.flatnonzero(~truth)
    odds = positive_share / (1 - positive_share)
    wanted_positive = round(len(negative) * odds)
    if wanted_positive >= len(positive):
        return np.concatenate([_repeated(positive, wanted_positive, rng), negative])
    return np.concatenate([positive, _repeated(negative, max(len(negative), round(len(positive) / odds)), rng)])


def _repeated(indices: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    whole, rest = divmod(count, len(indices))
    return np.concatenate([np.tile(indices, whole), rng.permutation(indices)[:rest]])
