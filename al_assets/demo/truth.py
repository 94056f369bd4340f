"""What only a simulation can know: agreement on all items that were never queued, and of the crowd with the experts."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel

Estimate = tuple[float, float, float]


def kappas(
    votes: NDArray[np.float64], models: Mapping[str, NDArray[np.float64]], *, resamples: int = 2_000, seed: int = 0
) -> dict[str, Estimate | None]:
    """Return the mean kappa of each model with each expert, and of the experts among themselves as ``expert``.

    :param votes: shape (items, experts); 1, 0, NaN where an expert did not answer.
    :param models: by name, labels of shape (items,); NaN where there is none.
    :return: (estimate, low, high) with the 95 % interval; None where kappa is undefined.
    """
    panel = Panel(votes, models)
    wanted = {"expert": "expert_expert_kappa", **{name: f"{name}_expert_kappa" for name in models}}

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = panel.figures(weights)
        return {name: figures[figure] for name, figure in wanted.items()}

    found = grouped_distributions(statistics, np.arange(len(votes)), resamples=resamples, seed=seed)
    intervals = {name: each.interval(len(votes)) for name, each in found.items()}
    return {
        name: None if None in (each.estimate, each.low, each.high) else (each.estimate, each.low, each.high)  # type: ignore[misc]
        for name, each in intervals.items()
    }


def votes_of(items: Sequence[str], votes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the votes on the items, shape (items, raters)."""
    return np.stack([votes[item] for item in items])
