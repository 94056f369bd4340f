"""Strategies by the names that the policy file knows."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from al_assets.curation.checks import CurationError
from al_assets.curation.strategies.badge import Badge
from al_assets.curation.strategies.base import Ranked, Ranking, Strategy
from al_assets.curation.strategies.boundary import BoundaryShare
from al_assets.curation.strategies.by_score import Disagreement, Entropy, Margin, TopScored, UniformRandom
from al_assets.curation.strategies.contrastive import Contrastive
from al_assets.curation.strategies.coverage import FacilityLocation, KCenter
from al_assets.curation.strategies.density import ProbCover, TypiClust
from al_assets.curation.strategies.learnability import Learnability
from al_assets.curation.strategies.mixture import Mixture

Choice = str | Mapping[str, float]
"""A name, or names and their shares of the budget, adding up to 1."""

_RANKINGS: dict[str, Callable[[], Ranking]] = {
    "margin": Margin,
    "entropy": Entropy,
    "top_scored": TopScored,
    "disagreement": Disagreement,
    "k_center": KCenter,
    "facility_location": FacilityLocation,
    "typiclust": TypiClust,
    "probcover": ProbCover,
    "badge": Badge,
    "contrastive": Contrastive,
    "rho": lambda: Learnability(reason="rho"),
    "jest": lambda: Learnability(joint=True, reason="jest"),
}
_LOOK_AT_VECTORS = frozenset(
    {"k_center", "facility_location", "typiclust", "probcover", "badge", "contrastive", "rho", "jest"}
)

COMPARE_WITH_REFERENCE = frozenset({"rho", "jest"})
"""Strategies that look at ``candidates.reference``."""

STRATEGY_NAMES: tuple[str, ...] = ("boundary_pairs", "random", *_RANKINGS)
"""Every name that ``make_strategy`` knows."""


def make_strategy(choice: Choice, exploration: float, promising: float = 0.0) -> Strategy:
    """Return the strategy of that name, or a mixture.

    :param choice: one of ``STRATEGY_NAMES``, or several with their shares; the parts of a mixture pick in that order.
    :param exploration: the part of the budget drawn by lot from a short list, 0 to 1; nothing to ``random``.
    :param promising: the part of ``boundary_pairs`` that goes to top-scored items, 0 to 1, see ``cold_start``.
    :raises CurationError: an unknown name (the message names the nearest known one), or shares that do not add up to 1.
    """
    if not isinstance(choice, str):
        if len(choice) == 1:
            return make_strategy(next(iter(choice)), exploration, promising)
        return Mixture(tuple((make_strategy(name, exploration, promising), share) for name, share in choice.items()))
    _check_name(choice)
    if choice == "random":
        return UniformRandom()
    if choice == "boundary_pairs":
        return BoundaryShare(promising, exploration)
    return Ranked(_RANKINGS[choice](), exploration)


def needs_vectors(choice: Choice) -> bool:
    """Return whether the strategy, or a part of it, looks at ``candidates.vectors``.

    ``rho`` does only while there is no reference. ``boundary_pairs`` does not: its pairs were found before.

    :raises CurationError: an unknown name.
    """
    names = [choice] if isinstance(choice, str) else list(choice)
    for name in names:
        _check_name(name)
    return not _LOOK_AT_VECTORS.isdisjoint(names)


def _check_name(name: str) -> None:
    if name not in STRATEGY_NAMES:
        near = get_close_matches(name, STRATEGY_NAMES, n=1, cutoff=0)
        raise CurationError(
            f"strategy: {name!r} is unknown; did you mean {near[0]!r}? Known are {', '.join(STRATEGY_NAMES)}"
        )
