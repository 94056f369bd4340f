"""Simulated experts: they answer an iteration's queue by dropping files of votes, as people would."""

import json
from collections.abc import Collection, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.config import Policy
from al_assets.demo.vader import simulate_crowd, simulate_experts
from al_assets.storage.atomic import write_bytes
from al_assets.storage.root import RunRoot

Votes = Mapping[str, NDArray[np.float64]]


def expert_votes(texts: pl.DataFrame, experts: int) -> Votes:
    """Return each item's votes by simulated experts: 1 positive, 0 negative, NaN where an expert has none."""
    return dict(zip(texts["item_id"], simulate_experts(texts["ratings"], experts=experts), strict=True))


def crowd_votes(texts: pl.DataFrame, experts: int) -> Votes:
    """Return each item's vote by one crowd worker: a single rater who is none of those behind the experts."""
    return dict(zip(texts["item_id"], simulate_crowd(texts["ratings"], skip=5 * experts), strict=True))


def drop_votes(
    queue: pl.DataFrame,
    iteration: str,
    votes: Votes,
    policy: Policy,
    root: RunRoot,
    experts: Collection[str] | None = None,
) -> list[str]:
    """Write one file of votes for each expert into the drop folder.

    :param queue: the published queue.
    :param experts: who answers; None is every rater of the policy.
    :return: the names of the files.
    """
    names = policy.policy.labels
    dropped = []
    for place, rater in enumerate(policy.review.raters):
        if experts is not None and rater not in experts:
            continue
        rows = [
            {
                "item_id": item,
                "iteration": iteration,
                "rater": rater,
                "label": names.undecided
                if np.isnan(votes[item][place])
                else (names.positive if votes[item][place] else names.negative),
            }
            for item in queue["item_id"]
        ]
        name = f"{iteration}-{rater}.jsonl"
        write_bytes(root.inbox / name, "".join(json.dumps(row) + "\n" for row in rows).encode())
        dropped.append(name)
    return dropped
