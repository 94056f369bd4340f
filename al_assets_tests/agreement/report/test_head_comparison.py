from collections.abc import Callable

import numpy as np
import pytest

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats, pooled_model_kappa
from al_assets.agreement.core.labelled_items import LabelledItems, labelled_items
from al_assets.agreement.population.thresholds import labels_at
from al_assets.agreement.report.head_comparison import (
    HEAD_AHEAD,
    NOT_TOLD_APART,
    STUDENT_AHEAD,
    HeadComparison,
    compare_with_head,
    comparison_sentence,
)
from al_assets.agreement.report.scopes import measured_scope
from al_assets_tests.support.simulated_loop import World

LESSON = "the same 62 labels"
HEAD, STUDENT = Interval(0.42, 0.3, 0.53, 90), Interval(0.38, 0.27, 0.49, 90)


@pytest.fixture
def items(world: Callable[..., World]) -> LabelledItems:
    frames = world(items=200)
    found = labelled_items(frames.votes, frames.split, frames.scores)
    return found.where(found.evaluation)


def every_second(items: LabelledItems) -> Floats:
    return np.resize([0.0, 1.0], len(items))


def test_both_kappas_are_those_of_the_report_and_the_difference_is_paired(items: LabelledItems) -> None:
    student, head = labels_at(items.p_student, 0.5), labels_at(items.p_incumbent, 0.5)
    found = compare_with_head(items, student, head, resamples=300, seed=3)
    models = {"model": student, "incumbent": head}
    scope = measured_scope("evaluation", items, models, resamples=300, seed=3)
    assert found.student == scope.interval("model_expert_kappa")
    assert found.head == scope.interval("incumbent_expert_kappa")
    assert found.head.estimate == pytest.approx(pooled_model_kappa(head, items.votes))
    gain = scope.interval("student_gain")
    assert found.difference.estimate == pytest.approx(-(gain.estimate or 0))
    assert None not in (found.difference.low, found.difference.high)


def test_who_is_ahead_is_told_only_beyond_chance(items: LabelledItems) -> None:
    majority, noise = labels_at(items.positive_share, 0.5), every_second(items)
    found = [
        compare_with_head(items, student, head, resamples=300).outcome
        for student, head in ((noise, majority), (majority, noise), (noise, noise))
    ]
    assert found == [HEAD_AHEAD, STUDENT_AHEAD, NOT_TOLD_APART]


def test_without_two_votes_or_enough_groups_there_is_no_outcome_and_a_reason(items: LabelledItems) -> None:
    def compared(rows: int) -> HeadComparison:
        some = items.where(np.arange(len(items)) < rows)
        return compare_with_head(some, labels_at(some.positive_share, 0.5), every_second(some), resamples=200)

    nothing, few = compared(0), compared(6)
    assert (nothing.difference.estimate, nothing.outcome) == (None, None)
    assert nothing.difference.reason == "no labelled item in this scope"
    assert few.difference.estimate is not None
    assert (few.difference.low, few.outcome) == (None, None)
    assert few.difference.reason == f"no interval: {len(set(items.group[:6]))} independent groups; it takes at least 10"


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            Interval(0.04, -0.05, 0.13, 90),
            "A linear head on the frozen embedding, trained on the same 62 labels, agrees with the experts at 0.42 "
            "(0.30 to 0.53), the student at 0.38 (0.27 to 0.49): the difference of +0.04 (-0.05 to +0.13) does not "
            "tell them apart.",
        ),
        (
            Interval(0.04, 0.01, 0.07, 90),
            "the difference of +0.04 (+0.01 to +0.07) is more than chance: the student's recipe or base model is the "
            "limit, not the labels.",
        ),
        (
            Interval(-0.04, -0.07, -0.001, 90),
            "the difference of -0.04 (-0.07 to +0.00) is more than chance: the student makes more of the labels than a "
            "linear head does.",
        ),
        (
            Interval(0.04, None, None, 5, "no interval: 5 independent groups; it takes at least 10"),
            "how sure the difference of +0.04 is cannot be said (no interval: 5 independent groups; it takes at least "
            "10).",
        ),
    ],
)
def test_one_sentence_says_what_it_means(difference: Interval, said: str) -> None:
    assert comparison_sentence(HeadComparison(HEAD, STUDENT, difference), LESSON).endswith(said)


def test_what_is_not_known_says_why() -> None:
    nothing = Interval(None, None, None, 0, "no item has two decisive votes")
    assert comparison_sentence(HeadComparison(nothing, nothing, nothing), LESSON) == (
        "Whether a linear head makes more of the same 62 labels than the student is not known: no item has two "
        "decisive votes."
    )
