"""How many labels a strategy saves: labels needed to reach a kappa, and the crowd labels that do as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.kappa import Floats
from al_assets.study.cells import CROWD
from al_assets.study.report.arms import METRICS, RANDOM, Arm, Setting, SummaryRow, all_seeds, base_settings, baseline
from al_assets.study.report.comparison import LAST, compare
from al_assets.study.report.seed_statistics import bootstrap_ends, drawn_means, first_crossing, isotonic, seed_draws

EXACT, MORE, FEWER = "=", ">", "<"
"""Whether a number is known, or only that it lies above or below what was run."""
CROWD_TARGET, RANDOM_TARGET, HIGHEST_TARGET = "crowd's largest sample", "random's last round", ".8 of the highest mean"
_HIGHEST_SHARE = 0.8


@dataclass(frozen=True)
class _Curve:
    """Mean curves over drawn seeds: x and y of shape (draws, rounds); the first row holds each seed once."""

    x: Floats
    y: Floats
    seeds: int


def labels_needed(arms: Sequence[Arm], *, seed: int = 0) -> list[SummaryRow]:
    """Return at how many labels each strategy's mean curve first reaches a kappa, linear between rounds.

    The targets are the crowd's kappa at its largest sample, random's in its last round, and .8 of the highest mean of
    any strategy and round; they are computed anew in every resample, so that an interval covers the target's
    uncertainty too. The crowd's labels follow ``crowd_equivalents``.

    :return: one row a setting, strategy, metric and target. ``labels`` is null if the target is not reached within
        ``last_labels``, and ``bound`` then ">"; "<" if the first round, of ``first_labels``, reaches it already.
        ``high`` is null with ``interval`` true if that end is "not reached"; ``interval`` false means none is known.
        ``reached_share``: of the resamples. ``random_factor`` and ``crowd_factor`` are the labels that random and the
        crowd need, divided by the strategy's, with ``..._bound``: ">" if only a lower bound is known, "<" if only an
        upper one; null if neither is.
    """
    rows: list[SummaryRow] = []
    for setting, own in base_settings(arms).items():
        crowd = baseline(arms, CROWD, setting)
        seeds = all_seeds([*own, *([crowd] if crowd else [])])
        draws = seed_draws(len(seeds), seed=seed)
        for metric in METRICS:
            curves = {arm.strategy: _curve(arm, seeds, draws, metric) for arm in own}
            curves = {name: curve for name, curve in curves.items() if curve.x.shape[1]}
            crowd_curve = _curve(crowd, seeds, draws, metric) if crowd else None
            for target, level in _targets(curves, crowd_curve).items():
                rows += _needed(setting, metric, target, level, curves, crowd_curve)
    return rows


def crowd_equivalents(arms: Sequence[Arm], *, seed: int = 0) -> list[SummaryRow]:
    """Return how many crowd labels give the kappa of each strategy's last round.

    The crowd's mean kappa is made non-decreasing in N (isotonic regression, weights: seeds) and is linear in log N
    between the sizes. Seeds are resampled for both together.

    :return: one row a setting, strategy and metric. ``crowd_labels`` is null with ``bound`` ">" (more than ``most``,
        the largest sample) or "<" (fewer than ``fewest``); so are ``low`` and ``high``, which are null with a null
        bound if there is no interval. ``per_label`` and ``per_vote`` divide by the strategy's expert labels and votes;
        where ``bound`` is not "=" they are bounds of the same kind. ``difference``: strategy - crowd's largest sample.
    """
    rows: list[SummaryRow] = []
    for setting, own in base_settings(arms).items():
        crowd = baseline(arms, CROWD, setting)
        if crowd is None:
            continue
        seeds = all_seeds([*own, crowd])
        draws = seed_draws(len(seeds), seed=seed)
        for metric in METRICS:
            reference = _curve(crowd, seeds, draws, metric)
            if reference.x.shape[1]:
                own_curves = [(arm, _curve(arm, seeds, draws, metric)) for arm in own]
                rows += [
                    {
                        **_equivalent(arm, metric, curve, reference),
                        **compare(arm, crowd, metric, LAST).columns("difference", "difference_"),
                    }
                    for arm, curve in own_curves
                    if curve.seeds
                ]
    return rows


def _curve(arm: Arm, seeds: Sequence[int], draws: Floats, metric: str) -> _Curve:
    labels, kappas = arm.on(seeds, "labels"), arm.on(seeds, metric)
    known = ~np.isnan(kappas).all(axis=0)
    # A round that some seeds lack has its labels from the others.
    x = np.broadcast_to(np.nanmean(labels[:, known], axis=0), (len(draws), int(known.sum())))
    y = drawn_means(kappas[:, known], draws)
    if arm.strategy == CROWD and known.any():
        y = isotonic(y, draws @ (~np.isnan(kappas[:, known])).astype(np.float64))
    last = kappas[:, known][:, -1] if known.any() else np.empty(0)
    return _Curve(x, y, int((~np.isnan(last)).sum()))


def _targets(curves: Mapping[str, _Curve], crowd: _Curve | None) -> dict[str, Floats]:
    targets = {}
    if crowd is not None and crowd.x.shape[1]:
        targets[CROWD_TARGET] = crowd.y[:, -1]
    if RANDOM in curves:
        targets[RANDOM_TARGET] = curves[RANDOM].y[:, -1]
    if curves:
        highest = np.max(
            [np.nanmax(np.where(np.isnan(each.y), -1.0, each.y), axis=1) for each in curves.values()], axis=0
        )
        targets[HIGHEST_TARGET] = _HIGHEST_SHARE * highest
    return targets


def _needed(
    setting: Setting, metric: str, target: str, level: Floats, curves: Mapping[str, _Curve], crowd: _Curve | None
) -> list[SummaryRow]:
    needed = {name: first_crossing(curve.x, curve.y, level) for name, curve in curves.items()}
    of_crowd = _crowd_labels(crowd, level) if crowd is not None and crowd.x.shape[1] else None
    rows = []
    for name, curve in curves.items():
        labels, ends = needed[name], bootstrap_ends(needed[name][1:], curve.seeds)
        low, high = (_finite(each) for each in ends) if ends else (None, None)
        first, last = float(curve.x[0, 0]), float(curve.x[0, -1])
        row = {
            **setting._asdict(), "strategy": name, "metric": metric, "target": target, "level": float(level[0]),
            "labels": _finite(labels[0]), "bound": _bound(labels[0], first), "low": low, "high": high,
            "interval": ends is not None, "first_labels": first, "last_labels": last,
            "reached_share": float(np.isfinite(labels[1:]).mean()), "seeds": curve.seeds,
            **_factor("random", needed.get(RANDOM), curves.get(RANDOM), labels, curve),
            **_factor("crowd", of_crowd, crowd, labels, curve),
        }  # fmt: skip
        rows.append(row)
    return rows


def _factor(name: str, other: Floats | None, others: _Curve | None, own: Floats, curve: _Curve) -> SummaryRow:
    """Return the labels that the other needs divided by one's own, with what is known of it."""
    row: SummaryRow = {f"{name}_{each}": None for each in ("factor", "bound", "low", "high", "interval")}
    if other is None or others is None:
        return row
    row[f"{name}_interval"] = False
    first, last = float(others.x[0, 0]), float(others.x[0, -1])
    theirs, mine = _bound(other[0], first), _bound(own[0], float(curve.x[0, 0]))
    limits = {EXACT: {EXACT: EXACT, FEWER: MORE, MORE: FEWER}, MORE: {EXACT: MORE, FEWER: MORE},
              FEWER: {EXACT: FEWER, MORE: FEWER}}  # fmt: skip
    bound = limits[theirs].get(mine)
    if bound is None or np.isnan(other[0]) or np.isnan(own[0]):
        return row
    row[f"{name}_bound"] = bound
    row[f"{name}_factor"] = float(min(max(other[0], first), last) / min(own[0], float(curve.x[0, -1])))
    with np.errstate(invalid="ignore"):
        ratios = np.maximum(other, first) / own
    ends = bootstrap_ends(ratios[1:], min(curve.seeds, others.seeds))
    if ends:
        row[f"{name}_low"], row[f"{name}_high"] = (_finite(each) for each in ends)
        row[f"{name}_interval"] = True
    return row


