"""A figure of a report, traced to what it rests on."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from al_assets.agreement.core.figures import Figure, frame_of
from al_assets.report.sentences import figure_text

TOLERANCE = 1e-9
_NO_FRAME = pl.DataFrame()


@dataclass(frozen=True)
class Explanation:
    """A figure of a report, traced to what it rests on.

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
            "rests_on": [asdict(figure) for figure in self.rests_on],
            "items": self.items.to_dicts(),
            "cells": self.cells.to_dicts(),
        }


LONGEST_TEXT = 80
_SIGNS = {"positive": "+", "negative": "-"}
_RESULTS = {True: "the same as stored", False: "NOT the stored value", None: ""}


def explanation_view(explanation: Explanation, limit: int = 20) -> Group:
    """Return definition, value computed again, and the rows behind it: ``limit`` at most, the largest effects first."""
    stored = explanation.stored
    lines = [
        f"{explanation.title} ({stored.figure}), iteration {explanation.iteration}",
        f"Scope {stored.scope}: {explanation.scope}",
        explanation.definition,
        f"Formula: {explanation.formula}" if explanation.formula else "",
        f"Stored: {figure_text(stored, 4)}" + (f", {stored.items} items" if stored.items is not None else ""),
        _again(explanation),
        explanation.note,
    ]
    parts: list[Text | Table] = [Text(line) for line in lines if line]
    if explanation.rests_on:
        figures = frame_of(explanation.rests_on).drop("detail", "slice", "against")
        parts.append(_table(figures, "Rests on"))
    if explanation.cells.height:
        parts.append(_table(explanation.cells, "2 x 2 tables"))
    if explanation.items.height:
        shown = explanation.items.head(limit)
        if "effect" in explanation.items.columns:
            shown = explanation.items.sort(pl.col("effect").abs(), descending=True, nulls_last=True).head(limit)
        parts.append(_table(*_readable(shown, f"{shown.height} of {explanation.items.height} rows")))
    return Group(*parts)


def _again(explanation: Explanation) -> str:
    if explanation.matches is None:
        return ""
    value = "undefined" if explanation.recomputed is None else f"{explanation.recomputed:.12g}"
    return f"Computed again: {value}, {_RESULTS[explanation.matches]}"


def _readable(items: pl.DataFrame, title: str) -> tuple[pl.DataFrame, str]:
    """Return what fits a terminal: votes and labels as signs, long texts cut; ``as_dict`` has everything."""
    if "text" not in items.columns:
        return items, title
    raters = [name for name in items.columns if name.startswith("vote_")]
    labels = [name for name in items.columns if name.endswith("_label")]
    votes = pl.concat_str([_sign(name) for name in raters], separator=" ") if raters else pl.lit("")
    longer = pl.col("text").str.len_chars() > LONGEST_TEXT
    cut = pl.when(longer).then(pl.col("text").str.slice(0, LONGEST_TEXT) + "…").otherwise(pl.col("text")).alias("text")
    said = [_sign(name).alias(name.removesuffix("_label")) for name in labels]
    rest = [name for name in ("weight", "effect") if name in items.columns]
    shown = items.select("item_id", cut, votes.alias("votes"), *said, *rest)
    names = ", ".join(name.removeprefix("vote_") for name in raters)
    return shown if raters else shown.drop("votes"), f"{title}; votes of {names}" if raters else title


def _sign(name: str) -> pl.Expr:
    return pl.col(name).replace_strict(_SIGNS, default=".")


def _table(frame: pl.DataFrame, title: str) -> Table:
    # Texts and rater names are never markup.
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in frame.columns:
        wraps = name in ("text", "item_id", "figure")
        heading = name.replace("_", "\n") if frame.width > 6 else name
        table.add_column(Text(heading), no_wrap=not wraps, overflow="fold", ratio=1 if name == "text" else None)
    for row in frame.iter_rows():
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
