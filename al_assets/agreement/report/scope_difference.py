"""Why kappa on boundary items and kappa in the whole pool differ, in one sentence."""

from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.two_by_two import kappa_of

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
    found = (
        f"The model agrees with the experts with kappa {boundary.kappa:.2f} on boundary items and "
        f"{population.kappa:.2f} in the whole pool"
    )
    moved = kappa_at(population, boundary.prevalence)
    if moved is None:
        return f"{found}; boundary items are chosen for being hard and hold another share of positives than the pool."
    return f"{found}: {_by_prevalence(boundary, population, moved)}, {_by_difficulty(boundary, population, moved)}."


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
    shares = f"{boundary.prevalence:.0%} of them are positive against {population.prevalence:.0%} of the pool"
    effect = moved - (population.kappa or 0.0)
    if abs(effect) < _SAME:
        return f"{shares}, which at equal error rates changes kappa by less than {_SAME:g}"
    return f"{shares}, which at equal error rates {'raises' if effect > 0 else 'lowers'} kappa by {abs(effect):.2f}"


def _by_difficulty(boundary: ScopeFigures, population: ScopeFigures, moved: float) -> str:
    effect = (boundary.kappa or 0.0) - moved
    harder = (
        f"and being chosen for their difficulty lowers it by {abs(effect):.2f}"
        if effect <= -_SAME
        else f"and they are no harder for the model than the pool ({effect:+.2f})"
    )
    if boundary.expert_kappa is None or population.expert_kappa is None:
        return harder
    return (
        f"{harder} (the experts themselves agree with kappa {boundary.expert_kappa:.2f} there and "
        f"{population.expert_kappa:.2f} in the pool)"
    )
