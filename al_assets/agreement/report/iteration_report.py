"""The kappa report of one iteration: every figure with its interval, the stopping rules, verdict and promotion."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import polars as pl

from al_assets.agreement.core.figures import Figure, figures_in, frame_of
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.labelled_items import (
    RANDOM_REASONS,
    LabelledItems,
    has_incumbent,
    labelled_items,
)
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.population.reliability import reliability_figures
from al_assets.agreement.population.stop_set import AGREEMENT, CHANGE, stop_set_figures
from al_assets.agreement.population.student_threshold import (
    CalibrationRules,
    StudentThreshold,
    choose_threshold,
    labels_of_role,
)
from al_assets.agreement.population.thresholds import PRIOR_STRENGTH, labels_at
from al_assets.agreement.report.alt_test import alt_test
from al_assets.agreement.report.inputs import asked_items, completed
from al_assets.agreement.report.panel_gain import panel_gain
from al_assets.agreement.report.scopes import all_scopes
from al_assets.agreement.report.undecided_figures import undecided_figures
from al_assets.agreement.stopping.ceiling import CeilingOutcome
from al_assets.agreement.stopping.conclusion import (
    LLM_0,
    RECOMMENDED,
    STUDENT,
    UNDECIDED,
    Conclusion,
    conclude,
)
from al_assets.agreement.stopping.rules import CONTINUE, Decision, Evidence, StoppingRules
from al_assets.tables import KAPPA_REPORT

_SIGNS = {STUDENT: 1.0, UNDECIDED: 0.0, RECOMMENDED: -1.0}
_NO_FRAMES: Mapping[str, pl.DataFrame] = {}


@dataclass(frozen=True)
class ReportSettings:
    """How a report is made; the defaults are those of the policy file.

    :param expected_prevalence: the pool's share of positives as thought beforehand; it rules while few audit items are
        labelled, as if it were ``prior_strength`` of them.
    :param resamples: of every bootstrap; the same seed gives the same report.
    """

    expected_prevalence: float = 0.1
    prior_strength: float = PRIOR_STRENGTH
    rules: StoppingRules = field(default_factory=StoppingRules)
    calibration: CalibrationRules = field(default_factory=CalibrationRules)
    resamples: int = 2_000
    seed: int = 0


@dataclass(frozen=True)
class AgreementReport:
    """A report of one iteration.

    :param figures: one for each (figure, scope). Scopes: boundary, control, evaluation (all evaluation items) and panel
        with BCa intervals over groups; audit, weighted to the pool; pool, the unlabelled stop set; loop, what concerns
        the loop as a whole.
    :param student: the student's threshold, and the calibration behind it.
    """

    figures: tuple[Figure, ...]
    conclusion: Conclusion
    student: StudentThreshold

    def figure(self, name: str, scope: str = "evaluation") -> Figure:
        """Return a figure.

        :raises KeyError: the report has none of that name and scope.
        """
        for figure in self.figures:
            if (figure.figure, figure.scope) == (name, scope):
                return figure
        scopes = sorted({figure.scope for figure in self.figures if figure.figure == name})
        where = f"it is there for {', '.join(scopes)}" if scopes else "no scope has it"
        raise KeyError(f"figure: {name!r} of scope {scope!r} is not in the report; {where}")

    def frame(self, watermark: int | None = None) -> pl.DataFrame:
        """Return the rows of the table kappa_report.

        :param watermark: place in the ledger of the last change of a vote; None where the votes came from no ledger.
        """
        same = asdict(replace(self.conclusion, watermark=watermark))
        figures = frame_of(self.figures).drop("slice", "against")
        types = KAPPA_REPORT.schema
        frame = figures.with_columns(pl.lit(value, types[name]).alias(name) for name, value in same.items())
        return KAPPA_REPORT.check(frame)


def agreement_report(
    votes: pl.DataFrame,
    scores: pl.DataFrame,
    *,
    split: pl.DataFrame | None = None,
    iteration: str = "0000",
    labels: int | None = None,
    asked: pl.DataFrame | None = None,
    frame: pl.DataFrame | None = None,
    recommended: str = LLM_0,
    history: Mapping[str, pl.DataFrame] = _NO_FRAMES,
    earlier_labels: Mapping[str, pl.DataFrame] = _NO_FRAMES,
    settings: ReportSettings | None = None,
) -> AgreementReport:
    """Return every figure of an iteration with its interval, the verdict with its reason, and the promotion.

    The asset ``kappa_report``, a notebook and the tests call this one function.

    :param votes: current votes of all iterations so far, one row for each item and rater: item_id, rater, label
        (positive, negative, undecided); and iteration, reason, group_id, stratum, stratum_size, inclusion_probability.
        Of these, columns that are not there at all are filled in: one iteration, items drawn uniformly from the pool
        (reason control), each its own group.
    :param scores: item_id, p_student in [0, 1], role (evaluation, stop_set, out_of_fold), p_incumbent, incumbent_label.
        Every labelled evaluation item must be there. The stop set is a uniform random sample of the pool. out_of_fold
        rows, if any, are items that teach, scored by a student that was not trained on them. Without the column role,
        rows of voted items are evaluation and the others stop_set; without the incumbent's columns there is no
        incumbent, and its figures are left out.
    :param split: one row for each labelled item: item_id, split (evaluation, fine-tuning, panel), reason, iteration.
        None: every voted item is an evaluation item.
    :param iteration: this iteration's key, such as ``"0003"``.
    :param labels: labels bought so far, compared with ``rules.max_labels``; None: the voted items.
    :param asked: every item asked so far, labelled or not, see ``pool_design``; None: the voted items.
    :param frame: every item now in the pool, see ``pool_design``; None: a pool without end.
    :param recommended: the model recommended so far: LLM-0, or the iteration whose student it is. Where it is not the
        incumbent, the scores hold p_recommended.
    :param history: earlier iterations' reports by key, as ``AgreementReport.frame`` gave them; used: their
        stop_set_agreement and predicted_f_change.
    :param earlier_labels: earlier students' labels by key: item_id, role, label (boolean), as ``student_labels`` gave
        them.
    :raises ValueError: a frame lacks a column, repeats a row, or an evaluation item or the stop set has no scores.
    """
    if not iteration.isdigit():
        raise ValueError(f"iteration: {iteration!r}; expected a key of digits, such as '0003'")
    how = settings or ReportSettings()
    votes, split, scores = completed(votes, split, scores)
    items = labelled_items(votes, split, scores)
    design = pool_design(asked_items(votes) if asked is None else asked, frame)
    student = choose_threshold(
        items, scores, design, how.expected_prevalence, prior_strength=how.prior_strength, rules=how.calibration
    )
    scores = student.matched(scores)
    models = models_of(items, student)
    scopes = all_scopes(items, models, design, resamples=how.resamples, seed=how.seed)
    # At the threshold itself, as the earlier student's labels are.
    now = labels_at(items.p_student, student.threshold)
    past = _key_before(iteration, how.rules.window)
    then = labels_of_role(earlier_labels.get(past or ""), "evaluation")
    gain, panel_figure = panel_gain(items, now, then, past, resamples=how.resamples, seed=how.seed)
    before = labels_of_role(earlier_labels.get(_key_before(iteration, 1) or ""), "stop_set")
    pool = stop_set_figures(scores, student.threshold, before, resamples=how.resamples, seed=how.seed)
    bought = len(items) if labels is None else labels
    evidence = Evidence(
        iterations=int(iteration) + 1,
        labels=bought,
        boundary_parity=partial(scopes["boundary"].interval, "parity_difference") if _has_boundary(items) else None,
        population_parity=partial(scopes["audit"].interval, "parity_difference"),
        panel_gain=gain,
        expert_kappa=scopes["loop"].interval("expert_expert_kappa", 0.90),
        population_kappa=scopes["audit"].interval("expert_expert_kappa", 0.90),
        stop_set_agreements=(*_past(AGREEMENT, history, iteration), pool[AGREEMENT].estimate),
        stop_set_changes=(*_past(CHANGE, history, iteration), pool[CHANGE].estimate),
    )
    decisions = how.rules.decide(evidence)
    in_pool, alike = (scopes[scope].interval("student_gain") for scope in ("audit", "evaluation"))
    over_recommended = scopes["audit"].interval("gain_over_recommended")
    if not has_incumbent(scores):
        in_pool, alike = (replace(gain, reason="no incumbent was scored") for gain in (in_pool, alike))
        over_recommended = replace(over_recommended, reason="no other model was scored")
    conclusion = conclude(decisions, in_pool, alike, over_recommended, iteration=iteration, recommended=recommended)
    gain_items = alike.items if in_pool.estimate is None else in_pool.items
    figures = (
        *(figure for scope in scopes.values() for figure in scope.figures()),
        *undecided_figures(items, models, design, resamples=how.resamples, seed=how.seed),
        panel_figure,
        *student.figures(),
        *reliability_figures("audit", items, design, student.calibration, resamples=how.resamples, seed=how.seed),
        *pool.values(),
        *_beside_parity(items, models["model"], how.rules.parity.ceilings(evidence)),
        *_loop_figures(decisions, conclusion, bought, gain_items, over_recommended.items),
    )
    return AgreementReport(figures, conclusion, student)


def models_of(items: LabelledItems, student: StudentThreshold) -> dict[str, Floats]:
    """Return the labels of the models that a report compares, each at its own threshold."""
    models = {"model": student.labels(items)}
    if items.has_incumbent:
        models["incumbent"] = student.labels(items, "incumbent")
    if "recommended" in student.cuts:
        models["recommended"] = student.labels(items, "recommended")
    return models


def _has_boundary(items: LabelledItems) -> bool:
    """Return whether anything was chosen by rule, held out or not."""
    return bool((~np.isin(items.reason, RANDOM_REASONS)).any())


def _beside_parity(items: LabelledItems, student: Floats, ceilings: Mapping[str, CeilingOutcome]) -> list[Figure]:
    """Return what stands beside the parity rule: the labels that would decide it, and the alternative annotator test.

    :param ceilings: the parity rule's ceiling test of each scope.
    """
    opinion = alt_test(items.votes[items.counted_alike], student[items.counted_alike])
    tested = max((expert.items for expert in opinion.experts), default=0)
    return [
        *(
            Figure("ceiling_further_labels", scope, test.further_labels, items=test.items, detail=test.text)
            for scope, test in ceilings.items()
        ),
        Figure("alt_test_winning_rate", "evaluation", opinion.winning_rate, items=tested, detail=opinion.text),
        Figure("alt_test_advantage", "evaluation", opinion.average_advantage, items=tested, detail=opinion.text),
    ]


def _loop_figures(
    decisions: list[Decision], conclusion: Conclusion, labels: int, gain_items: int, pool_items: int
) -> list[Figure]:
    better, promoted = _SIGNS[conclusion.better], float(conclusion.promoted)
    return [
        Figure("labels", "loop", float(labels), detail="labels bought so far"),
        *(
            Figure(f"stop_{decision.name.replace(' ', '_')}", "loop", float(decision.fired), detail=decision.reason)
            for decision in decisions
        ),
        Figure("promotion", "loop", promoted, items=gain_items, detail=conclusion.promotion_reason),
        Figure("better", "loop", better, items=pool_items, detail=conclusion.better_reason),
        Figure("verdict", "loop", float(conclusion.verdict != CONTINUE), detail=conclusion.verdict_reason),
    ]


def _past(figure: str, history: Mapping[str, pl.DataFrame], iteration: str) -> list[float | None]:
    estimates: list[float | None] = []
    for number in range(1, int(iteration)):
        report = history.get(str(number).zfill(len(iteration)))
        known = [] if report is None else figures_in(report, pl.col("figure") == figure)
        estimates.append(known[0].estimate if known else None)
    return estimates


def _key_before(iteration: str, steps: int) -> str | None:
    number = int(iteration) - steps
    return str(number).zfill(len(iteration)) if number >= 0 else None
