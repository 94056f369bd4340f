"""At what quality of the experts' labels curation stops beating the crowd."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from al_assets.study.cells import CROWD
from al_assets.study.report.arms import BASELINES, METRICS, Arm, Setting, SummaryRow, all_seeds, baseline
from al_assets.study.report.comparison import LAST, compare
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.seed_statistics import (
    SeedEstimate,
    bootstrap_ends,
    drawn_means,
    first_crossing,
    mean_over_seeds,
    seed_draws,
)

_NONE = SeedEstimate(None, None, None, None, 0)
_VARIANT = re.compile(r"expert kappa (\d*\.?\d+)")


def expert_kappa_of(variant: str) -> float | None:
    """Return X of a variant named "expert kappa X", or None."""
    named = _VARIANT.fullmatch(variant.strip())
    return float(named[1]) if named else None


def label_quality(arms: Sequence[Arm]) -> list[SummaryRow]:
    """Return kappa in the last round by the agreement of the experts that labelled, against the crowd's largest sample.

    :return: one row an arm, metric and expert kappa: level, low, high, ``crowd_level`` with its interval and labels,
        ``difference`` (curated - crowd, paired by seed) with its interval, seeds, side; those of the crowd are null
        without a crowd.
    """
    rows: list[SummaryRow] = []
    for arm, quality in _noisy(arms):
        crowd = baseline(arms, CROWD, arm.setting, arm.variant)
        for metric in METRICS:
            own, theirs, gap = mean_over_seeds(arm.last(arm.seeds, metric)), _NONE, _NONE
            if crowd is not None:
                theirs, gap = mean_over_seeds(crowd.last(crowd.seeds, metric)), compare(arm, crowd, metric, LAST)
            if own.mean is not None:
                rows.append({
                    **_named(arm), "metric": metric, "expert_kappa": quality, **own.columns("level"),
                    **theirs.columns("crowd_level", "crowd_"), "crowd_labels": crowd.level("labels") if crowd else None,
                    **gap.columns("difference", "difference_"), "seeds": own.seeds, "side": gap.side,
                })  # fmt: skip
    order = (*Setting._fields, "strategy", "metric", "expert_kappa")
    return sorted(rows, key=lambda row: [(row[name] is not None, row[name]) for name in order])


def label_quality_limits(arms: Sequence[Arm], *, seed: int = 0) -> list[SummaryRow]:
    """Return the expert kappa at which the curated curve falls below the crowd's largest sample, going down.

    Linear between the expert kappas that were run; the interval is a bootstrap over seeds, paired.

    :return: one row an arm and metric: ``limit``, null with ``bound`` ">" (below the crowd already at ``highest``) or
        "<" (not below down to ``lowest``), low and high likewise, ``below_share`` of the resamples in which it falls
        below anywhere.
    """
    families: dict[tuple[Any, ...], list[tuple[float, Arm]]] = {}
    for arm, quality in _noisy(arms):
        families.setdefault((arm.setting, arm.strategy), []).append((quality, arm))
    rows = []
    for family in families.values():
        ordered = sorted(family, key=lambda each: -each[0])
        against = [(quality, arm, baseline(arms, CROWD, arm.setting, arm.variant)) for quality, arm in ordered]
        pairs = [(quality, arm, crowd) for quality, arm, crowd in against if crowd is not None]
        for metric in METRICS if pairs else ():
            rows += _limit(pairs, metric, seed)
    return rows


def _limit(pairs: Sequence[tuple[float, Arm, Arm]], metric: str, seed: int) -> list[SummaryRow]:
    seeds = all_seeds([each for _, arm, crowd in pairs for each in (arm, crowd)])
    gaps = np.column_stack([crowd.last(seeds, metric) - arm.last(seeds, metric) for _, arm, crowd in pairs])
    known = ~np.isnan(gaps).all(axis=0)
    if not known.any():
        return []
    qualities = np.array([quality for quality, _, _ in pairs])[known]
    draws = seed_draws(len(seeds), seed=seed)
    means = drawn_means(gaps[:, known], draws)
    # A strict crossing: level with the crowd is not below it.
    crossings = first_crossing(np.broadcast_to(-qualities, means.shape), means, np.full(len(means), 1e-9))
    at_once = means[:, 0] >= 1e-9
    limits = np.where(at_once, np.inf, np.where(np.isinf(crossings), -np.inf, -crossings))
    count = int((~np.isnan(gaps[:, known]).any(axis=1)).sum())
    ends = bootstrap_ends(np.where(np.isnan(crossings), np.nan, limits)[1:], count)
    row: SummaryRow = {**_named(pairs[0][1]), "metric": metric}
    for name, value in (("limit", limits[0]), ("low", ends and ends[0]), ("high", ends and ends[1])):
        bound = None if value is None else EXACT if np.isfinite(value) else MORE if value > 0 else FEWER
        row[name] = float(value) if value is not None and bound == EXACT else None
        row["bound" if name == "limit" else f"{name}_bound"] = bound
    row |= {"lowest": float(qualities.min()), "highest": float(qualities.max())}
    return [{**row, "below_share": float(np.isfinite(crossings[1:]).mean()), "seeds": count}]


def _noisy(arms: Sequence[Arm]) -> list[tuple[Arm, float]]:
    qualities = [(arm, expert_kappa_of(arm.variant)) for arm in arms if arm.strategy not in BASELINES]
    return [(arm, quality) for arm, quality in qualities if quality is not None]


def _named(arm: Arm) -> SummaryRow:
    return {**arm.setting._asdict(), "strategy": arm.strategy}
