"""Votes of simulated raters as the frames of the loop."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.curation.split import FINE_TUNING

_WORDS = {1.0: "positive", 0.0: "negative"}


def votes_frame(
    votes: NDArray[np.float64],
    *,
    undecided: Sequence[tuple[int, int]] = (),
    raters: Sequence[str] = (),
    reason: Sequence[str] = (),
    iteration: Sequence[str] = (),
    group: Sequence[str] = (),
    policy_version: Sequence[str] = (),
) -> pl.DataFrame:
    """Return a votes frame from a matrix of items and raters; NaN is no answer, unless listed in ``undecided``."""
    names = raters or [f"r{rater}" for rater in range(votes.shape[1])]
    rows = []
    for item, rater in np.ndindex(*votes.shape):
        value = votes[item, rater]
        if np.isnan(value) and (item, rater) not in undecided:
            continue
        rows.append(
            {
                "item_id": f"i{item:05d}",
                "rater": names[rater],
                "label": _WORDS.get(float(value), "undecided"),
                "iteration": iteration[item] if iteration else "0000",
                "reason": reason[item] if reason else "boundary",
                "group_id": group[item] if group else f"i{item:05d}",
                "stratum": None,
                "stratum_size": None,
                "inclusion_probability": None,
                "policy_version": policy_version[item] if policy_version else "1",
            }
        )
    texts = ("item_id", "rater", "label", "iteration", "reason", "group_id", "stratum", "policy_version")
    schema = {**dict.fromkeys(texts, pl.String), "stratum_size": pl.Int64, "inclusion_probability": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def noisy_votes(
    seed: int, items: int = 120, raters: int = 3, *, error: float = 0.12, missing: float = 0.0, prevalence: float = 0.35
) -> NDArray[np.float64]:
    """Return votes of raters who err alike on a share of the items, shape (items, raters)."""
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < prevalence
    votes = (truth[:, None] ^ (generator.random((items, raters)) < error)).astype(np.float64)
    votes[generator.random((items, raters)) < missing] = np.nan
    return votes


def panel(votes: Floats, models: Mapping[str, Floats] | None = None, weights: Floats | None = None) -> dict[str, float]:
    """Return every figure of ``Panel`` for one sample; NaN where a figure is undefined."""
    rows = np.ones((1, len(votes))) if weights is None else weights[None, :]
    return {name: float(values[0]) for name, values in Panel(votes, models).figures(rows).items()}


def crossfits(split: pl.DataFrame) -> bool:
    """Return whether items of a split both teach and measure."""
    return not split.filter("teaches", pl.col("split") != FINE_TUNING).is_empty()
