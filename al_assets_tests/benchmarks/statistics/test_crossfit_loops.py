from dataclasses import replace

import numpy as np

from benchmarks.statistics.crossfit_loops import FIGURES, FOLDS, crossfit_coverage, crossfit_settings
from benchmarks.statistics.depleting_pools import prevalence_of, sample_of
from benchmarks.statistics.simulated_rounds import RoundsSetting, simulated_rounds

SMALL = RoundsSetting(items=800, audit=30, rounds=4, learning=True)


def test_a_student_that_learns_from_more_is_better_and_its_fold_students_a_little_worse() -> None:
    held_out, crossfit = SMALL, replace(SMALL, folds=FOLDS)
    for labeler in (1, 2, 4):
        assert held_out.signal(labeler) < crossfit.fold_signal(labeler) < crossfit.signal(labeler)
        assert crossfit.signal(labeler) < crossfit.signal(labeler + 1)
    assert held_out.signal(0) == crossfit.signal(0)


def test_what_was_asked_is_judged_by_students_of_other_folds_and_the_rest_by_the_student() -> None:
    states = list(simulated_rounds(replace(SMALL, folds=FOLDS), np.random.default_rng(0), prevalence_of))
    for before, state in zip([None, *states[:-1]], states, strict=True):
        differs = state.judged["model"] != state.models["model"]
        assert differs[state.rows].any()
        differs[state.rows] = False
        assert not differs.any()
        assert state.held_out.all()
        incumbent = state.models["incumbent"] if before is None else before.judged["model"]
        assert np.array_equal(state.judged["incumbent"], incumbent)


def test_what_others_judge_stays_unsure_though_all_was_asked() -> None:
    state = list(simulated_rounds(replace(SMALL, folds=FOLDS), np.random.default_rng(0), prevalence_of))[-1]
    every, judged = sample_of(state), sample_of(state, held_out=True)
    assert np.array_equal(every.weights, judged.weights)
    assert (judged.block_unseen[judged.known > 0] == 0.5).all()
    assert (judged.stratum_unseen >= np.maximum(every.stratum_unseen, 0.5)).all()


def test_both_kinds_are_held_against_their_own_student() -> None:
    cells = crossfit_coverage(replace(SMALL, rounds=2), loops=3, resamples=80, seed=(0,), judged=(1, 2))
    assert [cell.round for cell in cells] == [1, 2]
    for cell in cells:
        for kind in (cell.held_out, cell.crossfit):
            assert tuple(figure.figure for figure in kind) == FIGURES
        assert "held out" in cell.held_out[0].setting
        assert "5 folds" in cell.crossfit[0].setting
    assert {setting.items for setting in crossfit_settings()} == {3_000, 10_000}
