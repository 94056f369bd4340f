import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.core.kappa import pooled_kappa, pooled_model_kappa
from al_assets.demo.demo_report import kappas, votes_of
from al_assets.demo.vader import crowd_votes, expert_votes, load_texts


def simulated(seed: int, items: int, errors: float) -> np.ndarray:
    chance = np.random.default_rng(seed)
    truth = chance.random(items) < 0.3
    return (truth[:, None] ^ (chance.random((items, 4)) < errors)).astype(float)


def test_kappas_are_pooled_over_experts_and_close_to_scikit_learns_means() -> None:
    labels = simulated(0, 400, 0.1)
    votes, model = labels[:, :3], labels[:, 3]
    found = kappas(votes, {"model": model}, resamples=200)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expert = np.mean([cohen_kappa_score(votes[:, i], votes[:, j]) for i, j in pairs])
    with_model = np.mean([cohen_kappa_score(votes[:, i], model) for i in range(3)])
    assert found["expert"] is not None
    assert found["model"] is not None
    assert found["expert"][0] == pytest.approx(pooled_kappa(votes))
    assert found["model"][0] == pytest.approx(pooled_model_kappa(model, votes))
    assert found["expert"][0] == pytest.approx(expert, abs=0.002)
    assert found["model"][0] == pytest.approx(with_model, abs=0.002)
    for estimate, low, high in (found["expert"], found["model"]):
        assert low < estimate < high
        assert high - low < 0.25


def test_the_same_seed_gives_the_same_interval() -> None:
    votes = simulated(1, 100, 0.2)[:, :3]
    assert kappas(votes, {}, resamples=200) == kappas(votes, {}, resamples=200)
    assert kappas(votes, {}, resamples=200) != kappas(votes, {}, resamples=200, seed=1)


def test_an_undefined_kappa_is_none_and_missing_answers_are_left_out() -> None:
    votes = simulated(2, 200, 0.1)[:, :3]
    found = kappas(votes, {"constant nothing": np.full(200, np.nan)}, resamples=200)
    assert found["constant nothing"] is None
    gaps = votes.copy()
    gaps[:50, 0] = np.nan
    model = votes[:, 1]
    figures = kappas(gaps, {"model": model}, resamples=200)
    answered = [slice(50, None), slice(None), slice(None)]
    expected = np.mean([cohen_kappa_score(votes[rows, at], model[rows]) for at, rows in enumerate(answered)])
    assert figures["model"] is not None
    assert figures["model"][0] == pytest.approx(pooled_model_kappa(model, gaps))
    assert figures["model"][0] == pytest.approx(expected, abs=0.01)


def test_the_interval_covers_the_truth() -> None:
    # Two raters who err with probability .1 on a trait of prevalence .3 agree on .82 of items, by chance on .5512.
    truth = (0.82 - 0.5512) / (1 - 0.5512)
    covered = 0
    for seed in range(40):
        found = kappas(simulated(seed, 200, 0.1)[:, :3], {}, resamples=400, seed=seed)["expert"]
        assert found is not None
        covered += found[1] <= truth <= found[2]
    assert covered >= 34  # 95 % wanted; below this with probability .006


def test_experts_agree_better_than_the_crowd_does_with_them() -> None:
    texts = load_texts().sample(1500, seed=0)
    experts, crowd = expert_votes(texts, 3), crowd_votes(texts, 3)
    items = texts["item_id"].to_list()
    votes, workers = votes_of(items, experts), votes_of(items, crowd)
    assert votes.shape == (1500, 3)
    assert workers.shape == (1500, 1)
    found = kappas(votes, {"crowd": workers[:, 0]}, resamples=200)
    assert found["crowd"] is not None
    assert found["expert"] is not None
    assert found["crowd"][2] < found["expert"][1]
