from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from al_assets_tests.benchmarks.rivals.small_pool import small_pool
from benchmarks.rivals.question import budget_for, centred_scores, pose, read_question, write_question


def test_a_question_labels_ten_items_of_each_side_with_their_truth() -> None:
    pool = small_pool()
    question = pose(pool, 30, seed=1)
    labelled = question.labelled_rows
    assert pool.positive[labelled].sum() == 10
    assert (~pool.positive[labelled]).sum() == 10
    assert np.array_equal(question.labels[labelled], pool.truth[labelled])
    assert len(question.open_rows) == 280
    assert np.intersect1d(question.open_rows, labelled).size == 0
    assert np.array_equal(pose(pool, 30, seed=1).labelled_rows, labelled)
    assert not np.array_equal(pose(pool, 30, seed=2).labelled_rows, labelled)


def test_a_side_with_fewer_items_is_labelled_whole() -> None:
    pool = replace(small_pool(), positive=np.arange(300) < 3)
    question = pose(pool, 30, seed=0)
    assert pool.positive[question.labelled_rows].sum() == 3
    assert len(question.labelled_rows) == 13


def test_scores_are_shifted_so_that_the_label_changes_at_one_half_and_keep_their_order() -> None:
    pool = small_pool()
    assert not np.array_equal(pool.scores > 0.5, pool.positive)
    shifted = centred_scores(pool.scores, pool.positive)
    assert np.array_equal(shifted > 0.5, pool.positive)
    assert np.array_equal(np.argsort(shifted), np.argsort(pool.scores))
    ends = centred_scores(np.array([0.0, 0.2, 0.3, 1.0]), np.array([False, False, True, True]))
    assert np.all(np.isfinite(ends))
    assert np.array_equal(ends > 0.5, [False, False, True, True])
    assert centred_scores(np.zeros(0), np.zeros(0, dtype=np.bool_)).size == 0


def test_a_logit_shift_of_known_size() -> None:
    # Threshold .2, logit -1.386: .5 becomes 1 / (1 + e^-1.386) = .8.
    shifted = centred_scores(np.array([0.1, 0.3, 0.5]), np.array([False, True, True]))
    assert shifted[2] == pytest.approx(0.8)


def test_the_files_give_the_question_back_with_mapped_vectors_and_no_truth(tmp_path: Path) -> None:
    question = pose(small_pool(), 30, seed=3)
    write_question(question, tmp_path)
    found = read_question(tmp_path, 30, 3)
    assert isinstance(found.vectors, np.memmap)
    assert found.vectors.dtype == np.float16
    for name in ("vectors", "scores", "positive", "labels"):
        assert np.array_equal(getattr(found, name), getattr(question, name), equal_nan=name == "labels")
    assert found.item_ids.to_list() == question.item_ids.to_list()
    assert not list(tmp_path.glob("*truth*"))
    dense = found.dense(found.labelled_rows)
    assert dense.dtype == np.float32
    assert dense.shape == (20, 16)
    assert np.allclose(found.probabilities.sum(axis=1), 1)


@pytest.mark.parametrize(("items", "budget"), [(30, 1), (300, 7), (4_000, 100), (10_000, 250), (1_000_000, 250)])
def test_small_pools_get_a_small_budget(items: int, budget: int) -> None:
    assert budget_for(items) == budget
