from math import atan, pi

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.report.alt_test import alt_test


def _sample(items: int, model_skill: float, experts: int = 3, seed: int = 0) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < 0.4
    votes = np.where(generator.random((items, experts)) < 0.85, truth[:, None], ~truth[:, None])
    model = np.where(generator.random(items) < model_skill, truth, ~truth)
    return votes.astype(np.float64), model.astype(np.float64)


def test_a_case_worked_by_hand() -> None:
    # Leaving out expert 0, the others' votes are (1, 1), (1, 0), (0, 0), (1, 1). Expert 0 answers 1, 1, 1, 0 and
    # scores 1, .5, 0, 0; the model answers 1, 0, 0, 1 and scores 1, .5, 1, 1. At least as good: model 4, expert 2.
    votes = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 1, 1]], dtype=np.float64)
    found = alt_test(votes, np.array([1.0, 0.0, 0.0, 1.0]))
    first = found.experts[0]
    assert (first.items, first.model_advantage, first.expert_advantage) == (4, 1.0, 0.5)
    # Expert minus model: 0, 0, -1, -1. Mean -.5, deviation 1 / sqrt(3), t = -.7 / (.5 / sqrt(3)) = -1.4 sqrt(3). With 3
    # degrees of freedom the distribution has the closed form 1/2 + (x / (1 + x^2) + arctan x) / pi, x = t / sqrt(3).
    assert first.p_value == pytest.approx(0.5 - (1.4 / 2.96 + atan(1.4)) / pi)
    # Expert 1: the others (1, 1), (1, 0), (1, 0), (0, 1); scores 1, .5, .5, .5, as the model's: a tie throughout.
    assert (found.experts[1].model_advantage, found.experts[1].expert_advantage) == (1.0, 1.0)
    # Expert 2: the others (1, 1), (1, 1), (1, 0), (0, 1); the model's 0 on the second item scores 0, and so does 2's 0.
    assert (found.experts[2].model_advantage, found.experts[2].expert_advantage) == (1.0, 1.0)
    assert found.average_advantage == 1
    # Ties throughout have no variance and lie below epsilon: p is 0 for both. The third, .0469, must stay below
    # .05 / 1.8333.
    assert [expert.beaten for expert in found.experts] == [False, True, True]
    assert found.winning_rate == pytest.approx(2 / 3)
    assert found.passed is True


def test_p_values_are_scipys_one_sided_paired_t_test() -> None:
    votes, model = _sample(80, 0.75)
    votes[70:, 1] = np.nan
    model[5] = np.nan
    found = alt_test(votes, model, epsilon=0.15)
    for expert in found.experts:
        machine, human = [], []
        for item in range(80):
            others = [votes[item, k] for k in range(3) if k != expert.expert and not np.isnan(votes[item, k])]
            own = votes[item, expert.expert]
            if np.isnan(own) or np.isnan(model[item]) or not others:
                continue
            score_of_model = np.mean([other == model[item] for other in others])
            score_of_expert = np.mean([other == own for other in others])
            machine.append(float(score_of_model >= score_of_expert))
            human.append(float(score_of_expert >= score_of_model))
        assert expert.items == len(machine)
        assert expert.model_advantage == pytest.approx(np.mean(machine))
        differences = np.array(human) - np.array(machine)
        assert expert.p_value == pytest.approx(ttest_1samp(differences, 0.15, alternative="less").pvalue)


def test_a_model_like_an_expert_passes_and_a_guessing_one_does_not() -> None:
    votes, model = _sample(200, 0.9)
    good, bad = alt_test(votes, model), alt_test(*_sample(200, 0.4))
    assert (good.passed, good.winning_rate, good.weaknesses) == (True, 1.0, ())
    assert (bad.passed, bad.winning_rate) == (False, 0.0)
    assert good.average_advantage is not None
    assert bad.average_advantage is not None
    assert good.average_advantage > bad.average_advantage
    assert good.text.startswith("alt-test passed: the model wins against 3 of 3 experts (winning rate 1.00")


def test_a_larger_epsilon_is_easier_on_the_model() -> None:
    votes, model = _sample(150, 0.72, seed=3)
    rates = [alt_test(votes, model, epsilon=epsilon).winning_rate for epsilon in (0.0, 0.1, 0.2, 0.4)]
    assert rates == sorted(rates, key=lambda rate: rate or 0)
    assert rates[0] != rates[-1]


def test_two_experts_or_few_items_are_weak_and_say_so() -> None:
    votes, model = _sample(100, 0.9, experts=2)
    two = alt_test(votes, model)
    assert two.passed is True
    assert two.weaknesses == ("2 experts tested, at least 3 are advised",)
    votes, model = _sample(29, 0.9)
    few = alt_test(votes, model)
    assert few.weaknesses == ("3 experts with fewer than 30 items (fewest 29), where a t-test is rough",)
    assert few.text.endswith(few.weaknesses[0])
    lonely, model = _sample(60, 0.9, experts=4)
    lonely[1:, 3] = np.nan
    assert (
        "1 experts not tested: they share fewer than 2 items with another expert" in alt_test(lonely, model).weaknesses
    )


@pytest.mark.parametrize("votes", [np.ones((50, 1)), np.zeros((0, 3)), np.full((20, 3), np.nan)])
def test_without_two_experts_on_an_item_nothing_is_claimed(votes: Floats) -> None:
    found = alt_test(votes, np.ones(len(votes)))
    assert (found.passed, found.winning_rate, found.average_advantage) == (None, None, None)
    assert "not possible" in found.text


def test_order_of_items_and_experts_changes_nothing() -> None:
    votes, model = _sample(90, 0.8)
    order = np.random.default_rng(1).permutation(90)
    shuffled = alt_test(votes[order][:, [2, 0, 1]], model[order])
    plain = alt_test(votes, model)
    assert (shuffled.winning_rate, shuffled.passed) == (plain.winning_rate, plain.passed)
    assert shuffled.average_advantage == pytest.approx(plain.average_advantage)
    assert shuffled.experts[0].p_value == pytest.approx(plain.experts[2].p_value)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="expected \\(items, experts\\)"):
        alt_test(np.ones(5), np.ones(5))
    with pytest.raises(ValueError, match="epsilon 2"):
        alt_test(np.ones((5, 2)), np.ones(5), epsilon=2)
