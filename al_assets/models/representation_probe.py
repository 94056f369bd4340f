"""The representation probe: what a linear head on the frozen embedding makes of the student's labels.

It needs no pass over a language model, so it can be made in every iteration. A head on the student's own hidden states
says more of the student, and takes a second pass over everything: a study has it (``al study``).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.labelled_items import LabelledItems, aligned, floats
from al_assets.agreement.population.student_threshold import StudentThreshold
from al_assets.agreement.population.thresholds import labels_at, prevalence_threshold
from al_assets.agreement.report.head_comparison import HeadComparison, compare_with_head, comparison_sentence
from al_assets.config import LinearStudent, Policy
from al_assets.models.students.crossfit import rescaled
from al_assets.models.students.linear import fit_linear
from al_assets.models.students.record import one_sided
from al_assets.tables import REPRESENTATION_PROBE

ITSELF = "The student is itself a linear head on this embedding"


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    :param training_items: labels the head learnt from; ``training_left_out`` of the student's have no vector.
    :param evaluation_left_out: evaluation items with two decisive votes and no vector, left out for both.
    :param prevalence: the positive share of the pool that both thresholds are matched to; None if it was not computed.
    """

    comparison: HeadComparison
    training_items: int = 0
    training_left_out: int = 0
    evaluation_left_out: int = 0
    prevalence: float | None = None

    @classmethod
    def unknown(cls, reason: str, training_items: int = 0, training_left_out: int = 0) -> "Probe":
        """Return a probe that found nothing, and why."""
        nothing = Interval(None, None, None, 0, reason)
        return cls(HeadComparison(nothing, nothing, nothing), training_items, training_left_out)

    @property
    def sentence(self) -> str:
        """What it means, in one sentence."""
        count, wanted = self.training_items, self.training_items + self.training_left_out
        lesson = f"the same {count} labels" if count == wanted else f"{count} of the same {wanted} labels"
        return comparison_sentence(self.comparison, lesson if wanted else "the same labels")

    def frame(self) -> pl.DataFrame:
        """Return the one row of a ``representation_probe`` table."""
        comparison = self.comparison
        row: dict[str, object] = {
            "sentence": self.sentence,
            "outcome": comparison.outcome,
            "reason": comparison.difference.reason,
        }
        figures = {
            "head_kappa": comparison.head,
            "student_kappa": comparison.student,
            "difference": comparison.difference,
        }
        for name, interval in figures.items():
            row |= {name: _rounded(interval.estimate), f"{name}_low": _rounded(interval.low)}
            row[f"{name}_high"] = _rounded(interval.high)
        row |= {
            "training_items": self.training_items,
            "training_left_out": self.training_left_out,
            "evaluation_items": comparison.difference.items,
            "evaluation_left_out": self.evaluation_left_out,
            "prevalence": _rounded(self.prevalence),
        }
        return REPRESENTATION_PROBE.check(pl.DataFrame([row], schema_overrides=REPRESENTATION_PROBE.schema))


def representation_probe(
    vectors: pl.DataFrame,
    lesson: pl.DataFrame,
    fold_of: pl.DataFrame,
    items: LabelledItems,
    scores: pl.DataFrame,
    choice: StudentThreshold,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> Probe:
    """Train a linear head, both classes weighted alike, on the student's labels and compare it with the student.

    Both thresholds are the stop-set quantile that matches the prevalence which the labels suggest, so that the
    difference is one of ranking.

    An item in a fold is judged by a head that learnt from the other folds, as it is by such a student.

    :param vectors: item_id and vector, of the items that teach, evaluation and stop-set items; those without are left
        out.
    :param lesson: item_id and positive_share of the items that the student learnt from.
    :param fold_of: item_id and fold of the evaluation items that a student of other folds judged, none where there are
        no folds.
    :param items: all labelled items, with the student's scores.
    :param scores: item_id, role, p_student; rows of role ``stop_set`` count.
    :param choice: the student's threshold as the report chooses it by the prevalence.
    :raises ValueError: no stop set, or none of its items has a vector.
    """
    taught = lesson.join(vectors, on="item_id", maintain_order="left")
    learnt, missing = taught.height, lesson.height - taught.height
    if one_sided(taught["positive_share"]):
        return Probe.unknown(_why_no_head(taught, missing), learnt, missing)
    p_head = _head_scores(taught, vectors)
    stop_set = scores.filter(pl.col("role") == "stop_set").join(p_head, on="item_id")
    sample = floats(stop_set["p_head"])
    threshold = prevalence_threshold(sample, choice.prevalence)
    evaluation = items.where(items.counted_alike)
    judged = [p_head.join(fold_of, on="item_id", how="anti")]
    for (fold,), of_fold in fold_of.group_by("fold"):
        others = taught.join(fold_of.filter(fold=fold), on="item_id", how="anti")
        if not one_sided(others["positive_share"]):
            of_others = _head_scores(others, vectors)
            scale = stop_set.select("item_id").join(of_others, on="item_id", how="left", maintain_order="left")
            asked = of_others.join(of_fold, on="item_id", how="semi")
            p_judged = rescaled(floats(asked["p_head"]), floats(scale["p_head"]), sample)
            judged.append(asked.with_columns(p_head=p_judged))
    labels = labels_at(aligned(pl.concat(judged), evaluation.item_id, "p_head"), threshold)
    known = ~np.isnan(labels)
    compared = evaluation.where(known)
    student = labels_at(compared.p_student, choice.threshold)
    comparison = compare_with_head(compared, student, labels[known], resamples=resamples, seed=seed)
    left_out = int((~known & (evaluation.decisive > 1)).sum())
    return Probe(comparison, learnt, missing, left_out, choice.prevalence)


def kinship(policy: Policy) -> list[str]:
    """Return what to know of a student that is a linear head on the embedding that the probe looks at."""
    student = policy.student
    if not isinstance(student, LinearStudent) or student.embedding.fingerprint() != policy.embedding.fingerprint():
        return []
    return [f"{ITSELF}." if student.head_start == "none" else f"{ITSELF}; what parts them is its head start."]


def _head_scores(taught: pl.DataFrame, vectors: pl.DataFrame) -> pl.DataFrame:
    head = fit_linear(taught["vector"].to_numpy(), taught["positive_share"].to_numpy())
    return vectors.select("item_id", p_head=pl.Series(head.probability(vectors["vector"].to_numpy())))


def _why_no_head(taught: pl.DataFrame, missing: int) -> str:
    if not taught.height:
        return f"none of {missing} items that teach has a vector" if missing else "no item teaches yet"
    return f"{one_sided(taught['positive_share'])}; a linear head learns from both kinds"


def _rounded(value: float | None) -> float | None:
    # The last digits of a matrix product depend on the number of threads.
    return None if value is None else round(value, 12)
