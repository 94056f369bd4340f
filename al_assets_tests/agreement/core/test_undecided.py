from itertools import product

import krippendorff
import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.core.undecided import BEST, WORST, UndecidedPanel, filled
from al_assets_tests.support.votes import noisy_votes, panel

NAN = float("nan")
EXPERTS, MODEL = "expert_expert_kappa", "model_expert_kappa"


def _figures(
    votes: Floats, undecided_by: NDArray[np.bool_], model: Floats | None = None, weights: Floats | None = None
) -> dict[str, float]:
    rows = np.ones((1, len(votes))) if weights is None else weights[None, :]
    models = {} if model is None else {"model": model}
    return {name: float(value[0]) for name, value in UndecidedPanel(votes, undecided_by, models).figures(rows).items()}


def _hidden(seed: int, share: float = 0.15, **how: float) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Return what raters would have said, the same with some who could not decide, who those are, and a model."""
    generator = np.random.default_rng(seed)
    whole = noisy_votes(seed, **how)  # type: ignore[arg-type]
    undecided_by = ~np.isnan(whole) & (generator.random(whole.shape) < share)
    model = (generator.random(len(whole)) < 0.4).astype(np.float64)
    return whole, np.where(undecided_by, NAN, whole), undecided_by, model


@pytest.mark.parametrize("seed", range(20))
def test_alpha_of_three_answers_equals_the_package(seed: int) -> None:
    _, votes, undecided_by, _ = _hidden(seed, items=40, missing=0.3)
    answers = np.where(undecided_by, 2.0, votes)
    expected = krippendorff.alpha(answers.T, value_domain=[0, 1, 2], level_of_measurement="nominal")
    assert _figures(votes, undecided_by)["alpha_with_undecided"] == pytest.approx(expected, abs=1e-12)
    times = np.random.default_rng(seed).integers(0, 3, len(votes)).astype(np.float64)
    repeated = np.repeat(answers, times.astype(int), axis=0)
    expected = krippendorff.alpha(repeated.T, value_domain=[0, 1, 2], level_of_measurement="nominal")
    assert _figures(votes, undecided_by, weights=times)["alpha_with_undecided"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_with_two_answers_an_item_the_bounds_are_the_least_and_the_largest_kappa(seed: int) -> None:
    _, votes, undecided_by, model = _hidden(seed, items=24, raters=2, share=0.2, error=0.1)
    undecided_by[undecided_by.all(axis=1), 0] = False
    open_answers = np.argwhere(undecided_by)
    found = _figures(votes, undecided_by, model)
    every: dict[str, list[float]] = {EXPERTS: [], MODEL: []}
    for said in product((0.0, 1.0), repeat=len(open_answers)):
        decided = votes.copy()
        decided[tuple(open_answers.T)] = said
        for name, value in panel(decided, {"model": model}).items():
            if name in every:
                every[name].append(value)
    assert (found[f"{EXPERTS}_worst"], found[f"{EXPERTS}_best"]) == pytest.approx(
        (min(every[EXPERTS]), max(every[EXPERTS]))
    )
    assert len(open_answers) > 3
    assert found[f"{EXPERTS}_worst"] < found[f"{EXPERTS}_best"]


@pytest.mark.parametrize("seed", range(12))
def test_against_a_model_that_agrees_the_bounds_are_the_least_and_the_largest_kappa(seed: int) -> None:
    whole, votes, undecided_by, _ = _hidden(seed, items=24, raters=2, share=0.2, error=0.1)
    model = np.where(np.random.default_rng(seed).random(24) < 0.1, 1 - whole[:, 0], whole[:, 0])
    open_answers = np.argwhere(undecided_by)[:10]
    undecided_by = np.zeros_like(undecided_by)
    undecided_by[tuple(open_answers.T)] = True
    votes = np.where(undecided_by, NAN, whole)
    kappas = []
    for said in product((0.0, 1.0), repeat=len(open_answers)):
        decided = votes.copy()
        decided[tuple(open_answers.T)] = said
        kappas.append(panel(decided, {"model": model})[MODEL])
    found = _figures(votes, undecided_by, model)
    assert (found[f"{MODEL}_worst"], found[f"{MODEL}_best"]) == pytest.approx((min(kappas), max(kappas)))


@pytest.mark.parametrize("raters", [2, 3, 5])
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_whatever_was_meant_lies_between_the_bounds(raters: int, share: float) -> None:
    for seed in range(15):
        whole, votes, undecided_by, _ = _hidden(seed, share, items=80, raters=raters, missing=0.2)
        model = (np.nanmean(np.where(np.isnan(whole), 0.5, whole), axis=1) > 0.5).astype(np.float64)
        truth, found = panel(whole, {"model": model}), _figures(votes, undecided_by, model)
        for kappa in (EXPERTS, MODEL):
            assert found[f"{kappa}_worst"] - 1e-12 <= truth[kappa] <= found[f"{kappa}_best"] + 1e-12


def test_cannot_decide_on_hard_items_flatters_and_the_bounds_hold_the_truth() -> None:
    # What lies near the line is what raters differ on, and what they cannot decide.
    generator = np.random.default_rng(5)
    lifted = []
    for _ in range(30):
        latent = generator.normal(size=600)
        felt = latent[:, None] + 0.5 * generator.normal(size=(600, 2)) - 0.7
        whole = (felt > 0).astype(np.float64)
        undecided_by = (np.abs(felt) < 0.35) & (generator.random(felt.shape) < 0.45)
        model = (latent + 0.4 * generator.normal(size=600) > 0.7).astype(np.float64)
        votes = np.where(undecided_by, NAN, whole)
        truth, decisive = panel(whole, {"model": model}), panel(votes, {"model": model})
        found = _figures(votes, undecided_by, model)
        for kappa in (EXPERTS, MODEL):
            assert found[f"{kappa}_worst"] - 1e-12 <= truth[kappa] <= found[f"{kappa}_best"] + 1e-12
            lifted.append(decisive[kappa] - truth[kappa])
        assert 0.04 < undecided_by.mean() < 0.12
        assert found["alpha_with_undecided"] < decisive["krippendorff_alpha"]
    assert np.mean(lifted) > 0.03


def test_where_everybody_decided_all_is_as_without() -> None:
    votes = noisy_votes(1, missing=0.2)
    model = (np.arange(len(votes)) % 3 == 0).astype(np.float64)
    plain, found = panel(votes, {"model": model}), _figures(votes, np.zeros(votes.shape, dtype=np.bool_), model)
    assert found.pop("alpha_with_undecided") == pytest.approx(plain["krippendorff_alpha"], abs=1e-12)
    assert {name: plain[name.rpartition("_")[0]] for name in found} == pytest.approx(found)


def test_an_item_is_decided_by_itself_and_nobody_comes_out_more_lenient() -> None:
    votes = np.array(
        [[1, 1, NAN, NAN], [1, 0, NAN, NAN], [NAN, NAN, NAN, NAN], [NAN] * 4, [0, 0, 0, NAN], [NAN, NAN, 0, 0]]
    )
    undecided_by = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]) == 1
    best, worst = filled(votes, undecided_by, BEST), filled(votes, undecided_by, WORST)
    # Negative is the commoner label.
    np.testing.assert_array_equal(best[0], [1, 1, 1, 1])
    np.testing.assert_array_equal(best[1], [1, 0, 1, NAN])
    np.testing.assert_array_equal(best[2], [1, 1, NAN, NAN])
    np.testing.assert_array_equal(worst[0], [1, 1, 0, 0])
    np.testing.assert_array_equal(worst[1], [1, 0, 0, NAN])
    np.testing.assert_array_equal(np.sort(worst[2:4, :2], axis=1), [[0, 1], [0, 1]])
    assert worst[2:4, 0].sum() == worst[2:4, 1].sum() == 1
    for ends in (best, worst):
        assert ends[4, 3] == (0 if ends is best else 1)
        np.testing.assert_array_equal(np.isnan(ends), np.isnan(votes) & ~undecided_by)


def test_what_cannot_be_known_is_undefined_and_never_0_or_1() -> None:
    nobody = np.full((6, 2), NAN)
    everybody_undecided = np.ones((6, 2), dtype=np.bool_)
    assert all(np.isnan(value) for value in _figures(nobody, everybody_undecided, np.ones(6)).values())
    # One answer an item: no pair of answers.
    alone = np.array([[1, NAN], [NAN, 0], [NAN, NAN]])
    undecided_by = np.array([[0, 0], [0, 0], [1, 0]]) == 1
    assert all(np.isnan(value) for value in _figures(alone, undecided_by, np.ones(3)).values())
    # One label throughout.
    same = np.array([[1, 1], [1, NAN], [1, 1]])
    found = _figures(same, np.array([[0, 0], [0, 1], [0, 0]]) == 1)
    assert np.isnan(found[f"{EXPERTS}_best"])
    assert found[f"{EXPERTS}_worst"] <= 0


def test_answers_that_contradict_themselves_are_refused() -> None:
    votes = np.array([[1.0, NAN], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"undecided_by: shape \(2, 1\); expected that of the votes, \(2, 2\)"):
        UndecidedPanel(votes, np.zeros((2, 1), dtype=np.bool_))
    with pytest.raises(ValueError, match="undecided_by: rater 0 decided item 1 and could not"):
        UndecidedPanel(votes, np.array([[False, True], [True, False]]))
    with pytest.raises(ValueError, match=r"models\['llm'\]: expected a label, 1 or 0, for each of 2 items"):
        UndecidedPanel(votes, np.isnan(votes), {"llm": np.array([1.0, NAN])})


@pytest.mark.parametrize("seed", range(10))
def test_the_bounds_are_the_kappas_of_the_votes_filled_in(seed: int) -> None:
    _, votes, undecided_by, model = _hidden(seed, items=60, raters=4, missing=0.4)
    found = _figures(votes, undecided_by, model)
    for end, said in ((BEST, model), (WORST, 1 - model)):
        among = panel(filled(votes, undecided_by, end))
        assert found[f"{EXPERTS}_{end}"] == pytest.approx(among[EXPERTS], abs=1e-12)
        against = panel(np.where(undecided_by, said[:, None], votes), {"model": model})
        assert found[f"{MODEL}_{end}"] == pytest.approx(against[MODEL], abs=1e-12)
