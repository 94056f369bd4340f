"""Which systems there are, and what an adapter to one has to offer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError
from benchmarks.rivals.question import Question

Query = Callable[[], NDArray[np.int64]]
"""Asks a system once; returns the row numbers of its picks, first pick first."""


class Adapter(Protocol):
    """A module that asks one library through its documented interface."""

    STRATEGIES: Sequence[str]

    def version(self) -> str:
        """Return the version of the library."""
        ...

    def prepare(self, strategy: str, question: Question) -> Query:
        """Load what the library needs, so that the query that is returned does the selection alone."""
        ...


@dataclass(frozen=True)
class System:
    """A library, and those of its query strategies that are asked.

    :param module: the module of its adapter, see ``Adapter``.
    :param package: what the adapter imports.
    :param strategies: names of the adapter's strategies.
    """

    name: str
    module: str
    package: str
    strategies: tuple[str, ...]


OURS = System(
    "al_assets",
    "benchmarks.rivals.ours",
    "al_assets",
    (
        "boundary_pairs",
        "boundary_pairs, no lot",
        "boundary_pairs, half promising",
        "random",
        "margin",
        "top_scored",
        "k_center",
        "facility_location",
        "typiclust",
        "probcover",
        "badge",
        "contrastive",
    ),
)
SMALL_TEXT = System(
    "small-text",
    "benchmarks.rivals.small_text",
    "small_text",
    (
        "BreakingTies",
        "PredictionEntropy",
        "LeastConfidence",
        "EmbeddingKMeans",
        "GreedyCoreset",
        "LightweightCoreset",
        "ContrastiveActiveLearning",
        "BADGE",
    ),
)
SCIKIT_ACTIVEML = System(
    "scikit-activeml",
    "benchmarks.rivals.scikit_activeml",
    "skactiveml",
    (
        "UncertaintySampling",
        "CoreSet",
        "TypiClust",
        "ProbCover",
        "Badge",
        "ContrastiveAL",
        "DropQuery",
        "Falcun",
        "Clue",
        "MaxHerding",
    ),
)
MODAL = System(
    "modAL",
    "benchmarks.rivals.modal",
    "modAL",
    ("uncertainty_sampling", "margin_sampling", "entropy_sampling", "uncertainty_batch_sampling"),
)
SYSTEMS = (OURS, SMALL_TEXT, SCIKIT_ACTIVEML, MODAL)
"""Ours first, then the rivals."""


def chosen_systems(names: Sequence[str] | None = None) -> list[System]:
    """Return systems by name; ``"system:strategy"`` is a system with that strategy alone, None all of them.

    :raises CurationError: no system or strategy of that name.
    """
    if names is None:
        return list(SYSTEMS)
    return [_named(name) for name in names]


def check_installed(systems: Sequence[System]) -> None:
    """Do nothing if the packages of the systems are installed.

    :raises CurationError: one is missing; says how to install it.
    """
    missing = [system.name for system in systems if find_spec(system.package) is None]
    if missing:
        raise CurationError(
            f"systems: {', '.join(missing)} not installed; pip install 'al_assets[bench]', or leave them out"
        )


def _named(name: str) -> System:
    wanted, _, strategy = name.partition(":")
    known = {system.name: system for system in SYSTEMS}
    if wanted not in known:
        raise CurationError(f"systems: {wanted!r} is not one of {', '.join(known)}; name one of them")
    system = known[wanted]
    if not strategy:
        return system
    if strategy not in system.strategies:
        raise CurationError(
            f"systems: {strategy!r} is not a strategy of {wanted}; name one of {', '.join(system.strategies)}"
        )
    return System(system.name, system.module, system.package, (strategy,))
