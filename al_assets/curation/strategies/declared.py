"""How a strategy is declared, where it is written: its name, what it needs, and what people read about its picks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from al_assets.curation.strategies.base import Ranked, Ranking, Strategy

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
"""By name, as the modules that were imported declare them; ``registry.strategies`` imports all of the package."""


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
