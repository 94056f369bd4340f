"""A linear head on the frozen embedding beside the student: whether the model, rather than the labels, is the limit.

Both learnt from the same labels. Where the head agrees with the experts more than the student does, the labels hold
more than the student has made of them.
"""

from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.bootstrap import Interval, agreement_leverage, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import LabelledItems, why_undefined
from al_assets.formatting import decimal, estimate, interval

HEAD_AHEAD = "head ahead"
STUDENT_AHEAD = "student ahead"
NOT_TOLD_APART = "not told apart"
_MEANING = {
    HEAD_AHEAD: "is more than chance: the student's recipe or base model is the limit, not the labels",
    STUDENT_AHEAD: "is more than chance: the student makes more of the labels than a linear head does",
    NOT_TOLD_APART: "does not tell them apart",
}


@dataclass(frozen=True)
class HeadComparison:
    """Mean kappa with the experts of head and student on the same items, and head minus student, each with 95 %."""

    head: Interval
    student: Interval
    difference: Interval

    @property
    def outcome(self) -> str | None:
        """Who is ahead: head ahead, student ahead or not told apart; None without an interval of the difference."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return None
        return HEAD_AHEAD if low > 0 else STUDENT_AHEAD if high < 0 else NOT_TOLD_APART


def compare_with_head(
    items: LabelledItems, student: Floats, head: Floats, *, resamples: int = 2_000, seed: int = 0
) -> HeadComparison:
    """Return the kappas of both and their paired difference, with BCa intervals over groups.

    The student's is what ``measured_scope`` gives for the same items.

    :param student: shape (items,), the student's labels, 1 or 0; so the head's.
    """
    kept = items.decisive > 0
    labelled, shared = items.where(kept), int((items.decisive > 1).sum())
    if not shared:
        nothing = Interval(None, None, None, 0, why_undefined(items))
        return HeadComparison(nothing, nothing, nothing)
    agreement = Panel(labelled.votes, {"head": head[kept], "student": student[kept]})

    def statistics(weights: Floats) -> dict[str, Floats]:
        kappas = agreement.kappas(weights)
        of_both = {name: kappas[f"{name}_expert_kappa"] for name in ("head", "student")}
        return {**of_both, "difference": of_both["head"] - of_both["student"]}

    leverage = agreement_leverage(labelled.positive_share).get("model_expert_kappa", np.nan)
    distributions = grouped_distributions(
        statistics, labelled.group, resamples=resamples, seed=seed,
        leverage=dict.fromkeys(("head", "student", "difference"), leverage),
    )  # fmt: skip
    undefined = why_undefined(labelled)
    return HeadComparison(
        **{name: distribution.interval(shared, undefined=undefined) for name, distribution in distributions.items()}
    )


def comparison_sentence(compared: HeadComparison, lesson: str) -> str:
    """Say in one sentence what the comparison means.

    :param lesson: what the head learnt from, such as ``the same 62 labels``.
    """
    if compared.difference.estimate is None:
        return (
            f"Whether a linear head makes more of {lesson} than the student is not known: {compared.difference.reason}."
        )
    head, student = (estimate(kappa.estimate, kappa.low, kappa.high) for kappa in (compared.head, compared.student))
    said = (
        f"A linear head on the frozen embedding, trained on {lesson}, agrees with the experts at "
        f"{head}, the student at {student}"
    )
    difference = decimal(compared.difference.estimate, sign=True)
    if compared.outcome is None or compared.difference.low is None or compared.difference.high is None:
        return f"{said}: how sure the difference of {difference} is cannot be said ({compared.difference.reason})."
    span = f"({interval(compared.difference.low, compared.difference.high, sign=True)})"
    return f"{said}: the difference of {difference} {span} {_MEANING[compared.outcome]}."
