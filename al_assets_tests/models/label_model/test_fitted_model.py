"""The label model against its own definition in tiny cases, and against the truth in simulations."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.calibration import logit
from al_assets.models.label_model.fit import fit_label_model
from al_assets.models.label_model.fitted_model import LabelModel, Member, calls_of, disagreement_of, vote_threshold

NAN = np.nan
Coin = tuple[float, float]


def simulated(
    coins: Sequence[Coin], items: int, prevalence: float, *, coverage: float = 1.0, seed: int = 0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return hard votes by members of known sensitivity and specificity, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < prevalence
    votes = np.stack(
        [np.where(rng.random(items) < np.where(truth, sensitivity, 1 - specificity), 1.0, 0.0)
         for sensitivity, specificity in coins],
        axis=1,
    )  # fmt: skip
    votes[rng.random(votes.shape) > coverage] = NAN
    return votes, truth


def scores(means: Sequence[float], items: int, prevalence: float, seed: int = 0) -> tuple[Floats, NDArray[np.bool_]]:
    """Return scores whose logits are normal with unit spread, apart by so much, and far off as probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < prevalence
    logits = np.stack([rng.normal(size=items) + truth * mean - 5 for mean in means], axis=1)
    return 1 / (1 + np.exp(-logits)), truth


def names(votes: Floats) -> list[str]:
    return [f"member {place}" for place in range(votes.shape[1])]


def fitted(votes: Floats, prevalence: float = 0.2, **settings_of_fit: float) -> LabelModel:
    return fit_label_model(votes, names(votes), prevalence, **settings_of_fit)  # type: ignore[arg-type]


