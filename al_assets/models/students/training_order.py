"""In what order a training sees its texts: batches of like length, the rarer answer repeated."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Batches that are sorted by length together: more save padding, fewer keep the order random.
_WINDOW = 8


def training_order(
    labels: Sequence[float], lengths: Sequence[int], *, epochs: float, batch_size: int, minority_share: float, seed: int
) -> NDArray[np.int64]:
    """Return indices of texts, batch after batch, shape (batches, batch_size).

    An epoch holds every text at least once. Those that lean to the rarer answer are repeated until they make up
    ``minority_share`` of those that lean to either, if they do not by themselves; which texts are repeated once more
    than others is drawn anew each epoch. Batches hold texts of like length, which halves the padding; their order is
    random.

    :param labels: shares of yes; at least one above and one below a half. A tie leans to neither.
    :param lengths: tokens of each text.
    :param epochs: may be fractional; at least one batch is returned.
    """
    rng = np.random.default_rng(seed)
    shares = np.asarray(labels, dtype=np.float64)
    epoch = len(_balanced(shares, minority_share, np.random.default_rng(seed)))
    batches = max(1, round(epochs * epoch / batch_size))
    stream = [rng.permutation(_balanced(shares, minority_share, rng)) for _ in range(-(-batches * batch_size // epoch))]
    flat = np.concatenate(stream)[: batches * batch_size]
    tokens = np.asarray(lengths)
    ordered = np.empty((batches, batch_size), dtype=np.int64)
    for start in range(0, batches, _WINDOW):
        window = flat[start * batch_size : (start + _WINDOW) * batch_size]
        window = window[np.argsort(tokens[window], kind="stable")].reshape(-1, batch_size)
        ordered[start : start + len(window)] = rng.permutation(window)
    return ordered


def _balanced(shares: NDArray[np.float64], minority_share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    rarer, other = sorted((np.flatnonzero(shares > 0.5), np.flatnonzero(shares < 0.5)), key=len)
    wanted = round(len(other) * minority_share / (1 - minority_share))
    return np.concatenate([_repeated(rarer, max(wanted, len(rarer)), rng), other, np.flatnonzero(shares == 0.5)])


def _repeated(indices: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    whole, rest = divmod(count, len(indices))
    return np.concatenate([np.tile(indices, whole), rng.permutation(indices)[:rest]])
