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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.figures import Figure
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import OUT_OF_FOLD, RANDOM_REASONS, LabelledItems, aligned, floats
from al_assets.agreement.population.calibration import Calibration, CalibrationError, Method, fit_calibration
from al_assets.agreement.population.pool_design import PoolDesign
from al_assets.agreement.population.pool_sample import PoolSample
from al_assets.agreement.population.thresholds import (
    PRIOR_STRENGTH,
    agreement_threshold,
    estimate_prevalence,
    prevalence_threshold,
    probability_threshold,
)
from al_assets.formatting import decimal

FOLDS = 5
COMPARED = ("incumbent", "recommended")
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

    :param cuts: model (student, incumbent, recommended; those that scored) -> its threshold, and what that would be
        without the votes on each fold of the random items, so that no item is judged by a threshold that was matched to
        its own votes. All are matched to the same prevalence.
    :param prevalence: the share of the pool taken to be positive.
    :param observed: what the labels alone say, None without any random item.
    :param random_items: labelled random items it rests on.
    :param calibration: maps p_student to P(positive) in the pool; the student's own log-odds, shifted, where no curve
        could be fitted.
    :param rule: how the threshold was chosen, in words.
    :param curve: what the calibration rests on, in words.
    """

    cuts: Mapping[str, tuple[float, ...]]
    prevalence: float
    observed: float | None
    random_items: int
    calibration: Calibration
    rule: str
    curve: str

    @property
    def threshold(self) -> float:
        """The student's: p_student at or above it is called positive."""
        return self.cuts["student"][0]

    def labels(self, items: LabelledItems, model: str = "student") -> Floats:
        """Return a model's labels, 1 or 0, NaN where it did not score an item; shape (items,).

        An incumbent without scores keeps the labels it gave.
        """
        if model not in self.cuts:
            return items.incumbent if model == "incumbent" else np.full(len(items), np.nan)
        scores: Floats = getattr(items, f"p_{model}")
        place = np.where(np.isin(items.reason, RANDOM_REASONS), 1 + folds_of(items.group), 0)
        called = (scores >= np.array(self.cuts[model])[place]).astype(np.float64)
        return np.where(np.isnan(scores), np.nan, called)

    def matched(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Return the models' scores with the incumbent's labels at its matched threshold, where it gave scores."""
        if "incumbent" not in self.cuts:
            return scores
        return scores.with_columns(incumbent_label=pl.col("p_incumbent") >= self.cuts["incumbent"][0])

    def figures(self) -> list[Figure]:
        """Return the rows of the report."""
        observed = decimal(self.observed, 3, missing="none yet")
        detail = f"labels say {observed} ({self.random_items} random items), shrunk towards the expected prevalence"
        prevalence, curve = round(self.prevalence, 12), self.calibration
        slope, intercept = (None, None) if curve.knots else (round(curve.slope, 9), round(curve.level, 9))
        matched = "stop-set quantile of its scores that matches threshold_prevalence"
        return [
            Figure("threshold", "pool", self.threshold, detail=self.rule),
            *(
                Figure(f"{model}_threshold", "pool", cuts[0], detail=matched)
                for model, cuts in self.cuts.items()
                if model != "student"
            ),
            Figure("threshold_prevalence", "pool", prevalence, items=self.random_items, detail=detail),
            Figure("calibration_slope", "pool", slope, items=curve.items, detail=self.curve),
            Figure("calibration_intercept", "pool", intercept, items=curve.items, detail=LOG_ODDS),
        ]


def student_labels(scores: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the student's labels, columns item_id, role, label; to be kept for the next iterations' reports."""
    # Out-of-fold scores are those of other students.
    own = scores.filter(pl.col("role") != OUT_OF_FOLD)
    return own.select("item_id", "role", (pl.col("p_student") >= threshold).alias("label"))


def labels_of_role(labels: pl.DataFrame | None, role: str) -> pl.DataFrame | None:
    """Return what ``student_labels`` gave items in a role: the same item may have a score of another student there."""
    return None if labels is None else labels.filter(pl.col("role") == role)


def choose_threshold(
    items: LabelledItems,
    scores: pl.DataFrame,
    design: PoolDesign,
    expected_prevalence: float,
    *,
    prior_strength: float = PRIOR_STRENGTH,
    rules: CalibrationRules | None = None,
) -> StudentThreshold:
    """Return the student's threshold and calibration, and the thresholds of the models it is compared with.

    Votes enter through the pool's prevalence, shrunk towards the expected one, which all thresholds are matched to; and
    the student's curve comes from out-of-fold scores, see ``fits_curve``. Without those, or too few, the threshold
    falls back to the prevalence.

    :param scores: item_id, role, p_student, and p_incumbent and p_recommended where these are other models; roles
        ``stop_set`` and, if there were folds, ``out_of_fold``.
    :param design: how the items came to be asked.
    :raises ValueError: no stop set.
    """
    rules = rules or CalibrationRules()
    stop_set = scores.filter(pl.col("role") == "stop_set")
    student = floats(stop_set["p_student"])
    if not len(student):
        raise ValueError("scores: no row of role 'stop_set'; score a uniform random sample of the pool as well")
    known = {name: floats(stop_set[f"p_{name}"]) for name in COMPARED if f"p_{name}" in stop_set.columns}
    others = {name: of_model for name, of_model in known.items() if not np.isnan(of_model).any()}
    decided = items.decisive > 0
    fitted, curve = _calibration(items, scores, rules.method)
    wanted = rules.threshold if fitted else "prevalence"

    def prevalence_without(left_out: NDArray[np.bool_]) -> tuple[float, PoolSample]:
        usable = decided & ~left_out
        sample = design.sample(items.item_id, usable)
        return estimate_prevalence(sample, items.positive_share[usable], expected_prevalence, prior_strength), sample

    prevalence, sample = prevalence_without(np.zeros(len(items), dtype=np.bool_))
    fold = np.where(np.isin(items.reason, RANDOM_REASONS), folds_of(items.group), -1)
    matched = [prevalence, *(prevalence_without(fold == number)[0] for number in range(FOLDS))]
    curves = [(fitted or Calibration()).moved_to(student, each) for each in matched]
    chosen = [_threshold(student, each, moved, wanted) for each, moved in zip(matched, curves, strict=True)]
    cuts = {"student": tuple(threshold for threshold, _ in chosen)}
    for name, of_model in others.items():
        cuts[name] = tuple(prevalence_threshold(of_model, each) for each in matched)
    rule = chosen[0][1]
    if not fitted and rules.threshold != "prevalence":
        rule += f"; rule {rules.threshold!r} needs a curve: {curve}"
    random = int(sample.random.sum())
    observed = sample.mean(items.positive_share[decided]) if random else None
    return StudentThreshold(cuts, prevalence, observed, random, curves[0], rule, curve)


def folds_of(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return each item's fold, 0 to ``FOLDS`` - 1, which depends on its group's name alone; shape (items,)."""
    return np.array([crc32(str(group).encode()) % FOLDS for group in groups], dtype=np.int64)


def fits_curve(items: LabelledItems) -> NDArray[np.bool_]:
    """Return which items the calibration curve is fitted to: shape (items,).

    Those with an out-of-fold score; but random evaluation items, by which the curve is judged, have no part in it.
    """
    return np.asarray(items.by_others & ~items.by_lot)


def _calibration(items: LabelledItems, scores: pl.DataFrame, method: Method) -> tuple[Calibration | None, str]:
    held_out = scores.filter(pl.col("role") == OUT_OF_FOLD)
    if not held_out.height:
        return None, "no out-of-fold scores; the student's own log-odds are taken"
    kept = items.where(fits_curve(items))
    raw = aligned(held_out, kept.item_id, "p_student")
    try:
        curve = fit_calibration(raw, kept.positive_share, method)
    except CalibrationError as error:
        return None, f"{error}; the student's own log-odds are taken"
    return curve, f"{curve.method} curve through {curve.items} out-of-fold scores"


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
