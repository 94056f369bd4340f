"""What the experts are asked next, and how their answers are divided."""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from al_assets.config.section import Positive, Section, Share, Text
from al_assets.curation.settings import DEFAULTS


class Shares(Section):
    """How the round's budget is divided; the three shares add up to 1."""

    boundary: Share = DEFAULTS.shares[0]
    audit: Share = DEFAULTS.shares[1]
    control: Share = DEFAULTS.shares[2]

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.boundary + self.audit + self.control
        if abs(total - 1) > 1e-9:
            raise ValueError(f"shares: boundary + audit + control is {total:g}; they must add up to 1")
        return self


def known_strategy(name: Any) -> str:
    """Return the name of a strategy.

    :raises ValueError: no strategy is called so; the message names the nearest that is.
    """
    from al_assets.curation.strategies.registry import strategies

    known = sorted(strategies())
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0)
        raise ValueError(f"{name!r} is no strategy; did you mean {near[0]!r}? known: {', '.join(known)}")
    return str(name)


StrategyName = Annotated[str, AfterValidator(known_strategy)]


class SelectionSettings(Section):
    """What the experts are asked next.

    ``strategy`` fills the boundary share: a name, or several with their shares of it, such as ``{boundary_pairs: 0.7,
    typiclust: 0.3}``. ``exploration`` is the part of what it picks that is drawn by lot from a short list.

    Hidden items come on top of the budget: ``gold_share`` of it from the file ``gold`` (item_id, text, label, why),
    ``repeat_share`` of it from what a rater answered at least ``repeat_after_days`` ago.
    """

    budget: Annotated[int, Field(ge=2)] = DEFAULTS.budget
    shares: Shares = Shares()
    neighbours: Positive = DEFAULTS.neighbours
    min_mixing: Share = DEFAULTS.min_mixing
    target_positive_share: Share = DEFAULTS.target_positive_share
    strategy: StrategyName | dict[StrategyName, Share] = "boundary_pairs"
    exploration: Share = DEFAULTS.exploration
    audit_strata: Positive = DEFAULTS.audit_strata
    gold: Text | None = None
    gold_share: Share = 0
    repeat_share: Share = 0
    repeat_after_days: Annotated[float, Field(ge=0)] = 7
    seed: int = 0

    @field_validator("strategy", mode="before")
    @classmethod
    def _known_strategies(cls, strategy: Any) -> Any:
        # Before the union of a name and several is tried, which would say of either why it is not that.
        names = [strategy] if isinstance(strategy, str) else strategy
        for name in names if isinstance(names, (list, dict)) else ():
            known_strategy(name)
        return strategy

    @property
    def strategy_shares(self) -> dict[str, float]:
        """The strategies and their shares of the boundary budget; one alone has all of it."""
        return {self.strategy: 1.0} if isinstance(self.strategy, str) else dict(self.strategy)

    @model_validator(mode="after")
    def _strategy_shares_add_up(self) -> Self:
        if isinstance(self.strategy, dict) and abs(sum(self.strategy.values()) - 1) > 1e-6:
            raise ValueError(
                f"strategy: {' + '.join(self.strategy)} is {sum(self.strategy.values()):g}; the shares must add up to 1"
            )
        return self

    @model_validator(mode="after")
    def _gold_has_a_file(self) -> Self:
        if self.gold_share and self.gold is None:
            raise ValueError(
                f"gold_share: {self.gold_share:g} of gold items, but no file of them; name one in selection.gold"
            )
        return self


class SplitSettings(Section):
    """Which labels teach the student, and which measure it.

    :param evaluation: crossfit: all teach, and each is measured by a student that did not learn from it
        (``calibration.folds``); held_out: some are kept from the student. By default crossfit for a student that is
        trained in seconds or minutes, held_out for a language model, and where there are no folds.
    :param evaluation_share: with held_out, of the boundary and control items; audit items are always held out.
    """

    evaluation: Literal["crossfit", "held_out"] | None = None
    evaluation_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    seed: int = 0
