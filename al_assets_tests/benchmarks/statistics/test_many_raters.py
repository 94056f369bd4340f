from itertools import combinations

import numpy as np
import pytest

from al_assets_tests.support.votes import panel
from benchmarks.statistics.many_raters import RatersSetting, many_raters, reliabilities, settings_of, simulated_answers


@pytest.mark.parametrize("raters", [3, 20])
def test_the_true_kappas_are_means_over_pairs_and_raters(raters: int) -> None:
    experts, model = reliabilities(raters)
    assert np.ptp(experts) > 0.1
    assert np.mean([experts[a] * experts[b] for a, b in combinations(range(raters), 2)]) == pytest.approx(0.8)
    assert model * experts.mean() == pytest.approx(0.7)


def test_two_raters_answer_each_item() -> None:
    votes, model = simulated_answers(RatersSetting(5, 40_000, 0.2), np.random.default_rng(0))
    assert ((~np.isnan(votes)).sum(axis=1) == 2).all()
    found = panel(votes, {"model": model})
    assert found["expert_expert_kappa"] == pytest.approx(0.8, abs=0.015)
    assert found["model_expert_kappa"] == pytest.approx(0.7, abs=0.015)


def test_pooled_kappa_is_right_where_the_mean_of_pairs_is_far_too_low() -> None:
    (cell,) = many_raters(settings_of((20,), (150,), (0.1,)), samples=40, resamples=100, seed=0)
    pooled = {figure.figure: figure for figure in cell.figures}
    means = {figure.figure: figure for figure in cell.means}
    assert abs(pooled["expert_expert_kappa"].bias) < 0.05
    assert abs(pooled["parity_difference"].bias) < 0.05
    assert means["expert_expert_mean_kappa"].bias < -0.2
    assert means["parity_difference of means"].bias > 0.1
    assert (pooled["model_expert_kappa"].coverage or 0) > 0.85
