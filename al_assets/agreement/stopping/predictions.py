"""The rules that need no label: how much successive students' predictions on the unlabelled stop set still change."""

from dataclasses import dataclass
from statistics import fmean

from al_assets.agreement.stopping.evidence import STABLE, Decision, Evidence


@dataclass(frozen=True)
class Stabilised:
    """Fires when successive students label the unlabelled stop set alike (Bloodgood and Vijay-Shanker 2009).

    The mean kappa of the last ``window`` comparisons must be AT OR ABOVE the threshold. Never before
    ``min_iterations``. See ``f_change_bound`` for what a threshold promises.
    """

    threshold: float = 0.97
    window: int = 3
    min_iterations: int = 3

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when predictions no longer change."""
        recent, waiting = _latest(evidence.stop_set_agreements, evidence, self.window, self.min_iterations)
        if waiting:
            return Decision(STABLE, False, waiting)
        mean = fmean(recent)
        fired = mean >= self.threshold - 1e-12
        found = f"successive students agree on the stop set with kappa {mean:.3f} over the last {self.window}"
        bound = f_change_bound(min(recent))
        # Above 1 the bound says nothing, as an F measure cannot change by more.
        meaning = f": F changed by at most {bound:.3f} an iteration" if bound is not None and bound < 1 else ""
        return Decision(STABLE, fired, f"{found}, needed {self.threshold:g}{meaning}")


@dataclass(frozen=True)
class PredictedChange:
    """Fires when the predicted change of F between successive students is small (Altschuler and Bloodgood 2019).

    The mean of the last ``window`` predicted changes must be BELOW the threshold. Supporting evidence only unless
    ``advisory`` is False: stopping.md shows how early it fires.
    """

    threshold: float = 0.05
    window: int = 3
    min_iterations: int = 3
    advisory: bool = True

    def decide(self, evidence: Evidence) -> Decision:
        """Fire when F is predicted to change little."""
        recent, waiting = _latest(evidence.stop_set_changes, evidence, self.window, self.min_iterations)
        if waiting:
            return Decision(STABLE, False, waiting, "predicted change", self.advisory)
        mean = fmean(recent)
        found = (
            f"predicted change of F between successive students {mean:.3f} over the last {self.window}, "
            f"needed below {self.threshold:g}"
        )
        return Decision(STABLE, mean < self.threshold, found, "predicted change", self.advisory)


def f_change_bound(agreement: float, precision: float | None = None) -> float | None:
    """Return by how much F can differ between two models that agree with kappa ``agreement`` on the whole population.

    4 (1 - T) / T, or with the precision p of the former model 4 (1 - T) / ((p + 1) T) (Bloodgood and Grothendieck
    2013). Kappa measured on a sample of the population adds its own error.

    :return: None where agreement is not above 0, as there the bound does not hold.
    """
    if precision is not None and not 0 <= precision <= 1:
        raise ValueError(f"precision: {precision:g}; expected a share from 0 to 1")
    if not agreement > 0:
        return None
    return 4 * (1 - agreement) / ((1 if precision is None else precision + 1) * agreement)


def _latest(
    values: tuple[float | None, ...], evidence: Evidence, window: int, min_iterations: int
) -> tuple[list[float], str]:
    if evidence.iterations < min_iterations:
        return [], f"{evidence.iterations} of at least {min_iterations} iterations done"
    known = [value for value in values[-window:] if value is not None]
    return known, "" if len(known) == window else f"{len(known)} of {window} latest stop-set comparisons known"
