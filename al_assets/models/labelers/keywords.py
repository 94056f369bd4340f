"""Keyword lists and regular expressions as a labeler."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.config import KeywordsSettings
from al_assets.models.labelers.protocol import Abstaining

BATCH_SIZE = 10_000


class KeywordsLabeler(Abstaining):
    """1 where only words that speak for it are found, 0 where only words against it are, else no vote."""

    batch_size = BATCH_SIZE

    def __init__(self, settings: KeywordsSettings, fingerprint: str, prior: float) -> None:
        """Compile the patterns.

        :param prior: p_positive of a text on which it abstains.
        """
        super().__init__(prior)
        self.fingerprint = fingerprint
        self._positive = _patterns(settings.positive, settings)
        self._negative = _patterns(settings.negative, settings)

    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1, 0, or NaN where neither or both kinds of words are found, shape (n,)."""
        return np.array([self._vote(text) for text in texts], dtype=np.float64)

    def _vote(self, text: str) -> float:
        positive = any(pattern.search(text) for pattern in self._positive)
        negative = any(pattern.search(text) for pattern in self._negative)
        return np.nan if positive == negative else float(positive)


def _patterns(words: Sequence[str], settings: KeywordsSettings) -> list[re.Pattern[str]]:
    flags = re.IGNORECASE if settings.ignore_case else 0
    if settings.regex:
        # One by one: numbered groups and flags of one must not reach into the next.
        return [re.compile(word, flags) for word in words]
    if not words:
        return []
    found = "|".join(r"\s+".join(map(re.escape, word.split())) for word in words)
    # Not \b, which would never match before or after a keyword that starts or ends with a sign.
    return [re.compile(rf"(?<!\w)(?:{found})(?!\w)" if settings.whole_words else found, flags)]
