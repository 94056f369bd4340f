"""A figure of a report, traced to what it rests on."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import polars as pl

from al_assets.agreement.core.figures import Figure

TOLERANCE = 1e-9
_NO_FRAME = pl.DataFrame()


@dataclass(frozen=True)
class Explanation:
    """A figure of a report, traced to what it rests on.

    :param stored: the report's row.
    :param basis: whether its value was computed again from items and votes, or from other figures of the report, or
        follows from bounds of other figures, which are no rows of the report, or is only known as stored.
    :param recomputed: the value computed again; None where it is undefined or was not computed.
    :param rests_on: the figures of the report it is computed from.
    :param items: the items it rests on: text, group, reason, every rater's vote, the models' labels and scores, weight,
        inclusion probability; effect is how much higher the figure is for that item being there.
    :param cells: the 2 x 2 table of each pair of raters (or of a model with each rater), for figures made of them.
    :param note: what else one must know, such as that the tables changed since the report.
    """

    iteration: str
    stored: Figure
    title: str
    definition: str
    formula: str
    scope: str
    basis: Literal["items", "figures", "bounds", "stored"]
    recomputed: float | None = None
    rests_on: tuple[Figure, ...] = ()
    items: pl.DataFrame = field(default_factory=lambda: _NO_FRAME)
    cells: pl.DataFrame = field(default_factory=lambda: _NO_FRAME)
    note: str = ""

    @property
    def matches(self) -> bool | None:
        """Whether the value computed again is the stored one, to 1e-9; None where it was not computed again."""
        if self.basis in ("bounds", "stored"):
            return None
        if self.recomputed is None or self.stored.estimate is None:
            return self.recomputed is self.stored.estimate
        return abs(self.recomputed - self.stored.estimate) <= TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON holds."""
        plain = ("iteration", "title", "definition", "formula", "scope", "basis", "recomputed", "note")
        return {
            **{name: getattr(self, name) for name in plain},
            "matches": self.matches,
            "stored": asdict(self.stored),
            "rests_on": [asdict(each) for each in self.rests_on],
            "items": self.items.to_dicts(),
            "cells": self.cells.to_dicts(),
        }
