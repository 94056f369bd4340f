"""What a labeler is to the loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray


class LabelerError(ValueError):
    """A labeler cannot be used or answered wrongly; the message names it, what was found and the way out."""


class Closing:
    """Makes a context manager of whatever has a ``close``."""

    def close(self) -> None:
        """Free models, connections and processes; may be called twice."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the object."""
        self.close()


class Labeler(Closing, ABC):
    """Says how likely each text violates the policy.

    Making one is cheap: models, connections and processes are opened by the first ``score``.
    """

    fingerprint: str
    """12 hex digits that change when the scores may; known without loading anything."""
    batch_size: int
    """Texts scored between two checkpoints."""

    @abstractmethod
    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,)."""


class LanguageModelLabeler(Labeler):
    """p_positive = sigmoid(log-odds of yes against no) as the next token after the policy's prompt."""

    @abstractmethod
    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the log-odds of yes against no of each text, shape (n,)."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,)."""
        return probability(self.logits(texts))


def probability(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sigmoid of logits, without overflow."""
    # Not scipy's expit, which differs in the last bit: a score comes out as the one on record.
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)


class Abstaining(Labeler):
    """A labeler that may give no vote on a text; its score is then the prevalence that the policy expects."""

    def __init__(self, prior: float) -> None:
        """Keep the expected prevalence."""
        self._prior = prior

    @abstractmethod
    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, NaN where it abstains, shape (n,)."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,)."""
        votes = self.votes(texts)
        return np.where(np.isnan(votes), self._prior, votes)


class KeepsVotes(Labeler):
    """A labeler made of others: what is kept by text hash is the vote of each, not the score they come to."""

    keeps_votes = False
    """Whether it was told where."""

    @abstractmethod
    def score_kept(
        self, hashes: Sequence[str], texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return p_positive of each text, shape (n,); its members are asked only for votes that are not kept."""
