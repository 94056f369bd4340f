"""What a study asks of whoever trains its students, and what a model says of a trial's items."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats


@dataclass(frozen=True)
class Scores:
    """What a model says: p_positive of the pool's items and of the held-out ones.

    :param probe: what a linear head on its own hidden states says; None where that is the model itself.
    :param unseen: of the pool's items what is said by a model that has not seen their labels; None: the same.
    """

    pool: Floats
    held_out: Floats
    probe: "Scores | None" = None
    unseen: Floats | None = None

    @property
    def honest(self) -> Floats:
        """What is said of the pool's items without having learnt from them."""
        return self.pool if self.unseen is None else self.unseen


class Learn(Protocol):
    """Trains students."""

    def __call__(self, rows: NDArray[np.int64], labels: Floats, folds: NDArray[np.int64] | None = None) -> Scores:
        """Return what a student says that learnt from these rows.

        :param rows: the pool's, then those that only a baseline learns from.
        :param labels: shares of positive votes; where all are of one kind it says what its head start does.
        :param folds: of each row; of those it learnt from ``unseen`` is then by students of the other folds.
        """
        ...

    @property
    def start(self) -> Scores | None:
        """What the head start says; None without one."""
        ...

    def taught_by(self, scores: Floats, prevalence: float) -> "Learn":
        """Return the same with a head start that another model teaches.

        :param scores: that model's, of the pool.
        """
        ...
