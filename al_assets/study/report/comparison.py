"""Strategies and controls held against each other, seed by seed: at the last round and over the whole curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from al_assets.agreement.core.kappa import Floats
from al_assets.study.report.arms import (
    BASELINES,
    METRICS,
    RANDOM,
    Arm,
    Setting,
    SummaryRow,
    all_seeds,
    base_settings,
    baseline,
    of_strategy,
)
from al_assets.study.report.seed_statistics import SeedEstimate, holm, mean_over_seeds

LAST, AREA = "last", "area"
"""The last round that both arms have; and the area between the curves divided by the range of labels."""


def difference_by_seed(first: Arm, second: Arm, metric: str, measure: str) -> Floats:
    """Return first - second for each seed that either has: shape (seeds,), NaN where one of them lacks it.

    ``last`` is the last round that both have (of baselines each one's own last). ``area`` is the integral of the
    difference over the labels that both curves span, by the trapezoid rule, divided by that span: with equal steps
    nearly the mean over rounds.
    """
    seeds = all_seeds((first, second))
    if measure == AREA:
        curves = [(arm.on(seeds, "labels"), arm.on(seeds, metric)) for arm in (first, second)]
        return np.array([_area(*(part[row] for curve in curves for part in curve)) for row in range(len(seeds))])
    common = [number for number in first.rounds if number in second.rounds]
    if second.strategy in BASELINES or not common:
        return first.last(seeds, metric) - second.last(seeds, metric)
    columns = [arm.on(seeds, metric)[:, arm.rounds.index(common[-1])] for arm in (first, second)]
    return columns[0] - columns[1]


def compare(first: Arm, second: Arm, metric: str, measure: str) -> SeedEstimate:
    """Return the mean of first - second over seeds with its 95 % interval, paired by seed."""
    return mean_over_seeds(difference_by_seed(first, second, metric, measure))


def _area(x: Floats, y: Floats, other_x: Floats, other_y: Floats) -> float:
    known, other = ~np.isnan(x + y), ~np.isnan(other_x + other_y)
    if not known.any() or not other.any():
        return float("nan")
    x, y, other_x, other_y = x[known], y[known], other_x[other], other_y[other]
    low, high = max(x[0], other_x[0]), min(x[-1], other_x[-1])
    if low > high:
        return float("nan")
    grid = np.unique(np.clip(np.concatenate([x, other_x]), low, high))
    difference = np.interp(grid, x, y) - np.interp(grid, other_x, other_y)
    return float(difference[0] if len(grid) == 1 else np.trapezoid(difference, grid) / (high - low))


def against_random(arms: Sequence[Arm]) -> list[SummaryRow]:
    """Return how every strategy differs from random at equal labels.

    :return: one row a setting, strategy, metric and measure: difference, low, high, p, ``p_holm`` (over everything
        that is held against random with one data set and student, for one metric and measure), seeds, ``side``
        (``above`` or ``below`` if the interval leaves 0 out, ``no``, or ``unknown`` with one seed), and the mean
        ``labels`` and ``random_labels`` of the last round.
    """
    rows = []
    for setting, own in base_settings(arms).items():
        random = of_strategy(own, RANDOM)
        for arm in own if random else ():
            if random and arm.strategy != RANDOM:
                labels = {"labels": arm.level("labels"), "random_labels": random.level("labels")}
                rows += [{**row, **labels} for row in _rows(setting, {"strategy": arm.strategy}, arm, random)]
    _correct(rows)
    return rows


def default_against_best(arms: Sequence[Arm], default: str) -> list[SummaryRow]:
    """Return whether the default strategy is the best of each setting, or within noise of it.

    The best is the one of the highest mean. As it was picked for that, the difference is biased against the default.

    :return: one row a setting, metric and measure: ``best`` (a strategy), difference (default - best), low, high, p,
        seeds, side, ``verdict`` (``best``, ``within noise``, ``behind``, or ``unknown`` with one seed) and ``behind``
        (the strategies that are ahead of the default by an interval that leaves 0 out, joined by commas).
    """
    rows = []
    for setting, own in base_settings(arms).items():
        mine = of_strategy(own, default)
        for metric in METRICS:
            for measure in (LAST, AREA):
                estimates = {arm.strategy: compare(mine, arm, metric, measure) for arm in own} if mine else {}
                known = {name: each for name, each in estimates.items() if each.mean is not None}
                if not known:
                    continue
                best = min(known, key=lambda name: (known[name].mean, name != default))
                ahead = [name for name, each in known.items() if each.side == "below"]
                rows.append(
                    {
                        **_row(setting, {"best": best}, metric, measure, known[best]),
                        "verdict": _verdict(known[best], best == default),
                        "behind": ", ".join(ahead),
                    }
                )
    return rows


def controls(arms: Sequence[Arm]) -> list[SummaryRow]:
    """Return what each control does: variant - base of the same data set, strategy and student, paired by seed.

    Embeddings that were run with the base settings are compared too, with the first of them.

    :return: one row an arm, metric and measure: variant, strategy, ``base_level`` and ``level`` (means of the last
        round), difference, low, high, p, seeds, side.
    """
    rows = []
    for arm in arms:
        if arm.variant:
            base, name = baseline(arms, arm.strategy, arm.setting), arm.variant
        else:
            base = _first_embedding(arms, arm)
            name = f"embedding {arm.setting.embedding} instead of {base.setting.embedding}" if base else ""
        if base is None:
            continue
        for row in _rows(arm.setting, {"variant": name, "strategy": arm.strategy}, arm, base):
            levels = {"base_level": base.level(row["metric"]), "level": arm.level(row["metric"])}
            rows.append({**row, **levels})
    return rows


def _verdict(estimate: SeedEstimate, is_best: bool) -> str:
    if estimate.side == "unknown":
        return "unknown"
    return "best" if is_best else "behind" if estimate.side == "below" else "within noise"


def _first_embedding(arms: Sequence[Arm], arm: Arm) -> Arm | None:
    if arm.strategy in BASELINES:
        return None
    same = (
        other
        for other in arms
        if (other.variant, other.strategy) == ("", arm.strategy)
        and other.setting._replace(embedding="") == arm.setting._replace(embedding="")
    )
    first = next(same, arm)
    return None if first is arm else first


def _rows(setting: Setting, names: Mapping[str, str], first: Arm, second: Arm) -> list[SummaryRow]:
    estimates = {
        (metric, measure): compare(first, second, metric, measure) for metric in METRICS for measure in (LAST, AREA)
    }
    return [_row(setting, names, *what, each) for what, each in estimates.items() if each.mean is not None]


def _row(setting: Setting, names: Mapping[str, str], metric: str, measure: str, estimate: SeedEstimate) -> SummaryRow:
    return {
        **setting._asdict(), **names, "metric": metric, "measure": measure, **estimate.columns("difference"),
        "p": estimate.p, "seeds": estimate.seeds, "side": estimate.side,
    }  # fmt: skip


def _correct(rows: list[SummaryRow]) -> None:
    families: dict[tuple[Any, ...], list[SummaryRow]] = {}
    for row in rows:
        families.setdefault(tuple(row[name] for name in ("dataset", "student", "metric", "measure")), []).append(row)
    for family in families.values():
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
