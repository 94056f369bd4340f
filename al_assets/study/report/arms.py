"""The arms of a study: a cell's figures as arrays of seeds by rounds, and which arm is held against which."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from al_assets.agreement.core.kappa import Floats
from al_assets.study.cells import CROWD, LLM0
from al_assets.study.report.result_rows import FIGURES, KEY

RANDOM = "random"
BASELINES = (CROWD, LLM0)
"""Strategies that pick nothing: the crowd's random sample and the first labeler itself."""
METRICS = ("kappa", "kappa_boundary")
"""Agreement with the experts on held-out items: drawn at random, and picked by LLM-0's boundary pairs."""
SummaryRow = dict[str, Any]
"""A row of one of the summary's tables, by column."""


class Setting(NamedTuple):
    """What strategies are compared within."""

    dataset: str
    student: str
    embedding: str
    budget: int | None


@dataclass(frozen=True)
class Arm:
    """A strategy in one setting and variant.

    :param seeds: ascending.
    :param rounds: ascending; of the crowd its sample sizes.
    :param values: labels, votes and every figure, each of shape (seeds, rounds), NaN where there is none.
    """

    setting: Setting
    variant: str
    strategy: str
    seeds: tuple[int, ...]
    rounds: tuple[int, ...]
    values: Mapping[str, Floats]

    @property
    def key(self) -> dict[str, str | int | None]:
        """The columns that name the arm."""
        return {**self.setting._asdict(), "variant": self.variant, "strategy": self.strategy}

    def on(self, seeds: Sequence[int], name: str) -> Floats:
        """Return a figure for these seeds, NaN for those the arm lacks: shape (seeds, rounds)."""
        values = np.full((len(seeds), len(self.rounds)), np.nan)
        place = {seed: row for row, seed in enumerate(self.seeds)}
        for row, seed in enumerate(seeds):
            if seed in place:
                values[row] = self.values[name][place[seed]]
        return values

    def last(self, seeds: Sequence[int], name: str) -> Floats:
        """Return a figure of the last round for these seeds: shape (seeds,)."""
        return self.on(seeds, name)[:, -1]

    def level(self, name: str) -> float | None:
        """Return the mean over seeds of a figure in the last round; None if no seed has it."""
        values = self.last(self.seeds, name)
        return None if np.isnan(values).all() else float(np.nanmean(values))


def setting_of(row: SummaryRow) -> Setting:
    """Return the setting that a row is of."""
    return Setting(*(row[name] for name in Setting._fields))


def matching(rows: Iterable[SummaryRow], setting: Setting | None = None, **values: Any) -> list[SummaryRow]:
    """Return the rows of one setting, and of these values; an empty budget is a value of its own."""
    wanted = {**(setting._asdict() if setting else {}), **values}
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def arms_of(rows: pl.DataFrame) -> list[Arm]:
    """Return the arms of a study in the order of ``KEY``.

    :param rows: as ``read_rows`` returns them.
    """
    parts = rows.sort(*KEY, nulls_last=False).partition_by(*KEY, maintain_order=True)
    return [_arm(part) for part in parts]


def _arm(part: pl.DataFrame) -> Arm:
    first = part.row(0, named=True)
    seeds, rounds = (tuple(sorted(part[name].unique().to_list())) for name in ("seed", "round"))
    row = np.searchsorted(np.array(seeds), part["seed"].to_numpy())
    column = np.searchsorted(np.array(rounds), part["round"].to_numpy())
    values = {}
    for name in ("labels", "votes", *FIGURES):
        grid = np.full((len(seeds), len(rounds)), np.nan)
        grid[row, column] = part[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        values[name] = grid
    setting = Setting(*(first[name] for name in Setting._fields))
    return Arm(setting, first["variant"], first["strategy"], seeds, rounds, values)


def all_seeds(arms: Iterable[Arm]) -> list[int]:
    """Return every seed that one of the arms has, ascending."""
    return sorted({seed for arm in arms for seed in arm.seeds})


def base_settings(arms: Sequence[Arm]) -> dict[Setting, list[Arm]]:
    """Return, for each setting, the strategies that pick and were run with the base settings."""
    settings: dict[Setting, list[Arm]] = {}
    for arm in arms:
        if arm.variant == "" and arm.strategy not in BASELINES:
            settings.setdefault(arm.setting, []).append(arm)
    return settings


def of_strategy(arms: Iterable[Arm], strategy: str) -> Arm | None:
    """Return the arm of that strategy, or None."""
    return next((arm for arm in arms if arm.strategy == strategy), None)


def baseline(arms: Iterable[Arm], strategy: str, setting: Setting, variant: str = "") -> Arm | None:
    """Return the arm of a strategy that an arm of this setting is held against, or None.

    Of the crowd and LLM-0 that is the baseline, of an arm's own strategy what a control is held against. It has the
    same data set and, if it trains one, the same student; of several, the first, in the order of ``KEY``, that has most
    of variant, embedding and budget, in this order.
    """
    candidates = [
        arm
        for arm in arms
        if arm.strategy == strategy
        and arm.setting.dataset == setting.dataset
        and (strategy == LLM0 or arm.setting.student == setting.student)
        and arm.variant in ("", variant)
    ]

    def fit(arm: Arm) -> tuple[bool, bool, bool]:
        same = arm.setting
        return (arm.variant == variant, same.embedding == setting.embedding, same.budget == setting.budget)

    return max(candidates, key=fit, default=None)
