"""What the rows of a study say: every statistic of its report, as lists of rows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from al_assets.agreement.core.kappa import Floats
from al_assets.study.cells import CROWD, LLM0
from al_assets.study.report.arms import (
    BASELINES,
    Arm,
    Setting,
    SummaryRow,
    arms_of,
    base_settings,
    baseline,
    setting_of,
)
from al_assets.study.report.comparison import against_random, controls, default_against_best
from al_assets.study.report.judgements import judgements
from al_assets.study.report.label_quality import label_quality, label_quality_limits
from al_assets.study.report.result_rows import FIGURES, rounded, tidy_rows
from al_assets.study.report.saving import crowd_equivalents, labels_needed
from al_assets.study.report.seed_statistics import RESAMPLES, SeedEstimate, mean_over_seeds

REFERENCES = ("expert_kappa", "expert_kappa_boundary", "crowd_kappa", "crowd_kappa_boundary", "prevalence")
PROBES = ("probe_embedding", "probe_student", "ceiling")


@dataclass(frozen=True)
class StudySummary:
    """The statistics of a study; intervals are 95 %, and null where a single seed has none.

    :param default: the strategy that is held against all others.
    :param seed: of the bootstrap; ``resamples`` their number.
    :param curves: means over seeds by arm, round and figure (``metric``): labels, votes, mean, low, high, seeds.
    :param references: by setting and name: agreement of expert with expert, of a crowd worker with the experts, LLM-0's
        and the crowd's largest sample's kappa, on both kinds of held-out items.
    :param against_random: see ``comparison.against_random``.
    :param needed: see ``saving.labels_needed``; ``equivalents``: see ``saving.crowd_equivalents``.
    :param default_check: see ``comparison.default_against_best``; ``controls``: see ``comparison.controls``.
    :param quality: see ``label_quality.label_quality``; ``quality_limits``: see ``label_quality.label_quality_limits``.
    :param gaps: of the last round, by arm and ``gap``: paired differences between a probe and the student, and between
        kappa on boundary items and in the population.
    :param judgements: see ``judgements.judgements``.
    :param times: seconds of a round by arm, mean over rounds, then over seeds: all, curation, training.
    """

    default: str
    seed: int
    resamples: int
    curves: list[SummaryRow]
    references: list[SummaryRow]
    against_random: list[SummaryRow]
    needed: list[SummaryRow]
    equivalents: list[SummaryRow]
    default_check: list[SummaryRow]
    controls: list[SummaryRow]
    quality: list[SummaryRow]
    quality_limits: list[SummaryRow]
    gaps: list[SummaryRow]
    judgements: list[SummaryRow]
    times: list[SummaryRow]

    @property
    def settings(self) -> list[Setting]:
        """Every data set, student, embedding and budget that strategies were compared in."""
        known = (row for row in self.curves if row["variant"] == "" and row["strategy"] not in BASELINES)
        return list(dict.fromkeys(setting_of(row) for row in known))

    @property
    def has_probes(self) -> bool:
        """Whether linear probes were fitted."""
        return any(row["metric"] in PROBES for row in self.curves)

    @property
    def strategies(self) -> list[str]:
        """Every strategy that picks, the default first, random last."""
        strategies = {row["strategy"] for row in self.curves}.difference(BASELINES)
        return sorted(strategies, key=lambda name: (name != self.default, name == "random", name))

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it: figures have 6 digits."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def summarise(rows: pl.DataFrame, *, default: str = "boundary_pairs", seed: int = 0) -> StudySummary:
    """Return every statistic of a study's rows; their order does not matter.

    :param rows: as ``read_rows`` returns them.
    :param default: the strategy that the answer is about.
    :param seed: of the bootstrap over seeds.
    :raises ValueError: see ``read_rows``; or there are no rows.
    """
    rows = tidy_rows(rows)
    if rows.is_empty():
        raise ValueError("rows: there are none; run the study first")
    arms = arms_of(rows)
    return StudySummary(
        default=default,
        seed=seed,
        resamples=RESAMPLES,
        curves=_curves(arms),
        references=_references(arms),
        against_random=against_random(arms),
        needed=labels_needed(arms, seed=seed),
        equivalents=crowd_equivalents(arms, seed=seed),
        default_check=default_against_best(arms, default),
        controls=controls(arms),
        quality=label_quality(arms),
        quality_limits=label_quality_limits(arms, seed=seed),
        gaps=_gaps(arms),
        judgements=judgements(arms),
        times=_times(arms),
    )


def _plain(value: Any) -> Any:
    """Return rows with figures of six digits; anything else as it is."""
    if not isinstance(value, list):
        return value
    return [{name: rounded(each) if isinstance(each, float) else each for name, each in row.items()} for row in value]


def _curves(arms: Sequence[Arm]) -> list[SummaryRow]:
    rows = []
    for arm in arms:
        for name in FIGURES:
            # What does not depend on the round stands in ``references``.
            if name in REFERENCES:
                continue
            grid = arm.values[name]
            for at, number in enumerate(arm.rounds):
                estimate = mean_over_seeds(grid[:, at])
                if estimate.mean is not None:
                    cost = {each: _mean(arm.values[each][:, at]) for each in ("labels", "votes")}
                    rows.append({**arm.key, "round": number, **cost, "metric": name, **_columns(estimate)})
    return rows


def _references(arms: Sequence[Arm]) -> list[SummaryRow]:
    rows = []
    for setting, own in base_settings(arms).items():
        # One value a seed: arms of a seed share the held-out items, but one of them may lack the figure.
        by_name = {name: _by_seed([arm for arm in arms if _shares_items(arm, setting)], name) for name in REFERENCES}
        for title, strategy in (("llm0", LLM0), ("crowd_largest", CROWD)):
            other = baseline(arms, strategy, setting)
            for metric, suffix in (("kappa", ""), ("kappa_boundary", "_boundary")):
                if other is not None:
                    by_name[title + suffix] = other.last(other.seeds, metric)
        by_name["ceiling"] = _by_seed(own, "ceiling")
        for name, values in by_name.items():
            each = mean_over_seeds(values)
            if each.mean is not None:
                rows.append({**setting._asdict(), "name": name, **_columns(each)})
    return rows


def _shares_items(arm: Arm, setting: Setting) -> bool:
    return arm.setting.dataset == setting.dataset and arm.variant == ""


def _by_seed(arms: Sequence[Arm], name: str) -> Floats:
    by_seed: dict[int, list[float]] = {}
    for arm in arms:
        for row, seed in enumerate(arm.seeds):
            by_seed.setdefault(seed, []).extend(arm.values[name][row].tolist())
    known = [[value for value in by_seed[seed] if not np.isnan(value)] for seed in sorted(by_seed)]
    return np.array([np.mean(values) for values in known if values], dtype=np.float64)


def _gaps(arms: Sequence[Arm]) -> list[SummaryRow]:
    pairs = {
        "probe_embedding - kappa": ("probe_embedding", "kappa"),
        "probe_student - kappa": ("probe_student", "kappa"),
        "ceiling - kappa": ("ceiling", "kappa"),
        "kappa_best - kappa": ("kappa_best", "kappa"),
        "kappa_boundary - kappa": ("kappa_boundary", "kappa"),
    }
    rows = []
    for arm in arms:
        for name, (first, second) in pairs.items():
            estimate = mean_over_seeds(arm.last(arm.seeds, first) - arm.last(arm.seeds, second))
            if estimate.mean is not None:
                rows.append({**arm.key, "gap": name, **_columns(estimate), "side": estimate.side})
    return rows


def _times(arms: Sequence[Arm]) -> list[SummaryRow]:
    rows = []
    for arm in arms:
        for name in ("curation_seconds", "seconds", "training_seconds"):
            grid = arm.values[name]
            known = grid[~np.isnan(grid).all(axis=1)]
            estimate = mean_over_seeds(np.array([_mean(row) for row in known]))
            if estimate.mean is not None:
                rows.append({**arm.key, "part": name, **_columns(estimate)})
    return rows


def _columns(estimate: SeedEstimate) -> dict[str, Any]:
    return {**estimate.columns(), "seeds": estimate.seeds}


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
