"""Where the student starts to say positive: its decision threshold, and the probabilities behind it.

Why the prevalence decides by default. On the demo's texts (pool of 3,000, linear student on MiniLM, three rounds of 150
labels by the loop's own selection, 12 seeds) kappa with the experts on never-queued items was, after 150, 300 and 450
labels: prevalence-matched .277 .336 .333; largest expected kappa by the out-of-fold curve .277 .333 .328 (paired
difference +.001 -.004 -.005, standard error .001 to .004); probability of one half .186 .236 .230; the out-of-fold
scores' own best cut, classes weighted to the prevalence, .178 .183 .155; best threshold in hindsight .290 .357 .359.
With randomly chosen labels instead (250 a round) the first two again differ by +.001 +.005 .000. So the curve does not
earn its trainings by the threshold; it does by the probabilities, whose calibration error it takes from .066 .067 .059
to .033 .025 .020.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from al_assets.agreement.core.figures import Figure
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import FINE_TUNING, LabelledItems, aligned, floats
from al_assets.agreement.population.audit import audit_of
from al_assets.agreement.population.calibration import Calibration, CalibrationError, Method, fit_calibration
from al_assets.agreement.population.thresholds import (
    PRIOR_STRENGTH,
    agreement_threshold,
    estimate_prevalence,
    prevalence_threshold,
    probability_threshold,
)
from al_assets.formatting import decimal

OUT_OF_FOLD = "out_of_fold"
LOG_ODDS = "log-odds of P(positive) in the pool = calibration_slope * logit(p_student) + this"
Rule = Literal["prevalence", "kappa", "half"]


@dataclass(frozen=True)
class CalibrationRules:
    """How probabilities are calibrated and the threshold is chosen.

    :param method: the curve fitted to out-of-fold scores, see ``fit_calibration``.
    :param threshold: prevalence: the stop-set quantile that calls the estimated prevalence positive; kappa: where
        the calibrated probabilities expect the largest kappa on the stop set; half: P(positive) of one half.
    """

    method: Method = "logistic"
    threshold: Rule = "prevalence"


@dataclass(frozen=True)
class StudentThreshold:
    """The student's decision threshold and what it was matched to.

    :param threshold: p_student at or above it is called positive.
    :param prevalence: the share of the pool taken to be positive.
    :param observed: what the audit labels alone say (Hajek), None without any.
    :param audit_items: labelled audit items it rests on.
    :param calibration: maps p_student to P(positive) in the pool; the student's own log-odds, shifted, where no curve
        could be fitted.
    :param rule: how the threshold was chosen, in words.
    :param curve: what the calibration rests on, in words.
    """

    threshold: float
    prevalence: float
    observed: float | None
    audit_items: int
    calibration: Calibration
    rule: str
    curve: str

    def figures(self) -> list[Figure]:
        """Return the rows of the report."""
        observed = decimal(self.observed, 3, missing="none yet")
        detail = f"audit labels say {observed} ({self.audit_items} items), shrunk towards the expected prevalence"
        prevalence, curve = round(self.prevalence, 12), self.calibration
        slope, intercept = (None, None) if curve.knots else (round(curve.slope, 9), round(curve.level, 9))
        return [
            Figure("threshold", "pool", self.threshold, detail=self.rule),
            Figure("threshold_prevalence", "pool", prevalence, items=self.audit_items, detail=detail),
            Figure("calibration_slope", "pool", slope, items=curve.items, detail=self.curve),
            Figure("calibration_intercept", "pool", intercept, items=curve.items, detail=LOG_ODDS),
        ]


def student_labels(scores: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the student's labels, columns item_id, role, label; to be kept for the next iterations' reports."""
    # Out-of-fold scores are those of other students.
    own = scores.filter(pl.col("role") != OUT_OF_FOLD)
    return own.select("item_id", "role", (pl.col("p_student") >= threshold).alias("label"))


def choose_threshold(
    items: LabelledItems,
    scores: pl.DataFrame,
    expected_prevalence: float,
    *,
    prior_strength: float = PRIOR_STRENGTH,
    rules: CalibrationRules | None = None,
) -> StudentThreshold:
    """Return the student's threshold and calibration; evaluation labels enter through the pool's prevalence alone.

    The prevalence is that of the audit labels (weighted, Hajek), shrunk towards the expected one. The curve comes from
    out-of-fold scores of fine-tuning items. Without those, or too few, the threshold falls back to the prevalence.

    :param scores: item_id, role, p_student; roles ``stop_set`` and, if there were folds, ``out_of_fold``.
    :raises ValueError: no stop set.
    """
    rules = rules or CalibrationRules()
    stop_set = floats(scores.filter(pl.col("role") == "stop_set")["p_student"])
    if not len(stop_set):
        raise ValueError("scores: no row of role 'stop_set'; score a uniform random sample of the pool as well")
    audit = items.where(items.evaluation & (items.reason == "audit") & (items.decisive > 0))
    weights, share = audit_of(audit).weights, audit.positive_share
    prevalence = estimate_prevalence(share, weights, expected_prevalence, prior_strength)
    fitted, curve = _calibration(items, scores, rules.method)
    calibration = (fitted or Calibration()).moved_to(stop_set, prevalence)
    threshold, rule = _threshold(stop_set, prevalence, calibration, rules.threshold if fitted else "prevalence")
    if not fitted and rules.threshold != "prevalence":
        rule += f"; rule {rules.threshold!r} needs a curve: {curve}"
    observed = float(np.average(share, weights=weights)) if len(audit) else None
    return StudentThreshold(threshold, prevalence, observed, len(audit), calibration, rule, curve)


def _calibration(items: LabelledItems, scores: pl.DataFrame, method: Method) -> tuple[Calibration | None, str]:
    held_out = scores.filter(pl.col("role") == OUT_OF_FOLD)
    if not held_out.height:
        return None, "no out-of-fold scores; the student's own log-odds are taken"
    kept = items.where((items.split == FINE_TUNING) & np.isin(items.item_id, held_out["item_id"].to_list()))
    raw = aligned(held_out, kept.item_id, "p_student")
    try:
        curve = fit_calibration(raw, kept.positive_share, method)
    except CalibrationError as error:
        return None, f"{error}; the student's own log-odds are taken"
    return curve, f"{curve.method} curve through {curve.items} out-of-fold scores of fine-tuning items"


def _threshold(scores: Floats, prevalence: float, calibration: Calibration, rule: Rule) -> tuple[float, str]:
    matched = prevalence_threshold(scores, prevalence), "stop-set quantile that matches threshold_prevalence"
    if rule == "prevalence":
        return matched
    probabilities = calibration.probability(scores)
    if rule == "half":
        return probability_threshold(scores, probabilities), "where the calibrated probability is one half"
    best = agreement_threshold(scores, probabilities)
    if np.isinf(best):
        return matched[0], f"{matched[1]}; the stop set's scores are all equal"
    return best, "where the calibrated probabilities expect the largest kappa on the stop set"
