"""Several labelers as one."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from al_assets.models.labelers.protocol import Closing, Labeler
from al_assets.models.scoring import checked_scores


class CombinationLabeler(Closing):
    """The weighted mean of its members' p_positive."""

    def __init__(self, members: Sequence[Labeler], weights: Sequence[float] | None, fingerprint: str) -> None:
        """Take over the members, which are closed with this labeler.

        :param weights: one above 0 for each member; None weighs them alike.
        """
        self.fingerprint = fingerprint
        self.batch_size = min(member.batch_size for member in members)
        self._members = list(members)
        self._weights = np.array([1.0] * len(self._members) if weights is None else weights, dtype=np.float64)

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the weighted mean of the members' p_positive, shape (n,)."""
        scores = [checked_scores(each.score(texts), len(texts), each.fingerprint) for each in self._members]
        mean = np.average(np.stack(scores), axis=0, weights=self._weights)
        # A mean of ones may round to just above 1.
        return np.asarray(np.clip(mean, 0.0, 1.0), dtype=np.float64)

    def close(self) -> None:
        """Close every member, even if closing one fails."""
        with ExitStack() as stack:
            for member in self._members:
                stack.callback(member.close)
