"""What the figures of a report mean, in plain sentences."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from al_assets.agreement.core.figures import Figure, figure_of, interval_of
from al_assets.agreement.core.kappa import kappa_of
from al_assets.agreement.stopping.conclusion import NO_RULE_FIRED, conclusion_of, name_of
from al_assets.formatting import capital, decimal, interval, percent

VERDICTS = {
    "continue": f"Go on: {NO_RULE_FIRED}.",
    "parity": "Stop: the student agrees with the experts as well as they agree with each other.",
    "plateau": "Stop: more labels no longer raise the student's agreement with the experts.",
    "stable": "Stop: successive students label the pool alike; more labels change little.",
    "budget spent": "Stop: the labels or iterations that were granted are used up.",
    "guideline problem": "Stop and mend the guideline: the experts agree too little among themselves.",
}
RULES = {
    "guideline problem": "the experts agree too little for more labels to help",
    "parity": "the student agrees with the experts as well as they agree with each other",
    "budget spent": "the labels or iterations that were granted are used up",
    "plateau": "kappa on the panel surely no longer rises",
    "stable": "successive students label the stop set alike",
    "predicted change": "the last students would differ little in F; advice, ends nothing",
}


_SAME = 0.02


@dataclass(frozen=True)
class ScopeFigures:
    """What one scope says about the model; None where undefined.

    :param kappa: mean model-expert kappa.
    :param prevalence: share of positive votes among the scope's items.
    :param expert_kappa: mean expert-expert kappa.
    :param precision, recall: of the model; needed of the population only.
    """

    kappa: float | None
    prevalence: float | None
    expert_kappa: float | None = None
    precision: float | None = None
    recall: float | None = None


def why_scopes_differ(boundary: ScopeFigures, population: ScopeFigures) -> str:
    """Say in one sentence what prevalence and what difficulty have to do with the difference of the two kappas.

    Kappa depends on the share of positives even where the model's error rates stay (Feinstein and Cicchetti 1990).
    What the pool's error rates would give at the boundary's share of positives separates the two: from the pool's
    kappa to that is prevalence, from that to the boundary's kappa is difficulty, as boundary items are chosen for
    being hard to tell apart.
    """
    if boundary.kappa is None or population.kappa is None:
        missing = " and ".join(
            name for name, scope in (("boundary", boundary), ("population", population)) if scope.kappa is None
        )
        return f"Boundary and population cannot be compared: no model-expert kappa for {missing}."
    stand = (
        f"The model agrees with the experts with kappa {decimal(boundary.kappa)} on boundary items and "
        f"{decimal(population.kappa)} in the whole pool"
    )
    moved = kappa_at(population, boundary.prevalence)
    if moved is None:
        return f"{stand}; boundary items are chosen for being hard and hold another share of positives than the pool."
    return f"{stand}: {_by_prevalence(boundary, population, moved)}, {_by_difficulty(boundary, population, moved)}."


def kappa_at(scope: ScopeFigures, prevalence: float | None) -> float | None:
    """Return the kappa that a scope's error rates would give at another share of positives.

    :return: None if a figure it takes is unknown, or kappa would be undefined.
    """
    known = (scope.prevalence, scope.precision, scope.recall, prevalence)
    if any(value is None for value in known):
        return None
    positive, precision, recall, wanted = (float(value) for value in known if value is not None)
    if not (0 < positive < 1 and precision > 0 and 0 < wanted < 1):
        return None
    false_alarm = min(1.0, positive * recall * (1 / precision - 1) / (1 - positive))
    both, model_only = wanted * recall, (1 - wanted) * false_alarm
    kappa = float(kappa_of(np.array([both, model_only, wanted - both, 1 - wanted - model_only])))
    return None if np.isnan(kappa) else kappa


def _by_prevalence(boundary: ScopeFigures, population: ScopeFigures, moved: float) -> str:
    shares = f"{percent(boundary.prevalence)} of them are positive against {percent(population.prevalence)} of the pool"
    effect = moved - (population.kappa or 0.0)
    if abs(effect) < _SAME:
        return f"{shares}, which at equal error rates changes kappa by less than {_SAME:g}"
    return (
        f"{shares}, which at equal error rates {'raises' if effect > 0 else 'lowers'} kappa by {decimal(abs(effect))}"
    )


def _by_difficulty(boundary: ScopeFigures, population: ScopeFigures, moved: float) -> str:
    effect = (boundary.kappa or 0.0) - moved
    harder = (
        f"and being chosen for their difficulty lowers it by {decimal(abs(effect))}"
        if effect <= -_SAME
        else f"and they are no harder for the model than the pool ({decimal(effect, sign=True)})"
    )
    if boundary.expert_kappa is None or population.expert_kappa is None:
        return harder
    return (
        f"{harder} (the experts themselves agree with kappa {decimal(boundary.expert_kappa)} there and "
        f"{decimal(population.expert_kappa)} in the pool)"
    )


def verdict_sentence(report: pl.DataFrame) -> str:
    """Return the verdict of a report in a sentence."""
    verdict = conclusion_of(report).verdict
    return VERDICTS.get(verdict, f"Verdict: {verdict}.")


def verdict_reason(report: pl.DataFrame) -> str:
    """Return why the verdict is what it is; "" where the sentence has said it all."""
    reason = conclusion_of(report).verdict_reason
    return "" if reason == NO_RULE_FIRED else f"{capital(reason.removesuffix('.'))}."


def standing_sentence(report: pl.DataFrame) -> str:
    """Return how the student stands to the experts in the pool; on the evaluation items where the pool is not known."""
    in_pool = figure_of(report, "model_expert_kappa", "audit")
    scope = "evaluation" if in_pool is None or in_pool.estimate is None else "audit"
    student = figure_of(report, "model_expert_kappa", scope)
    experts = figure_of(report, "expert_expert_kappa", scope)
    if student is None or student.estimate is None:
        why = student.detail if student else "the report has no such figure"
        return f"How far the student agrees with the experts is not known: {why}."
    where = {
        "audit": f"In the pool, estimated from {student.items} random items,",
        "evaluation": f"On {student.items} evaluation items, which are no sample of the pool,",
    }
    stand = f"{where[scope]} the student agrees with an expert at kappa {figure_text(student)}"
    if experts is None or experts.estimate is None:
        return f"{stand}; the experts' agreement with each other is not known on them."
    return f"{stand}, two experts with each other at {figure_text(experts)}. {_distance(report, scope)}"


def _distance(report: pl.DataFrame, scope: str) -> str:
    gap = figure_of(report, "parity_difference", scope)
    if gap is None or gap.estimate is None:
        return ""
    if gap.low is None or gap.high is None:
        return f"The difference is {decimal(gap.estimate, sign=True)}; how sure that is cannot be said: {gap.detail}."
    difference = f"The difference of {decimal(gap.estimate, sign=True)} ({interval(gap.low, gap.high, sign=True)})"
    if gap.high < 0:
        return f"{difference} is more than chance: the student is below the experts."
    if gap.low > 0:
        return (
            f"{difference} is more than chance: the student agrees with the experts more than they do with each other."
        )
    return f"{difference} may be chance: these items do not tell whether the student is below the experts."


def population_sentence(report: pl.DataFrame, boundary_share: float | None) -> str:
    """Return why the figures of boundary and population differ, with how they do here.

    :param boundary_share: share of positive votes among the boundary's items.
    """
    return (
        "Boundary items were chosen because they are hard: they lie where the two labels meet. Random items were drawn "
        "with known chances and speak for the whole pool. So the two answer different questions: the boundary says how "
        "well hard cases are decided, the population what the pool gets. "
        f"{why_scopes_differ(*_scopes(report, boundary_share))}{_overlap(report)}"
    )


def recommended_sentence(report: pl.DataFrame) -> str:
    """Return which model to take, and why: not who selects next, but who is better in the pool."""
    said = conclusion_of(report)
    return f"The model to take is {name_of(said.recommended)}. {capital(said.better_reason)}."


def undecided_sentence(report: pl.DataFrame) -> str:
    """Return where kappa would lie, had every "cannot decide" been decided; "" where there is none."""
    told = []
    for kappa, who in (("expert_expert_kappa", "expert-expert"), ("model_expert_kappa", "student-expert")):
        worst, shown, best = (figure_of(report, f"{kappa}{end}", "evaluation") for end in ("_worst", "", "_best"))
        if worst and best and shown and worst.estimate is not None and best.estimate is not None:
            told.append(
                f"{who} kappa between {decimal(worst.estimate)} and {decimal(best.estimate)} "
                f"({decimal(shown.estimate)} without these answers)"
            )
    if not told:
        return ""
    return f"Had they all been decided, the evaluation items would give {' and '.join(told)}."


def _scopes(report: pl.DataFrame, boundary_share: float | None) -> tuple[ScopeFigures, ScopeFigures]:
    def known(figure: str, scope: str) -> float | None:
        known = figure_of(report, figure, scope)
        return None if known is None else known.estimate

    boundary = ScopeFigures(
        known("model_expert_kappa", "boundary"), boundary_share, known("expert_expert_kappa", "boundary")
    )
    names = ("model_expert_kappa", "prevalence", "expert_expert_kappa", "precision", "recall")
    return boundary, ScopeFigures(*(known(name, "audit") for name in names))


def _overlap(report: pl.DataFrame) -> str:
    edge, whole = (interval_of(report, "model_expert_kappa", scope) for scope in ("boundary", "audit"))
    if edge is None or whole is None:
        return ""
    if edge[1] <= whole[2] and whole[1] <= edge[2]:
        return " The 95 % intervals overlap."
    return " The 95 % intervals do not overlap."


def figure_text(figure: Figure, digits: int = 2) -> str:
    """Return a figure as ``0.55 (0.42 to 0.66)``, ``0.55 (no interval)`` or ``undefined``."""
    if figure.estimate is None:
        return "undefined"
    return f"{decimal(figure.estimate, digits)} ({interval(figure.low, figure.high, digits, missing='no interval')})"
