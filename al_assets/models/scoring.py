"""Labelling with a checkpoint per batch: what a model has once computed for a text is kept by the text's hash."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_assets.models.labelers.protocol import KeepsVotes, Labeler, LabelerError

NO_VOTE = -1.0


class ValueStore(Protocol):
    """Values by text hash, of one model; ``al_assets.storage.content_store.ContentStore`` is one."""

    def known(self, hashes: Collection[str]) -> set[str]:
        """Return those of the hashes that have a value."""
        ...

    def get(self, hashes: Sequence[str]) -> NDArray[Any]:
        """Return the values of the hashes, in order."""
        ...

    def add(self, hashes: Sequence[str], values: ArrayLike) -> None:
        """Keep one batch of values; durable when this returns."""
        ...


def score_texts(
    labeler: Labeler,
    texts_hashes: Sequence[str],
    texts: Sequence[str],
    store: ValueStore,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Return p_positive of each text, in order, labelling only texts whose score is not in the store.

    Stopped at any moment and called again, it repeats at most the batch it was at, and returns what an undisturbed
    call would have returned.

    Of a combination opened under a run root, the votes of its members are kept instead, each in a store of its own, and
    ``store`` is left alone: a change of method or weights asks no member again.

    :param texts_hashes: one for each text; equal hashes mean equal texts.
    :param progress: called with (texts done, texts in all), duplicates counted once, at the start and after each batch.
    :raises ValueError: not one hash for each text.
    :raises LabelerError: the labeler returned the wrong number of scores, or one outside [0, 1].
    """
    if isinstance(labeler, KeepsVotes) and labeler.keeps_votes:
        return labeler.score_kept(texts_hashes, texts, progress)

    def score(batch: Sequence[str]) -> NDArray[np.float64]:
        return checked_scores(labeler.score(batch), len(batch), labeler.fingerprint)

    return vote_texts(score, labeler.batch_size, texts_hashes, texts, store, progress)


def vote_texts(
    vote: Callable[[Sequence[str]], NDArray[np.float64]],
    batch_size: int,
    hashes: Sequence[str],
    texts: Sequence[str],
    store: ValueStore,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Return one labeler's vote on each text, NaN where it abstains, asking it only for votes not in the store.

    :param vote: maps a batch of texts to p_positive in [0, 1], or NaN; kept as -1, as a store holds finite numbers.
    :raises ValueError: not one hash for each text.
    """

    def kept(batch: Sequence[str]) -> NDArray[np.float64]:
        votes = vote(batch)
        return np.where(np.isnan(votes), NO_VOTE, votes)

    compute_missing(kept, batch_size, hashes, texts, store, progress)
    if not hashes:
        return np.empty(0, dtype=np.float64)
    votes = np.asarray(store.get(hashes), dtype=np.float64)
    return np.where(votes == NO_VOTE, np.nan, votes)


def compute_missing(
    compute: Callable[[Sequence[str]], ArrayLike],
    batch_size: int,
    hashes: Sequence[str],
    texts: Sequence[str],
    store: ValueStore,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Compute and keep the values of the texts that the store lacks, one batch at a time.

    Batches are cut from the de-duplicated texts in the order (length, hash), whether or not they are known already: a
    resumed call meets the same batches as the first, and bfloat16 sums, which depend on the batch, come out the same.

    :param compute: maps a batch of texts to one value or one vector each.
    :raises ValueError: not one hash for each text, or a batch size below 1.
    """
    if len(hashes) != len(texts):
        raise ValueError(f"texts_hashes: {len(hashes)} hashes for {len(texts)} texts; give one hash for each text")
    if batch_size < 1:
        raise ValueError(f"batch_size: {batch_size} texts a batch; must be 1 or more")
    unique = dict(zip(hashes, texts, strict=True))
    known = store.known(unique.keys())
    done = 0
    if progress:
        progress(0, len(unique))
    order = sorted(unique, key=lambda text_hash: (len(unique[text_hash]), text_hash))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        missing = [text_hash for text_hash in batch if text_hash not in known]
        if missing:
            store.add(missing, compute([unique[text_hash] for text_hash in missing]))
        done += len(batch)
        if progress:
            progress(done, len(unique))


def checked_scores(scores: ArrayLike, expected: int, fingerprint: str) -> NDArray[np.float64]:
    """Return the scores as float64.

    :raises LabelerError: there are not ``expected`` of them, or one is NaN or outside [0, 1].
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.shape != (expected,):
        raise LabelerError(f"labeler {fingerprint}: returned scores of shape {array.shape} for {expected} texts")
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        raise LabelerError(
            f"labeler {fingerprint}: {int(wrong.sum())} of {expected} scores are not in [0, 1], such as "
            f"{array[wrong][0]}; return p_positive, for a margin or logit its sigmoid"
        )
    return array
