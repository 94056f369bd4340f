"""What a labeler is to the loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


class LabelerError(ValueError):
    """A labeler cannot be used or answered wrongly; the message names it, what was found and the way out."""


class Closable(Protocol):
    """A context manager that closes itself."""

    def close(self) -> None:
        """Free models, connections and processes; may be called twice."""
        ...

    def __enter__(self) -> Self:
        """Return the object itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the object."""
        ...


class Labeler(Closable, Protocol):
    """Says how likely each text violates the policy.

    Making one is cheap: models, connections and processes are opened by the first ``score``.
    """

    @property
    def fingerprint(self) -> str:
        """12 hex digits that change when the scores may; known without loading anything."""
        ...

    @property
    def batch_size(self) -> int:
        """Texts scored between two checkpoints."""
        ...

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return p_positive in [0, 1] of each text, shape (n,)."""
        ...


class Closing:
    """Makes a context manager of whatever has a ``close``."""

    def close(self) -> None:
        """Free models, connections and processes; may be called twice."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the object."""
        self.close()


class Abstaining(Closing, ABC):
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


class KeepsVotes(Closing, ABC):
    """A labeler made of others: what is kept by text hash is the vote of each, not the score they come to."""

    @property
    @abstractmethod
    def keeps_votes(self) -> bool:
        """Whether it was told where."""

    @abstractmethod
    def score_kept(
        self, hashes: Sequence[str], texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return p_positive of each text, shape (n,); its members are asked only for votes that are not kept."""
