"""Several strategies that share a budget."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from al_assets.curation.budget import check_shares, largest_remainder
from al_assets.curation.checks import check_at_least
from al_assets.curation.strategies.base import PICKS, Candidates, Strategy
from al_assets.curation.strategies.boundary import still_free


@dataclass(frozen=True)
class Mixture:
    """Strategies that pick one after the other, each from what those before it left.

    The budget is divided by largest remainder. What a strategy cannot fill passes to the next, and from the last back
    to the first. Each pick keeps the reason, rank and chance that its own strategy gave it; the chance is, as always,
    that given what was taken before.

    :param parts: strategies and their shares, 0 to 1, adding up to 1.
    """

    parts: tuple[tuple[Strategy, float], ...]
    reason: str = "mixture"

    def __post_init__(self) -> None:
        """Check the shares.

        :raises CurationError: there is no part, a share is out of range, or they do not add up to 1.
        """
        check_shares([part.reason for part, _ in self.parts], [share for _, share in self.parts])

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the picks of the first part, then those of the second, and so on."""
        check_at_least("budget", budget, 0)
        picked = PICKS.to_frame()
        owed = 0
        quotas = largest_remainder(budget, [share for _, share in self.parts])
        # Second time round a part has no quota of its own: it only takes over what all others could not fill.
        for place, quota in enumerate([*quotas, *(0 for _ in quotas)]):
            part, share = self.parts[place % len(self.parts)]
            owed += quota
            if owed and share:
                part_seed = int(np.random.SeedSequence((seed, place)).generate_state(1)[0])
                picks = part.pick(replace(candidates, free=still_free(candidates, picked)), owed, part_seed)
                picked = pl.concat([picked, picks])
                owed -= picks.height
        return picked