def _crowd_labels(crowd: _Curve, level: Floats) -> Floats:
    """Return the crowd labels that reach a level: infinity above the largest sample, 0 below the smallest."""
    crowd_labels = np.exp(first_crossing(np.log(crowd.x), crowd.y, level))
    return np.where(level < crowd.y[:, 0] - 1e-12, 0.0, crowd_labels)


def _equivalent(arm: Arm, metric: str, curve: _Curve, crowd: _Curve) -> SummaryRow:
    level = curve.y[:, -1]
    crowd_labels = _crowd_labels(crowd, level)
    fewest, most = float(crowd.x[0, 0]), float(crowd.x[0, -1])
    ends = bootstrap_ends(crowd_labels[1:], min(curve.seeds, crowd.seeds))
    (value, bound), (low, low_bound), (high, high_bound) = (
        (None, None) if each is None or np.isnan(each) else (_finite(each) or None, _outside(each))
        for each in (crowd_labels[0], *(ends or (None, None)))
    )
    labels, votes = arm.level("labels"), arm.level("votes")
    row = {
        **arm.setting._asdict(), "strategy": arm.strategy, "metric": metric, "level": float(level[0]),
        "labels": labels, "votes": votes, "crowd_labels": value, "bound": bound, "low": low, "low_bound": low_bound,
        "high": high, "high_bound": high_bound, "fewest": fewest, "most": most,
        "crowd_level": float(crowd.y[0, -1]),
    }  # fmt: skip
    for name, cost in (("per_label", labels), ("per_vote", votes)):
        shown = most if bound == MORE else fewest if bound == FEWER else value
        row[name] = shown / cost if shown and cost else None
        row[f"{name}_low"], row[f"{name}_high"] = (each / cost if each and cost else None for each in (low, high))
    return {**row, "seeds": min(curve.seeds, crowd.seeds)}


def _outside(value: float) -> str:
    return MORE if np.isinf(value) else FEWER if value == 0 else EXACT


def _bound(value: float, first: float) -> str:
    return MORE if np.isinf(value) else FEWER if value <= first * (1 + 1e-9) else EXACT


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
