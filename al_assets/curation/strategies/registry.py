"""Strategies by the names that the policy file knows."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from al_assets.curation import strategies as package
from al_assets.curation.checks import CurationError
from al_assets.curation.strategies.base import Strategy
from al_assets.curation.strategies.declared import DECLARED, Declared
from al_assets.curation.strategies.mixture import Mixture

Choice = str | Mapping[str, float]
"""A name, or names and their shares of the budget, adding up to 1."""


def strategies() -> Mapping[str, Declared]:
    """Return every strategy that a module of this package declares, and those that were declared elsewhere so far."""
    _import_all()
    return DECLARED


def make_strategy(choice: Choice, exploration: float, promising: float = 0.0) -> Strategy:
    """Return the strategy of that name, or a mixture.

    :param choice: a name, or several with their shares; the parts of a mixture pick in that order.
    :param exploration: the part of the budget drawn by lot from a short list, 0 to 1; nothing to ``random``.
    :param promising: the part of ``boundary_pairs`` that goes to top-scored items, 0 to 1, see ``cold_start``.
    :raises CurationError: an unknown name (the message names the nearest known one), or shares that do not add up to 1.
    """
    if isinstance(choice, str):
        return declared(choice).build(exploration, promising)
    parts = [(declared(name).build(exploration, promising), share) for name, share in choice.items()]
    return parts[0][0] if len(parts) == 1 else Mixture(tuple(parts))


def needs_vectors(choice: Choice) -> bool:
    """Return whether the strategy, or a part of it, looks at ``candidates.vectors``.

    ``rho`` does only while there is no reference. ``boundary_pairs`` does not: its pairs were found before.

    :raises CurationError: an unknown name.
    """
    return any(declared(name).vectors for name in _names(choice))


def needs_reference(choice: Choice) -> bool:
    """Return whether the strategy, or a part of it, looks at ``candidates.reference``.

    :raises CurationError: an unknown name.
    """
    return any(declared(name).reference for name in _names(choice))


def declared(name: str) -> Declared:
    """Return what is declared of a strategy.

    :raises CurationError: an unknown name; the message names the nearest known one.
    """
    known = strategies()
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0)
        raise CurationError(
            f"strategy: {name!r} is unknown; did you mean {near[0]!r}? Known are {', '.join(sorted(known))}"
        )
    return known[name]


def declared_of_reason(reason: str) -> Declared | None:
    """Return what is declared of the strategy whose picks have that reason; None if there is none."""
    return next((each for each in strategies().values() if each.reason == reason), None)


def _names(choice: Choice) -> list[str]:
    return [choice] if isinstance(choice, str) else list(choice)


@cache
def _import_all() -> None:
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
