"""Cheap synthetic short texts with planted near-copies, to time and check the folding of near-duplicates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import check_at_least, check_share

SHORTEST, LONGEST = 60, 100
"""Characters of an original; a copy may be two longer."""
_VOCABULARY = 20_000
_WORDS = 20
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_TEXTS_AT_ONCE = 50_000


@dataclass(frozen=True)
class PlantedTexts:
    """Texts, and which of them are copies of each other."""

    texts: list[str]
    group: NDArray[np.int64]
    """For each text the index of the first text of its group, its own if it has no copy before it."""


def make_texts(items: int, seed: int = 0, duplicate_share: float = 0.05) -> list[str]:
    """Return the texts of :func:`planted_texts` alone."""
    return planted_texts(items, seed, duplicate_share).texts


def planted_texts(items: int, seed: int = 0, duplicate_share: float = 0.05) -> PlantedTexts:
    """Return texts of words by Zipf's law, some of them near-copies of another (about 5 CPU-s for a million).

    A copy differs from its original in one character, in its case, or in a mark at its end, so that the Jaccard
    similarity of their 5-grams is at least .8; texts that are not copies are far from that.

    :param duplicate_share: copies among the texts, 0 to 1, rounded down; an original may have several.
    """
    check_at_least("items", items, 0)
    check_share("duplicate_share", duplicate_share)
    generator = np.random.default_rng(seed)
    copies = min(int(items * duplicate_share), max(items - 1, 0))
    texts = _originals(items - copies, generator)
    source = generator.integers(0, max(items - copies, 1), copies)
    kinds, places = generator.integers(0, 3, copies), generator.integers(0, SHORTEST - 5, copies)
    texts += [
        _near_copy(texts[of], kind, place)
        for of, kind, place in zip(source.tolist(), kinds.tolist(), places.tolist(), strict=True)
    ]
    order = generator.permutation(items)
    origin = np.concatenate([np.arange(items - copies), source])[order]
    _, first, member = np.unique(origin, return_index=True, return_inverse=True)
    return PlantedTexts([texts[place] for place in order.tolist()], first[member].astype(np.int64))


def _originals(count: int, generator: np.random.Generator) -> list[str]:
    words = _vocabulary(generator)
    weight = np.cumsum(1 / np.arange(1, _VOCABULARY + 1))
    texts: list[str] = []
    for start in range(0, count, _TEXTS_AT_ONCE):
        size = min(_TEXTS_AT_ONCE, count - start)
        drawn = np.searchsorted(weight, generator.random((size, _WORDS)) * weight[-1])
        # One more than the shortest: the cut may leave a space at the end, which goes.
        lengths = generator.integers(SHORTEST + 1, LONGEST + 1, size).tolist()
        texts += [
            " ".join([words[word] for word in row])[:length].rstrip()
            for row, length in zip(drawn.tolist(), lengths, strict=True)
        ]
    return texts


def _vocabulary(generator: np.random.Generator) -> list[str]:
    letters = generator.integers(0, len(_ALPHABET), (_VOCABULARY, 9))
    lengths = generator.integers(4, 10, _VOCABULARY)
    return [
        "".join(_ALPHABET[letter] for letter in row[:length])
        for row, length in zip(letters.tolist(), lengths.tolist(), strict=True)
    ]


def _near_copy(text: str, kind: int, place: int) -> str:
    if kind == 0:
        return f"{text[:place]}*{text[place + 1 :]}"
    return text.upper() if kind == 1 else f"{text} !"
