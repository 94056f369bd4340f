from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import pooled_model_kappa
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.population.pool_design import pool_design
from al_assets.agreement.population.student_threshold import choose_threshold
from al_assets.agreement.population.thresholds import labels_at, prevalence_threshold
from al_assets.agreement.report.head_comparison import HEAD_AHEAD, STUDENT_AHEAD
from al_assets.agreement.report.inputs import asked_items
from al_assets.models.representation_probe import Probe, representation_probe
from al_assets.models.students.linear import fit_linear
from al_assets_tests.support.votes import votes_frame

LESSON, EVALUATION, STOP_SET = range(40), range(40, 160), range(160, 400)
PREVALENCE = 0.4


@dataclass(frozen=True)
class Case:
    """A queue of 160 items and a stop set of 240; the first coordinate of a vector says what the experts say."""

    vectors: pl.DataFrame
    lesson: pl.DataFrame
    votes: pl.DataFrame
    split: pl.DataFrame
    scores: pl.DataFrame
    fold_of: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"item_id": pl.String, "fold": pl.Int64}))

    def probe(self) -> Probe:
        items = labelled_items(self.votes, self.split, self.scores)
        design = pool_design(asked_items(self.votes))
        choice = choose_threshold(items, self.scores, design, PREVALENCE)
        return representation_probe(
            self.vectors, self.lesson, self.fold_of, items, self.scores, choice, resamples=200, seed=1
        )


def ids(rows: range) -> list[str]:
    return [f"i{row:05d}" for row in rows]


def matrix(case: Case, rows: range) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return case.vectors["vector"].to_numpy()[rows.start : rows.stop].astype(np.float32)


@pytest.fixture
def case() -> Case:
    generator = np.random.default_rng(0)
    truth = generator.random(400) < PREVALENCE
    raw = np.column_stack([np.where(truth, 1.0, -1.0), generator.normal(size=(400, 3))])
    unit = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float16)
    opinions = truth[:160, None] ^ (generator.random((160, 3)) < 0.05)
    asked = ids(range(160))
    roles = ["evaluation"] * len(EVALUATION) + ["stop_set"] * len(STOP_SET)
    luck = generator.random(len(roles))
    return Case(
        pl.DataFrame({"item_id": ids(range(400)), "vector": pl.Series(unit)}),
        pl.DataFrame({"item_id": ids(LESSON), "positive_share": truth[:40].astype(np.float64)}),
        votes_frame(opinions.astype(np.float64)),
        pl.DataFrame(
            {
                "item_id": asked,
                "split": ["fine-tuning"] * len(LESSON) + ["evaluation"] * len(EVALUATION),
                "reason": "boundary",
                "iteration": "0000",
            }
        ),
        pl.DataFrame(
            {
                "item_id": [*ids(EVALUATION), *ids(STOP_SET)],
                "role": roles,
                "p_student": luck,
                "p_incumbent": luck,
                "incumbent_label": luck > 0.5,
            }
        ),
    )


def test_a_head_that_sees_what_the_student_does_not_is_ahead(case: Case) -> None:
    found = case.probe()
    row = found.frame().row(0, named=True)
    head = fit_linear(matrix(case, LESSON), case.lesson["positive_share"].to_numpy())
    threshold = prevalence_threshold(head.probability(matrix(case, STOP_SET)), PREVALENCE)
    votes = labelled_items(case.votes, case.split, case.scores).votes[EVALUATION.start :]
    labels = labels_at(head.probability(matrix(case, EVALUATION)), threshold)
    assert row["head_kappa"] == pytest.approx(pooled_model_kappa(labels, votes))
    p_student = case.scores["p_student"].to_numpy()
    by_luck = labels_at(p_student[:120], prevalence_threshold(p_student[120:], PREVALENCE))
    assert row["student_kappa"] == pytest.approx(pooled_model_kappa(by_luck, votes))
    assert row["difference"] == pytest.approx(row["head_kappa"] - row["student_kappa"])
    assert row["difference_low"] > 0.3
    assert (row["outcome"], row["reason"], row["prevalence"]) == (HEAD_AHEAD, None, PREVALENCE)
    assert [row[each] for each in row if each.endswith(("_items", "_out"))] == [40, 0, 120, 0]
    assert "trained on the same 40 labels" in row["sentence"]
    assert "the student's recipe or base model is the limit, not the labels" in row["sentence"]
    assert case.probe().frame().equals(found.frame())


def test_a_student_that_sees_what_the_embedding_does_not_is_ahead(case: Case) -> None:
    swapped = case.scores.with_columns(
        p_student=pl.Series(matrix(case, range(40, 400))[:, 0]).cast(pl.Float64) / 2 + 0.5
    )
    noise = pl.Series(np.random.default_rng(1).normal(size=(400, 4)).astype(np.float16))
    found = replace(case, scores=swapped, vectors=case.vectors.with_columns(vector=noise)).probe()
    assert found.comparison.outcome == STUDENT_AHEAD
    assert "the student makes more of the labels than a linear head does" in found.sentence


def test_an_item_in_a_fold_is_judged_by_a_head_that_did_not_learn_from_it(case: Case) -> None:
    # With as many dimensions a head knows by heart what it learnt, though the vectors say nothing.
    noise = pl.Series(np.random.default_rng(1).normal(size=(400, 300)).astype(np.float16))
    share = case.votes.group_by("item_id").agg(positive_share=(pl.col("label") == "positive").mean()).sort("item_id")
    both = case.split.with_columns(split=pl.lit("evaluation"))
    luck = pl.concat([case.scores.head(40).with_columns(item_id=pl.Series(ids(LESSON))), case.scores])
    learnt = replace(case, vectors=case.vectors.with_columns(vector=noise), lesson=share, split=both, scores=luck)
    by_heart = learnt.probe().comparison.head.estimate
    fold_of = pl.DataFrame({"item_id": ids(range(160)), "fold": [row % 5 for row in range(160)]})
    honest = replace(learnt, fold_of=fold_of).probe().comparison.head.estimate
    assert by_heart is not None
    assert honest is not None
    assert by_heart > 0.4
    assert abs(honest) < 0.2


def test_items_without_a_vector_are_left_out_and_counted(case: Case) -> None:
    kept = case.vectors.filter(~pl.col("item_id").is_in(ids(range(30, 50))))
    row = replace(case, vectors=kept).probe().frame().row(0, named=True)
    assert [row[each] for each in row if each.endswith(("_items", "_out"))] == [30, 10, 110, 10]
    assert "trained on 30 of the same 40 labels" in row["sentence"]


def test_what_cannot_be_learnt_or_measured_is_empty_and_says_why(case: Case) -> None:
    cases = {
        "no item teaches yet": replace(case, lesson=case.lesson.clear()),
        "all 40 labelled texts are negative; a linear head learns from both kinds": replace(
            case, lesson=case.lesson.with_columns(positive_share=0.0)
        ),
        "none of 40 items that teach has a vector": replace(case, vectors=case.vectors[40:]),
        "no labelled item in this scope": replace(case, split=case.split.with_columns(split=pl.lit("fine-tuning"))),
    }
    for reason, each in cases.items():
        row = each.probe().frame().row(0, named=True)
        assert (row["reason"], row["outcome"], row["head_kappa"], row["difference_low"]) == (reason, None, None, None)
        assert row["sentence"].endswith(f"is not known: {reason}.")
