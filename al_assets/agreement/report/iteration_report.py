"""The kappa report of one iteration: every figure with its interval, the stopping rules, verdict and promotion."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, Interval, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import LabelledItems, aligned, labelled_items
from al_assets.agreement.population.reliability import reliability_figures
from al_assets.agreement.population.stop_set import AGREEMENT, CHANGE, labels_at, stop_set_scope
from al_assets.agreement.population.student_threshold import (
    OUT_OF_FOLD,
    CalibrationRules,
    StudentThreshold,
    choose_threshold,
)
from al_assets.agreement.population.thresholds import PRIOR_STRENGTH
from al_assets.agreement.report.gain_decomposition import combinations, measured_parts, population_parts
from al_assets.agreement.report.scopes import (
    Figure,
    Scope,
    agreement_leverage,
    as_figure,
    expert_scope,
    frame_of,
    measured_scope,
    population_scope,
)
from al_assets.agreement.report.second_opinion import second_opinion
from al_assets.agreement.stopping import Decision, Evidence, StoppingRules, promotion, verdict

__all__ = [
    "Figure",
    "StudentThreshold",
    "frame_of",
    "is_promoted",
    "kappa_report",
    "scope_masks",
    "student_labels",
    "student_threshold",
    "verdict_of",
]

RANDOM_REASONS = ("audit", "control")
_NO_FRAMES: Mapping[str, pl.DataFrame] = {}


def student_threshold(
    votes: pl.DataFrame,
    split: pl.DataFrame,
    scores: pl.DataFrame,
    *,
    expected_prevalence: float,
    prior_strength: float = PRIOR_STRENGTH,
    calibration: CalibrationRules | None = None,
) -> StudentThreshold:
    """Return the student's threshold and the calibration behind it, see ``threshold.choose_threshold``.

    The prevalence is that of the audit labels (weighted, Hajek), shrunk towards the policy's expected prevalence
    as if that were ``prior_strength`` labelled items. So evaluation labels touch the student's decisions through
    one number only, the prevalence; which items they call positive never does.

    :param votes: see ``kappa_report``, as are split and scores.
    """
    items = labelled_items(votes, split, scores)
    return choose_threshold(items, scores, expected_prevalence, prior_strength=prior_strength, rules=calibration)


def student_labels(scores: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the student's labels, columns item_id, role, label; to be kept for the next iterations' reports."""
    # Out-of-fold scores are those of other students.
    own = scores.filter(pl.col("role") != OUT_OF_FOLD)
    return own.select("item_id", "role", (pl.col("p_student") >= threshold).alias("label"))


