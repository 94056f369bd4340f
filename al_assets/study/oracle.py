"""A simulated first labeler."""

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats


def noisy_oracle(truth: NDArray[np.bool_], auc: float, seed: int = 0) -> Floats:
    """Return scores in (0, 1) of a labeler of that AUC: unit-variance normal log-odds, apart by sqrt(2) z(auc).

    :param auc: 0.5 (chance) to below 1.
    """
    from scipy.special import ndtri

    log_odds = np.random.default_rng((seed, 12)).standard_normal(len(truth)) + np.sqrt(2) * ndtri(auc) * truth
    return np.asarray(1 / (1 + np.exp(-log_odds)))
