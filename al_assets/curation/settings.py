"""How a round is curated: the one place where the defaults stand, for the policy file, studies and benchmarks alike."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterSettings:
    """How the pool is divided, see ``fit_regions`` and ``micro_cells``; the defaults were measured (docs/regions.md).

    :param regions: how many, at most; None looks for none: pairs are picked by cells alone.
    :param dimensions: principal components of the vectors that regions are looked for in.
    :param policy_share: part of that space, by variance, that is what the vectors know of the policy, in [0, 1).
    :param sample: items that regions are fitted on, at most.
    :param items_per_cell: of micro cells, within each side of the label.
    :param seed: None is the round's own.
    """

    regions: int | None = 30
    dimensions: int = 64
    policy_share: float = 0.1
    sample: int = 20_000
    items_per_cell: int = 20
    seed: int | None = None


LEAST_CHECK_ITEMS = 8
"""Two items in each of the four strata of student and incumbent, or their variances could not be estimated."""


@dataclass(frozen=True)
class RoundSettings:
    """How a round is curated.

    :param budget: items that experts are asked about.
    :param shares: boundary, audit and control, adding up to 1.
    :param strategy: what fills the boundary share: a name, or names with their shares of it, see ``registry``.
    :param target_positive_share: the positive share wanted of the boundary share, see ``cold_start``.
    :param exploration: part of what a strategy picks that is drawn by lot from a short list; the default is the largest
        that was not seen to cost anything (docs/selection.md).
    :param neighbours: partners that each item proposes, and neighbours of each member that mixing looks at.
    :param min_mixing: candidate pairs below it are dropped.
    :param closeness: pairs are ranked by closeness to the threshold too, not by mixing alone.
    :param audit_strata: quantile bins of the score in the audit.
    :param expected_prevalence: the positive share of the pool that is expected.
    :param seed: of the search for pairs and their ranking; None is the round's own.
    """

    budget: int = 120
    shares: tuple[float, float, float] = (0.6, 0.25, 0.15)
    strategy: str | Mapping[str, float] = "boundary_pairs"
    target_positive_share: float = 0.4
    exploration: float = 0.25
    neighbours: int = 8
    min_mixing: float = 0.2
    closeness: bool = True
    audit_strata: int = 5
    expected_prevalence: float = 0.1
    clusters: ClusterSettings = ClusterSettings()
    seed: int | None = None


DEFAULTS = RoundSettings()