def kappa_report(
    *,
    iteration: str,
    votes: pl.DataFrame,
    split: pl.DataFrame,
    scores: pl.DataFrame,
    expected_prevalence: float,
    labels: int,
    rules: StoppingRules | None = None,
    history: Mapping[str, pl.DataFrame] = _NO_FRAMES,
    earlier_labels: Mapping[str, pl.DataFrame] = _NO_FRAMES,
    prior_strength: float = PRIOR_STRENGTH,
    calibration: CalibrationRules | None = None,
    resamples: int = 2_000,
    seed: int = 0,
) -> list[Figure]:
    """Return every figure of an iteration's report, one for each (figure, scope).

    Scopes: boundary, control, evaluation (all evaluation items) and panel with BCa intervals over groups; audit,
    weighted to the pool; pool, the unlabelled stop set; loop, what concerns the loop as a whole.

    :param iteration: this iteration's key, such as ``"0003"``.
    :param votes: current votes of all iterations so far, one row for each item and rater: item_id, rater, label
        (positive, negative, undecided), iteration, reason, group_id, stratum, stratum_size, inclusion_probability.
    :param split: one row for each labelled item: item_id, split (evaluation, fine-tuning, panel), reason, iteration.
    :param scores: item_id, role (evaluation, stop_set, out_of_fold), p_student, p_incumbent, incumbent_label. Every
        labelled evaluation item must be there; the stop set is a uniform random sample of the pool; out_of_fold rows,
        if any, are fine-tuning items scored by a student that was not trained on them.
    :param labels: labels bought so far, compared with ``rules.max_labels``.
    :param history: earlier iterations' reports by key; used: their stop_set_agreement and
        predicted_f_change.
    :param earlier_labels: earlier students' labels by key: item_id, label (boolean), on panel and stop set, as
        ``student_labels`` gave them.
    :raises ValueError: a frame lacks a column, repeats a row, or an evaluation item or the stop set has no scores.
    """
    if not iteration.isdigit():
        raise ValueError(f"iteration: {iteration!r}; expected a key of digits, such as '0003'")
    rules = rules or StoppingRules()
    items = labelled_items(votes, split, scores)
    choice = choose_threshold(items, scores, expected_prevalence, prior_strength=prior_strength, rules=calibration)
    student = labels_at(items.p_student, choice.threshold)
    scopes = _scopes(items, student, resamples, seed)
    gain = _panel_gain(items, student, earlier_labels, _key_before(iteration, rules.window), resamples, seed)
    pool = stop_set_scope(
        scores, choice.threshold, earlier_labels.get(_key_before(iteration, 1) or ""), resamples=resamples, seed=seed
    )
    evidence = Evidence(
        iterations=int(iteration) + 1,
        labels=labels,
        parity=scopes["evaluation"].interval("parity_difference", 0.90),
        panel_gain=gain.interval(0.80),
        expert_kappa=scopes["loop"].interval("expert_expert_kappa", 0.90),
        population_kappa=scopes["audit"].interval("expert_expert_kappa", 0.90),
        stop_set_agreements=(*_past(AGREEMENT, history, iteration), pool[AGREEMENT].estimate),
        stop_set_changes=(*_past(CHANGE, history, iteration), pool[CHANGE].estimate),
    )
    figures = [figure for scope in scopes.values() for figure in scope.figures()]
    figures.append(as_figure("panel_gain", "panel", gain.interval(0.95), gain.detail))
    figures += [*choice.figures(), *_calibration_figures(items, scores, choice, resamples, seed), *pool.values()]
    held_out = items.evaluation
    figures += second_opinion(items.votes[held_out], student[held_out], evidence.parity, margin=rules.parity_margin)
    return [*figures, *_loop_figures(rules.decide(evidence), labels, scopes["evaluation"].interval("student_gain"))]


def verdict_of(report: pl.DataFrame) -> tuple[str, str]:
    """Return the verdict of a report (continue, parity, plateau, stable, budget spent, guideline problem) and why."""
    found, _, reason = _detail(report, "verdict").partition(": ")
    return found, reason


def is_promoted(report: pl.DataFrame) -> bool:
    """Return whether the student of a report becomes the incumbent."""
    return _detail(report, "promotion").startswith("promote")


def scope_masks(items: LabelledItems) -> dict[str, NDArray[np.bool_]]:
    """Return which labelled items belong to each scope of labelled items: shape (items,) each."""
    evaluation = items.evaluation
    return {
        "boundary": evaluation & ~np.isin(items.reason, RANDOM_REASONS),
        "control": evaluation & (items.reason == "control"),
        "evaluation": evaluation,
        "panel": items.split == "panel",
        "audit": evaluation & (items.reason == "audit"),
        "loop": np.ones(len(items), dtype=np.bool_),
    }


@dataclass(frozen=True)
class _PanelGain:
    distribution: Distribution | None
    items: int
    detail: str

    def interval(self, confidence: float) -> Interval:
        if self.distribution is None:
            return Interval(None, None, None, self.items, self.detail)
        return self.distribution.interval(self.items, confidence, "kappa is undefined for one of the two students")