@pytest.mark.parametrize("prevalence", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("coverage", [1.0, 0.6])
def test_it_finds_how_good_its_members_are(prevalence: float, coverage: float) -> None:
    coins = [(0.9, 0.9), (0.8, 0.85), (0.7, 0.95), (0.6, 0.7)]
    votes, _ = simulated(coins, 60_000, prevalence, coverage=coverage)
    model = fitted(votes, prevalence, prior_strength=0.002)
    for member, (sensitivity, specificity) in zip(model.members, coins, strict=True):
        assert member.sensitivity == pytest.approx(sensitivity, abs=0.05)
        assert member.specificity == pytest.approx(specificity, abs=0.015)
        assert member.coverage == pytest.approx(coverage, abs=0.01)
        assert member.weight == 1
        assert member.evidence[-1] == pytest.approx(np.log(sensitivity / (1 - specificity)), abs=0.15)


@pytest.mark.parametrize("prevalence", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_it_beats_mean_and_majority_where_members_differ(prevalence: float, seed: int) -> None:
    coins = [(0.9, 0.95), (0.65, 0.7), (0.6, 0.6), (0.6, 0.6), (0.6, 0.6)]
    votes, truth = simulated(coins, 8_000, prevalence, seed=seed)
    mean, majority = votes.mean(axis=1), (votes.mean(axis=1) > 0.5).astype(np.float64)
    posterior = fitted(votes, prevalence).posterior(votes)
    assert roc_auc_score(truth, posterior) > roc_auc_score(truth, mean) + 0.03 > roc_auc_score(truth, majority) + 0.03
    assert brier_score_loss(truth, posterior) < min(brier_score_loss(truth, each) for each in (mean, majority))
    assert brier_score_loss(truth, posterior) < prevalence * (1 - prevalence)


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_the_mean_of_scores_that_mean_nothing_as_probabilities(seed: int) -> None:
    votes, truth = scores([2.0, 0.3, 0.3, 0.3], 8_000, 0.1, seed)
    votes[:, 1:] **= 0.1
    posterior = fitted(votes, 0.1).posterior(votes)
    assert roc_auc_score(truth, posterior) > roc_auc_score(truth, votes.mean(axis=1)) + 0.08
    assert brier_score_loss(truth, posterior) < 0.09 < brier_score_loss(truth, votes.mean(axis=1))
    assert posterior.mean() == pytest.approx(0.1)


def test_the_posterior_is_bayes_theorem() -> None:
    votes, _ = simulated([(0.8, 0.9), (0.7, 0.6), (0.9, 0.7)], 500, 0.3, coverage=0.8)
    model = fitted(votes, 0.3)
    for answers in itertools.product((0.0, 1.0, NAN), repeat=3):
        odds = np.exp(model.level)
        for answer, member in zip(answers, model.members, strict=True):
            at = {0.0: member.evidence[0], 1.0: member.evidence[1]}
            odds *= np.exp(member.silence if np.isnan(answer) else at[answer])
        assert model.posterior(np.array([answers]))[0] == pytest.approx(odds / (1 + odds))


def test_the_fit_is_the_best_of_all_rising_chances() -> None:
    """Two coins and a tiny pool: the objective, written out, is nowhere higher on a grid of chances."""
    votes = np.array([[1, 1], [1, 1], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [0, 0.0]])
    prevalence, strength = 0.3, 0.4
    model = fitted(votes, prevalence, prior_strength=strength, tolerance=1e-12, max_iterations=5_000)
    share = 0.4, 0.4
    prior = [_prior_counts(each, prevalence, strength, len(votes)) for each in share]

    def objective(chances: Sequence[Coin]) -> float:
        """Chances are P(yes | positive), P(yes | negative) of each member."""
        total = 0.0
        for row in votes:
            both = [prevalence, 1 - prevalence]
            for vote, chance in zip(row, chances, strict=True):
                both = [each * (p if vote else 1 - p) for each, p in zip(both, chance, strict=True)]
            total += np.log(sum(both))
        for (yes, no), chance in zip(prior, chances, strict=True):
            total += sum(y * np.log(p) + n * np.log(1 - p) for y, n, p in zip(yes, no, chance, strict=True))
        return float(total)

    assert model.weights.tolist() == [1, 1]
    grid = np.linspace(0.04, 0.96, 12)
    coins = [(yes, no) for yes in grid for no in grid if yes >= no]
    best = max(objective([one, other]) for one in coins for other in coins)
    assert model.log_posterior[-1] >= best - 1e-9
    assert model.log_posterior[-1] <= best + 0.2


def _prior_counts(share: float, prevalence: float, strength: float, items: int) -> tuple[Coin, Coin]:
    from al_assets.models.label_model.answers import answers_of, expected_share

    coin = answers_of(np.repeat([0.0, 1.0], [round(items * (1 - share)), round(items * share)]))
    no, yes = expected_share(coin, prevalence)
    counts = strength * coin.counts
    return (yes * counts[1], (1 - yes) * counts[1]), (no * counts[0], (1 - no) * counts[0])


VOTES = st.lists(
    st.tuples(*[st.one_of(st.just(NAN), st.floats(0, 1), st.sampled_from([0.0, 1.0]))] * 3), min_size=1, max_size=60
)


@given(VOTES, st.floats(0.01, 0.99))
@settings(max_examples=150)
def test_whatever_the_votes(rows: list[tuple[float, ...]], prevalence: float) -> None:
    votes = np.array(rows)
    model = fitted(votes, prevalence)
    posterior = model.posterior(votes)
    assert posterior.mean() == pytest.approx(prevalence, abs=1e-6)
    steps = np.diff(model.log_posterior)
    assert (steps >= -1e-9 * (1 + abs(model.log_posterior[-1]))).all()
    raised = np.where(np.isnan(votes), NAN, np.minimum(votes + 0.1, 1))
    assert (model.posterior(raised) >= posterior - 1e-12).all()
    again = np.concatenate([votes, votes])
    assert fitted(votes, prevalence) == model
    np.testing.assert_allclose(fitted(again, prevalence).posterior(votes), posterior, atol=1e-6)
    calls = calls_of(votes, model.thresholds)
    disagreement = disagreement_of(calls, model.weights)
    assert ((disagreement >= 0) & (disagreement <= 1)).all()
    for member in model.members:
        assert 0 < member.weight <= 1
        assert list(member.evidence) == sorted(member.evidence)
        assert (member.sensitivity is None) == (member.coverage == 0)


def test_the_order_of_items_means_nothing() -> None:
    votes, _ = scores([1.0, 0.5, 2.0], 900, 0.2)
    order = np.random.default_rng(3).permutation(900)
    np.testing.assert_allclose(
        fitted(votes).posterior(votes)[order], fitted(votes[order]).posterior(votes[order]), atol=1e-9
    )


def test_where_all_abstain_the_prevalence_stands() -> None:
    votes = np.full((5, 2), NAN)
    model = fitted(votes, 0.07)
    assert model.posterior(votes) == pytest.approx([0.07] * 5)
    assert [each.sensitivity for each in model.members] == [None, None]


def test_one_member_is_ranked_as_it_ranks_and_has_the_expected_level() -> None:
    votes, truth = scores([1.5], 4_000, 0.1)
    model = fitted(votes, 0.1)
    posterior = model.posterior(votes)
    assert posterior.mean() == pytest.approx(0.1)
    order = np.argsort(votes[:, 0])
    assert (np.diff(posterior[order]) > 0).all()
    assert roc_auc_score(truth, posterior) == pytest.approx(roc_auc_score(truth, votes[:, 0]))
    assert brier_score_loss(truth, posterior) < brier_score_loss(truth, votes[:, 0])


def test_copies_of_a_member_count_as_one() -> None:
    one, _ = scores([1.0, 1.5], 3_000, 0.2)
    many = np.column_stack([one[:, 0], one[:, 0], one[:, 0], one[:, 1]])
    np.testing.assert_allclose(fitted(many).posterior(many), fitted(one).posterior(one), atol=1e-9)
    assert fitted(many).weights == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    alone, same = one[:, :1], np.repeat(one[:, :1], 5, axis=1)
    np.testing.assert_allclose(fitted(same).posterior(same), fitted(alone).posterior(alone), atol=1e-9)


def test_copies_of_a_poor_member_do_not_outvote_two_good_ones() -> None:
    votes, truth = scores([0.1, 1.5, 1.5, 1.0], 6_000, 0.15)
    copied = np.column_stack([votes, *[votes[:, 0]] * 4])
    found = roc_auc_score(truth, fitted(copied).posterior(copied))
    assert found == pytest.approx(roc_auc_score(truth, fitted(votes).posterior(votes)), abs=0.01)
    assert found > roc_auc_score(truth, copied.mean(axis=1)) + 0.05


def test_one_that_contradicts_all_others_counts_for_nothing() -> None:
    votes, truth = simulated([(0.8, 0.9), (0.8, 0.85), (0.75, 0.9), (0.15, 0.2)], 20_000, 0.2)
    model = fitted(votes)
    contrary = model.members[-1]
    assert max(map(abs, contrary.evidence)) < 0.3
    assert contrary.sensitivity is not None
    assert contrary.sensitivity < 0.4
    without = votes[:, :-1]
    assert roc_auc_score(truth, model.posterior(votes)) == pytest.approx(
        roc_auc_score(truth, fitted(without).posterior(without)), abs=0.02
    )


def test_silence_tells_what_a_yes_is_worth() -> None:
    """A word list that only ever says yes: without its silence as an answer, it could not count for anything."""
    rng = np.random.default_rng(0)
    votes, truth = scores([1.5, 1.5], 20_000, 0.1)
    hits = np.where(rng.random(20_000) < np.where(truth, 0.4, 0.02), 1.0, NAN)
    with_list = np.column_stack([votes, hits])
    model = fitted(with_list, 0.1)
    assert model.members[2].evidence[0] > 1 > 0 > model.members[2].silence
    assert (
        roc_auc_score(truth, model.posterior(with_list))
        > roc_auc_score(truth, fitted(votes, 0.1).posterior(votes)) + 0.01
    )


def test_items_it_was_not_fitted_to() -> None:
    votes, _ = scores([1.0, 2.0], 2_000, 0.2)
    model = fitted(votes)
    new = np.array([[0.0, 0.0], [1.0, 1.0], [NAN, NAN], [0.0, 1.0]])
    found = model.posterior(new)
    assert found[0] == found.min()
    assert found[1] == found.max()
    # Members that never abstained say nothing by abstaining now.
    assert logit(found[2:3])[0] == pytest.approx(model.level)
    assert model.posterior(np.empty((0, 2))).shape == (0,)


def test_a_million_items_take_seconds_and_little_memory() -> None:
    import time
    import tracemalloc

    rng = np.random.default_rng(0)
    votes = rng.random((1_000_000, 6))
    votes[:, 4] = np.where(votes[:, 4] < 0.02, 1.0, NAN)
    votes[:, 5] = np.where(votes[:, 5] < 0.5, NAN, np.round(votes[:, 5]))
    tracemalloc.start()
    began = time.process_time()
    model = fitted(votes, 0.05, max_iterations=15)
    taken, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.posterior(votes).mean() == pytest.approx(0.05)
    assert taken < 20
    assert peak < 400e6


def test_it_survives_a_file() -> None:
    votes, _ = simulated([(0.8, 0.9), (0.7, 0.6)], 100, 0.3, coverage=0.5)
    model = fitted(votes)
    assert LabelModel.of(json.loads(json.dumps(asdict(model)))) == model


def test_thresholds() -> None:
    ranking = np.arange(1, 101) / 1_000
    assert (ranking >= vote_threshold(ranking, 0.1)).sum() == 10
    assert vote_threshold(np.array([0.0, 1.0, 1.0]), 0.1) == 0.5
    assert vote_threshold(np.array([0.9, NAN, 0.2]), 0.1) == 0.5
    assert vote_threshold(np.full(3, NAN), 0.1) == 0.5
    assert vote_threshold(np.full(3, 0.3), 0.1) > 0.3


def test_disagreement() -> None:
    calls = np.array([[1, 1, 1], [1, 0, 1], [1, 0, NAN], [NAN, NAN, 0], [NAN, NAN, NAN], [0, 0, 0]])
    assert disagreement_of(calls, np.ones(3)) == pytest.approx([0, 2 / 3, 1, 0, 0, 0])
    assert disagreement_of(calls, np.array([1, 3, 2.0])) == pytest.approx([0, 1, 0.5, 0, 0, 0])
    np.testing.assert_array_equal(
        calls_of(np.array([[0.2, NAN], [0.1, 0.5]]), np.array([0.15, 0.5])), [[1, NAN], [0, 1]]
    )


def test_disagreement_is_where_the_posterior_errs() -> None:
    votes, truth = scores([1.5, 1.2, 1.0, 1.0], 10_000, 0.1)
    model = fitted(votes, 0.1)
    posterior = model.posterior(votes)
    wrong = (posterior >= np.quantile(posterior, 0.9)) != truth
    disagreement = disagreement_of(calls_of(votes, model.thresholds), model.weights)
    assert wrong[disagreement > 0.5].mean() > 4 * wrong[disagreement == 0].mean()


@pytest.mark.parametrize(
    ("votes", "members", "message"),
    [
        (np.zeros(3), 1, r"votes: shape \(3,\); expected \(items, 1\)"),
        (np.zeros((3, 2)), 3, r"votes: shape \(3, 2\); expected \(items, 3\), one column for each member"),
        (np.zeros((0, 2)), 2, "votes: 0 items of 2 members"),
        (np.zeros((2, 0)), 0, "votes: 2 items of 0 members"),
        (np.array([[0.5], [1.5]]), 1, r"votes: 1 of 2 are not in \[0, 1\], such as 1.5"),
        (np.array([[-1.0], [np.inf]]), 1, r"votes: 2 of 2 are not in \[0, 1\], such as -1"),
    ],
)
def test_what_is_no_vote_is_refused(votes: Floats, members: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_label_model(votes, ["m"] * members, 0.1)


def test_parameters_out_of_range_are_refused() -> None:
    votes = np.zeros((2, 1))
    for prevalence, strength in ((0.0, 0.1), (1.0, 0.1), (NAN, 0.1), (0.5, 0.0)):
        with pytest.raises(ValueError, match="expected a share in"):
            fit_label_model(votes, ["m"], prevalence, prior_strength=strength)
    model = fit_label_model(votes, ["m"], 0.1)
    with pytest.raises(ValueError, match=r"shape \(2, 2\); expected \(items, 1\)"):
        model.posterior(np.zeros((2, 2)))
    with pytest.raises(KeyError, match="members"):
        LabelModel.of({})
    with pytest.raises(TypeError):
        LabelModel.of({**asdict(model), "unknown": 1})


def test_a_member_without_knots_says_nothing() -> None:
    silent = Member("m", 0.0, 0.5, None, None, 1.0, (), (), 0.0)
    assert silent.evidence_of(np.array([NAN, 0.5])).tolist() == [0, 0]
    assert replace(silent, silence=-1.0).evidence_of(np.array([NAN])).tolist() == [-1]
