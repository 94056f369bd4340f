from dataclasses import replace

import numpy as np
import pytest

from benchmarks.statistics.depleting_pools import (
    FIGURES,
    FOLDS,
    OF_STUDENT,
    depleting_pools,
    learning_pools,
    pool_coverage,
    prevalence_of,
    sample_of,
)
from benchmarks.statistics.simulated_rounds import RoundsSetting, simulated_rounds

SMALL = RoundsSetting(items=800, audit=30, rounds=4)
CROSSFIT = replace(SMALL, learning=True, folds=FOLDS)


def test_figures_of_a_pool_that_is_used_up_stay_without_bias() -> None:
    cells = pool_coverage(SMALL, loops=12, resamples=100, seed=1, judged=(1, 4))
    assert [cell.round for cell in cells] == [1, 4]
    last = {figure.figure: figure for figure in cells[-1].figures}
    assert tuple(last) == FIGURES
    for name, most in (("prevalence", 0.01), ("expert_expert_kappa", 0.05), ("model_expert_kappa", 0.1)):
        assert abs(last[name].bias) < most + 2 * last[name].bias_error
    first = {figure.figure: figure for figure in cells[0].figures}
    assert last["prevalence"].deviation < first["prevalence"].deviation


def test_the_random_items_alone_would_find_the_pool_poorer_than_it_is() -> None:
    errors = []
    for seed in range(6):
        state = list(simulated_rounds(SMALL, np.random.default_rng(seed), prevalence_of))[-1]
        share = np.nanmean(state.pool.asked[state.rows], axis=1)
        drawn = state.asked.filter(state.random)["inclusion_probability"].to_numpy()
        alone = float(np.average(share[state.random], weights=1 / drawn))
        truth = state.truth()["prevalence"]
        errors.append((alone - truth, prevalence_of(state) - truth))
    forgetful, whole = np.mean(errors, axis=0)
    assert forgetful < -0.02
    assert abs(whole) < 0.01


def test_held_out_items_stand_for_all_that_was_asked() -> None:
    state = list(simulated_rounds(replace(SMALL, rounds=2), np.random.default_rng(0), prevalence_of))[-1]
    every, held = sample_of(state), sample_of(state, held_out=True)
    assert len(every) == state.asked.height > len(held) == state.held_out.sum()
    assert every.scale * len(every) == pytest.approx(800)
    assert held.scale * len(held) == pytest.approx(800)


@pytest.mark.parametrize("setting", [replace(SMALL, lost=0.2), replace(SMALL, uneven=0.6)])
def test_pools_that_lose_items_or_count_them_unevenly_are_spoken_for(setting: RoundsSetting) -> None:
    state = list(simulated_rounds(setting, np.random.default_rng(0), prevalence_of))[-1]
    assert (len(state.now) < setting.items) == bool(setting.lost)
    assert (np.ptp(state.pool.weight) > 0) == bool(setting.uneven)
    last = pool_coverage(setting, loops=12, resamples=100, seed=1, judged=(4,))[-1]
    for figure in last.figures:
        if figure.figure in ("prevalence", "model_expert_kappa"):
            assert abs(figure.bias) < 0.01 + 3 * figure.bias_error


def test_sizes_prevalences_and_what_else_may_go_wrong_are_simulated() -> None:
    settings = depleting_pools()
    assert {setting.items for setting in settings} == {1_000, 3_000, 10_000}
    assert {setting.prevalence for setting in settings} >= {0.01, 0.05, 0.15}
    assert {setting.audit for setting in settings} == {30, 60, 100}
    assert any(setting.growth for setting in settings)
    assert any(setting.lost for setting in settings)
    assert any(setting.uneven for setting in settings)
    assert any(setting.raters > 2 for setting in settings)
    assert not all(setting.matched for setting in settings)


def test_a_student_that_learns_from_more_is_better_and_its_fold_students_a_little_worse() -> None:
    held_out, crossfit = replace(CROSSFIT, folds=0), CROSSFIT
    for labeler in (1, 2, 4):
        assert held_out.signal(labeler) < crossfit.fold_signal(labeler) < crossfit.signal(labeler)
        assert crossfit.signal(labeler) < crossfit.signal(labeler + 1)
    assert held_out.signal(0) == crossfit.signal(0)


def test_what_was_asked_is_judged_by_students_of_other_folds_and_the_rest_by_the_student() -> None:
    states = list(simulated_rounds(CROSSFIT, np.random.default_rng(0), prevalence_of))
    for before, state in zip([None, *states[:-1]], states, strict=True):
        differs = state.judged["model"] != state.models["model"]
        assert differs[state.rows].any()
        differs[state.rows] = False
        assert not differs.any()
        assert state.held_out.all()
        incumbent = state.models["incumbent"] if before is None else before.judged["model"]
        assert np.array_equal(state.judged["incumbent"], incumbent)


def test_what_others_judge_stays_unsure_though_all_was_asked() -> None:
    state = list(simulated_rounds(CROSSFIT, np.random.default_rng(0), prevalence_of))[-1]
    every, judged = sample_of(state), sample_of(state, held_out=True)
    assert np.array_equal(every.weights, judged.weights)
    assert (every.block_unseen[every.known > 0] == 0).all()
    assert (judged.block_unseen == 1).all()
    assert (judged.stratum_unseen == 1).all()


def test_cross_fitting_is_held_against_the_student_that_learnt_from_all() -> None:
    cells = pool_coverage(replace(CROSSFIT, rounds=2), OF_STUDENT, loops=3, resamples=80, seed=0, judged=(1, 2))
    assert [tuple(figure.figure for figure in cell.figures) for cell in cells] == [OF_STUDENT] * 2
    assert "5 folds" in cells[0].figures[0].setting
    assert [setting.folds for setting in learning_pools()] == [0, 0, 0, 5, 5, 5]
