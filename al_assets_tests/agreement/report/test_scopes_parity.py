import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import Distribution, grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.report.scopes import discordant_items, parity_distribution


def _labels(generator: np.random.Generator, items: int, prevalence: float, skill: float) -> tuple[Floats, Floats]:
    truth = (generator.random(items) < prevalence)[:, None]
    labels = (generator.random((items, 3)) < prevalence + (truth - prevalence) * skill).astype(np.float64)
    return labels[:, 1:], labels[:, 0]


def _plain(votes: Floats, model: Floats, groups: NDArray[np.int64], seed: int) -> Distribution:
    agreement = Panel(votes, {"model": model})

    def statistics(weights: Floats) -> dict[str, Floats]:
        figures = agreement.figures(weights)
        return {"difference": figures["model_expert_kappa"] - figures["expert_expert_kappa"]}

    return grouped_distributions(statistics, groups, resamples=400, seed=seed)["difference"]


def test_the_estimate_is_the_plain_difference_and_a_large_sample_has_the_plain_spread() -> None:
    votes, model = _labels(np.random.default_rng(0), 2_000, 0.4, 0.9)
    groups = np.arange(2_000) // 2
    found, plain = parity_distribution(votes, model, groups, resamples=400), _plain(votes, model, groups, 0)
    assert found.estimate == pytest.approx(plain.estimate)
    assert found.replicates.std() == pytest.approx(plain.replicates.std(), rel=0.12)


def test_parity_is_claimed_less_often_by_luck_when_positives_are_rare() -> None:
    generator = np.random.default_rng(1)
    too_high = []
    for seed in range(150):
        votes, model = _labels(generator, 150, 0.05, 0.9)
        found = parity_distribution(votes, model, np.arange(150), resamples=200, seed=seed)
        plain = _plain(votes, model, np.arange(150), seed)
        lows = [each.interval(150, 0.90).low for each in (found, plain)]
        too_high.append([low is not None and low > 0 for low in lows])
    smoothed, unsmoothed = np.mean(too_high, axis=0)
    assert smoothed < unsmoothed - 0.02
    assert smoothed <= 0.12


def test_without_any_disagreement_the_bounds_still_leave_room() -> None:
    votes = np.repeat([[1.0, 1.0], [0.0, 0.0]], 50, axis=0)
    found = parity_distribution(votes, votes[:, 0], np.arange(100)).interval(100, 0.90)
    assert found.estimate == 0
    assert found.low is not None
    assert found.high is not None
    assert -0.12 < found.low < -0.01
    assert 0.01 < found.high < 0.12


def test_every_way_to_differ_is_there_once_for_each_pair_of_raters() -> None:
    votes, model = discordant_items(3)
    assert votes.shape == (18, 3)
    assert ((~np.isnan(votes)).sum(axis=1) == 2).all()
    sums = np.nansum(votes, axis=1) + model
    assert sorted(sums.tolist()) == [1.0] * 9 + [2.0] * 9


def test_one_rater_has_nobody_to_differ_from() -> None:
    votes, model = _labels(np.random.default_rng(2), 50, 0.4, 0.9)
    found = parity_distribution(votes[:, :1], model, np.arange(50), resamples=20)
    assert found.interval(0, undefined="one rater").reason == "one rater"