def _scopes(items: LabelledItems, student: Floats, resamples: int, seed: int) -> dict[str, Scope]:
    masks = scope_masks(items)
    scopes = {
        name: measured_scope(name, items.where(mask), student[mask], resamples=resamples, seed=seed)
        for name, mask in masks.items()
        if name not in ("audit", "loop")
    }
    audit = masks["audit"]
    scopes["audit"] = population_scope("audit", items.where(audit), student[audit], resamples=resamples, seed=seed)
    scopes["loop"] = expert_scope("loop", items, resamples=resamples, seed=seed)
    return scopes


def _panel_gain(
    items: LabelledItems,
    student: Floats,
    earlier_labels: Mapping[str, pl.DataFrame],
    key: str | None,
    resamples: int,
    seed: int,
) -> _PanelGain:
    if key is None or key not in earlier_labels:
        return _PanelGain(None, 0, "no student that many iterations ago" if key is None else f"no labels of {key}")
    panel = (items.split == "panel") & (items.decisive > 0)
    kept = items.where(panel)
    earlier = aligned(earlier_labels[key], kept.item_id)
    known = ~np.isnan(earlier)
    kept, now, earlier = kept.where(known), student[panel][known], earlier[known]
    if not len(kept):
        return _PanelGain(None, 0, f"no labelled panel item that the student of {key} labelled")
    agreement = Panel(kept.votes, {"now": now, "earlier": earlier})

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = agreement.kappas(weights)
        return {"panel_gain": figures["now_expert_kappa"] - figures["earlier_expert_kappa"]}

    leverage = agreement_leverage(kept.positive_share)
    found = grouped_distributions(statistics, kept.group, resamples=resamples, seed=seed, leverage=leverage)
    shared = int((kept.decisive > 1).sum())
    return _PanelGain(found["panel_gain"], shared, f"kappa gained since the student of {key}, paired; BCa over groups")


def _calibration_figures(
    items: LabelledItems, scores: pl.DataFrame, choice: StudentThreshold, resamples: int, seed: int
) -> list[Figure]:
    masks, models = scope_masks(items), combinations(items, scores, choice.threshold)
    held_out, audited = (items.where(masks[name]) for name in ("evaluation", "audit"))
    on_held_out, on_audited = (models.where(masks[name]) for name in ("evaluation", "audit"))
    return [
        *measured_parts("evaluation", held_out, on_held_out, resamples=resamples, seed=seed),
        *population_parts("audit", audited, on_audited, resamples=resamples, seed=seed),
        *reliability_figures("audit", audited, choice.calibration, resamples=resamples, seed=seed),
    ]


def _loop_figures(decisions: list[Decision], labels: int, gain: Interval) -> list[Figure]:
    found, reason = verdict(decisions)
    promote, why = promotion(gain)
    return [
        Figure("labels", "loop", float(labels), detail="labels bought so far"),
        *(
            Figure(f"stop_{decision.name.replace(' ', '_')}", "loop", float(decision.fired), detail=decision.reason)
            for decision in decisions
        ),
        Figure(
            "promotion", "loop", float(promote), items=gain.items, detail=f"{'promote' if promote else 'keep'}: {why}"
        ),
        Figure("verdict", "loop", float(found != "continue"), detail=f"{found}: {reason}"),
    ]


def _past(figure: str, history: Mapping[str, pl.DataFrame], iteration: str) -> list[float | None]:
    found: list[float | None] = []
    for number in range(1, int(iteration)):
        report = history.get(str(number).zfill(len(iteration)))
        values = [] if report is None else _rows(report, figure)["estimate"].to_list()
        found.append(values[0] if values else None)
    return found


def _key_before(iteration: str, steps: int) -> str | None:
    number = int(iteration) - steps
    return str(number).zfill(len(iteration)) if number >= 0 else None


def _rows(report: pl.DataFrame, figure: str) -> pl.DataFrame:
    return report.filter(pl.col("figure") == figure)


def _detail(report: pl.DataFrame, figure: str) -> str:
    details = _rows(report, figure)["detail"].to_list()
    if not details or details[0] is None:
        raise ValueError(f"report: no row {figure!r}; expected a frame made by kappa_report and frame_of")
    return str(details[0])
