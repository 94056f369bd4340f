"""Strategies by the names that the policy file knows, declared where they are written, and mixtures of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

import numpy as np
import polars as pl

from al_assets.curation import strategies as package
from al_assets.curation.budget import check_shares, largest_remainder
from al_assets.curation.checks import CurationError
from al_assets.curation.strategies.base import PICKS, Candidates, Ranked, Ranking, Strategy

Choice = str | Mapping[str, float]
"""A name, or names and their shares of the budget, adding up to 1."""

Build = Callable[[float, float], Strategy]
"""Makes a strategy from ``exploration`` and ``promising``, see ``make_strategy``."""
_Ranking = TypeVar("_Ranking", bound=type[Ranking])
_Strategy = TypeVar("_Strategy", bound=type[Strategy])


@dataclass(frozen=True)
class Declared:
    """A strategy as the policy file knows it.

    :param sentence: why its picks are there, for people; ``order`` what their rank is a place in.
    :param vectors: it looks at ``candidates.vectors``.
    :param reference: it looks at ``candidates.reference``.
    """

    name: str
    build: Build
    sentence: str
    order: str
    vectors: bool = False
    reference: bool = False

    @property
    def reason(self) -> str:
        """What the queue says about why its picks are there."""
        return self.build(0.0, 0.0).reason


DECLARED: dict[str, Declared] = {}
"""By name, as the modules that were imported declare them; ``strategies`` imports all of the package."""


def strategy(name: str, *, build: Build, sentence: str, order: str | None = None) -> Callable[[_Strategy], _Strategy]:
    """Declare a strategy that draws its picks by itself."""

    def declare(kind: _Strategy) -> _Strategy:
        DECLARED[name] = Declared(name, build, sentence, order or f"the strategy {name}")
        return kind

    return declare


def ranking(
    name: str,
    *,
    sentence: str,
    order: str | None = None,
    vectors: bool = False,
    reference: bool = False,
    **arguments: object,
) -> Callable[[_Ranking], _Ranking]:
    """Declare an order of preference, from which ``Ranked`` draws.

    :param arguments: what it is made with, where it is not its defaults.
    """

    def declare(kind: _Ranking) -> _Ranking:
        def build(exploration: float, promising: float) -> Strategy:
            return Ranked(kind(**arguments), exploration)

        DECLARED[name] = Declared(name, build, sentence, order or f"the strategy {name}", vectors, reference)
        return kind

    return declare


@dataclass(frozen=True)
class Mixture:
    """Strategies that pick one after the other, each from what those before it left.

    The budget is divided by largest remainder. What a strategy cannot fill passes to the next, and from the last back
    to the first. Each pick keeps the reason, rank and chance that its own strategy gave it; the chance is, as always,
    that given what was taken before.

    :param parts: strategies and their shares, 0 to 1, adding up to 1.
    :raises CurationError: there is no part, a share is out of range, or they do not add up to 1.
    """

    parts: tuple[tuple[Strategy, float], ...]
    reason: str = "mixture"

    def __post_init__(self) -> None:
        check_shares([part.reason for part, _ in self.parts], [share for _, share in self.parts])

    def pick(self, candidates: Candidates, budget: int, seed: int) -> pl.DataFrame:
        """Return the picks of the first part, then those of the second, and so on."""
        picked = PICKS.to_frame()
        owed = 0
        quotas = largest_remainder(budget, [share for _, share in self.parts])
        # Second time round a part has no quota of its own: it only takes over what all others could not fill.
        for place, quota in enumerate([*quotas, *(0 for _ in quotas)]):
            part, share = self.parts[place % len(self.parts)]
            owed += quota
            if owed and share:
                part_seed = int(np.random.SeedSequence((seed, place)).generate_state(1)[0])
                picks = part.pick(candidates.without(picked), owed, part_seed)
                picked = pl.concat([picked, picks])
                owed -= picks.height
        return picked


@cache
def strategies() -> Mapping[str, Declared]:
    """Return every strategy that a module of this package declares, and those that were declared elsewhere so far."""
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
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
    return any(each.vectors for each in _declared(choice))


def needs_reference(choice: Choice) -> bool:
    """Return whether the strategy, or a part of it, looks at ``candidates.reference``.

    :raises CurationError: an unknown name.
    """
    return any(each.reference for each in _declared(choice))


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


def _declared(choice: Choice) -> list[Declared]:
    return [declared(name) for name in ([choice] if isinstance(choice, str) else choice)]
