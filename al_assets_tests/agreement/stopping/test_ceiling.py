import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.stopping.ceiling import BELOW, PARITY, UNDECIDED, ceiling_test, judge_ceiling


def _sample(items: int, model_skill: float, seed: int = 0, experts: int = 3) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.random(items) < 0.4

    def answers(skill: float) -> Floats:
        return np.where(generator.random(items) < skill, truth, generator.random(items) < 0.4).astype(np.float64)

    return np.stack([answers(0.85) for _ in range(experts)], axis=1), answers(model_skill)


@pytest.mark.parametrize(
    ("low", "estimate", "high", "outcome", "further"),
    [
        (-0.049, 0.0, 0.049, PARITY, 0),
        (0.01, 0.1, 0.2, PARITY, 0),
        (-0.05, 0.0, 0.05, UNDECIDED, 1),
        (-0.30, -0.2, -0.051, BELOW, 0),
        # The bound is twice as far from the estimate as the margin is: four times the items.
        (-0.10, 0.0, 0.10, UNDECIDED, 600),
        (-0.35, -0.15, 0.05, UNDECIDED, 600),
        (-0.15, -0.05, 0.05, UNDECIDED, None),
    ],
)
def test_outcomes_and_the_labels_that_would_decide(
    low: float, estimate: float, high: float, outcome: str, further: int | None
) -> None:
    found = judge_ceiling(Interval(estimate, low, high, 200), margin=0.05)
    assert (found.outcome, found.further_labels) == (outcome, further)
    assert "200 items" in found.text


def test_words_name_where_it_is_heading() -> None:
    assert "about 600 more evaluation labels would show parity" in judge_ceiling(Interval(0.0, -0.1, 0.1, 200)).text
    assert "would show below the experts" in judge_ceiling(Interval(-0.15, -0.35, 0.05, 200)).text
    assert "no number of labels" in judge_ceiling(Interval(-0.05, -0.15, 0.05, 200)).text


def test_what_was_not_measured_has_no_outcome() -> None:
    found = judge_ceiling(Interval(None, None, None, 0, "only one label occurs"))
    assert (found.outcome, found.further_labels, found.text) == (None, None, "not measured: only one label occurs")
    assert judge_ceiling(Interval(0.2, None, None, 8, "8 groups")).outcome is None


def test_the_foreseen_labels_do_decide() -> None:
    votes, model = _sample(120, 0.85, seed=6)
    first = ceiling_test(votes, model, np.arange(120), resamples=1_000)
    assert first.result.outcome == UNDECIDED
    assert first.result.further_labels is not None
    # The same items again and again: the difference stays, as the projection supposes. A fifth more than foreseen,
    # as the bounds of 300 resamples are not exact.
    copies = -(-6 * (120 + first.result.further_labels) // (5 * 120))
    again = ceiling_test(np.tile(votes, (copies, 1)), np.tile(model, copies), np.arange(120 * copies), resamples=300)
    assert again.difference.estimate == pytest.approx(first.difference.estimate)
    assert again.result.outcome == (PARITY if (first.difference.estimate or 0) > -0.05 else BELOW)


def test_a_model_as_good_as_the_experts_reaches_parity_and_a_poor_one_is_below() -> None:
    good = ceiling_test(*_sample(1_500, 0.9), np.arange(1_500), resamples=500)
    poor = ceiling_test(*_sample(1_500, 0.4), np.arange(1_500), resamples=500)
    assert good.result.outcome == PARITY
    assert poor.result.outcome == BELOW


def test_each_expert_is_compared_on_the_same_items_as_scikit_learn_would() -> None:
    votes, model = _sample(200, 0.6)
    votes[150:, 2] = np.nan
    votes[190:, 1] = np.nan
    found = ceiling_test(votes, model, np.arange(200), resamples=300)

    def kappa(first: Floats, second: Floats) -> float:
        both = ~np.isnan(first + second)
        return float(cohen_kappa_score(first[both], second[both]))

    shared = (~np.isnan(votes)).sum(axis=1) >= 2
    kept, labels = votes[shared], model[shared]
    for expert in found.experts:
        peers = [kappa(kept[:, expert.expert], kept[:, other]) for other in range(3) if other != expert.expert]
        with_model = kappa(labels, kept[:, expert.expert])
        assert expert.model_kappa == pytest.approx(with_model)
        assert expert.peer_kappa == pytest.approx(np.mean(peers))
        assert expert.difference.estimate == pytest.approx(with_model - np.mean(peers))
    assert [expert.difference.items for expert in found.experts] == [190, 190, 150]
    assert found.model_expert.estimate == pytest.approx(np.mean([each.model_kappa for each in found.experts]))


def test_pairing_makes_the_difference_surer_than_its_parts_apart() -> None:
    votes, model = _sample(400, 0.8)
    found = ceiling_test(votes, model, np.arange(400), resamples=500)

    def width(interval: Interval) -> float:
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    apart = np.hypot(width(found.model_expert), width(found.expert_expert))
    # The parts are 95 % intervals, the difference a 90 % one.
    assert width(found.difference) * 1.96 / 1.645 < apart


def test_groups_are_resampled_whole_and_items_without_votes_left_out() -> None:
    votes, model = _sample(60, 0.8)
    alone = ceiling_test(votes, model, np.arange(60), resamples=300)
    padded = ceiling_test(
        np.vstack([votes, np.full((5, 3), np.nan)]), np.append(model, np.ones(5)), np.arange(65), resamples=300
    )
    assert padded == alone
    few = ceiling_test(votes, model, np.arange(60) % 5, resamples=300)
    assert few.result.text.startswith("not measured: no interval: 5 independent groups")


def test_one_label_only_is_undefined_with_a_reason() -> None:
    found = ceiling_test(np.ones((20, 2)), np.ones(20), np.arange(20), resamples=200)
    assert found.result.text == "not measured: kappa is undefined while only one label occurs"
    assert [(each.model_kappa, each.peer_kappa) for each in found.experts] == [(None, None)] * 2
    single = np.column_stack([np.tile([0.0, 1.0], 10), np.full(20, np.nan)])
    assert "two decisive votes" in ceiling_test(single, np.ones(20), np.arange(20), resamples=200).result.text
