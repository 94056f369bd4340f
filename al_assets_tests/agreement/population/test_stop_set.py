from itertools import product

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from al_assets.agreement.core.labelled_items import aligned
from al_assets.agreement.population.stop_set import predicted_f_change, stop_set_figures
from al_assets.agreement.population.student_threshold import student_labels
from al_assets.agreement.population.thresholds import labels_at


def _scores(student: list[float], incumbent: list[bool]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": [f"i{place}" for place in range(len(student))],
            "role": ["stop_set"] * len(student),
            "p_student": student,
            "p_incumbent": student,
            "incumbent_label": incumbent,
        }
    )


def test_a_score_at_the_threshold_is_positive_wherever_it_is_decided() -> None:
    np.testing.assert_array_equal(labels_at(np.array([0.4, 0.5, 0.6, np.nan]), 0.5), [0, 1, 1, np.nan])
    assert student_labels(_scores([0.4, 0.5, 0.6], [True] * 3), 0.5)["label"].to_list() == [False, True, True]


def test_labels_follow_their_items_and_unknown_items_have_none() -> None:
    labels = pl.DataFrame({"item_id": ["a", "b"], "label": [True, False]})
    np.testing.assert_array_equal(aligned(labels, np.array(["b", "x", "a"])), [0, np.nan, 1])


def test_agreement_is_cohens_kappa_on_the_items_both_students_labelled() -> None:
    generator = np.random.default_rng(0)
    student, incumbent = generator.random(300), generator.random(300) < 0.3
    before = np.where(generator.random(300) < 0.2, student < 0.7, student >= 0.7)
    earlier = pl.DataFrame({"item_id": [f"i{place}" for place in range(200)], "label": before[:200]})
    found = stop_set_figures(_scores(student.tolist(), incumbent.tolist()), 0.7, earlier, resamples=300, seed=0)
    agreement = found["stop_set_agreement"]
    assert agreement.items == 200
    assert agreement.estimate == pytest.approx(cohen_kappa_score(student[:200] >= 0.7, before[:200]))
    assert found["incumbent_agreement"].estimate == pytest.approx(cohen_kappa_score(student >= 0.7, incumbent))
    assert found["positive_share"].estimate == pytest.approx((student >= 0.7).mean())
    assert found["incumbent_positive_share"].estimate == pytest.approx(incumbent.mean())


def test_no_comparison_says_why() -> None:
    scores = _scores([0.1, 0.2], [False, False])
    assert stop_set_figures(scores, 0.5, None, resamples=200, seed=0)["stop_set_agreement"].detail == (
        "no student before this one"
    )
    other = pl.DataFrame({"item_id": ["x"], "label": [True]})
    assert stop_set_figures(scores, 0.5, other, resamples=200, seed=0)["stop_set_agreement"].detail == (
        "no stop-set item that both labelled"
    )
    same = pl.DataFrame({"item_id": ["i0", "i1"], "label": [False, False]})
    agreement = stop_set_figures(scores, 0.5, same, resamples=200, seed=0)["stop_set_agreement"]
    assert (agreement.estimate, agreement.detail) == (None, "both call every item the same; kappa is undefined")


def test_the_predicted_change_of_f_is_given_beside_agreement_and_never_without_a_positive() -> None:
    scores = _scores([0.9, 0.8, 0.1, 0.2], [False] * 4)
    before = pl.DataFrame({"item_id": ["i0", "i1", "i2", "i3"], "label": [True, False, False, False]})
    change = stop_set_figures(scores, 0.5, before, resamples=200, seed=0)["predicted_f_change"]
    assert change.estimate == pytest.approx(1 / 3)
    assert change.items == 4
    nobody = pl.DataFrame({"item_id": ["i0", "i1"], "label": [False, False]})
    change = stop_set_figures(scores, 0.95, nobody, resamples=200, seed=0)["predicted_f_change"]
    assert (change.estimate, change.detail) == (None, "neither student calls anything positive")
    change = stop_set_figures(scores, 0.95, None, resamples=200, seed=0)["predicted_f_change"]
    assert (change.estimate, change.detail) == (None, "no student before this one")


def test_the_predicted_change_of_f_is_one_minus_f_between_the_models() -> None:
    for now, before in product(([1, 1, 0, 0, 1], [0, 0, 1, 1, 0]), repeat=2):
        found = predicted_f_change(np.array(now, dtype=np.float64), np.array(before, dtype=np.float64))
        assert found == pytest.approx(1 - f1_score(before, now))
    nobody = np.zeros(5)
    assert predicted_f_change(nobody, nobody) is None
    assert predicted_f_change(nobody, np.full(5, np.nan)) is None
    assert predicted_f_change(nobody, np.array([1.0, 0, 0, 0, 0])) == 1
