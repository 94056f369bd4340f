import time
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import cohen_kappa_score

from al_assets.agreement.core.kappa import pooled_kappa, pooled_model_kappa
from al_assets.study import StudyError
from al_assets.study.draw import draw_rows
from al_assets.study.panel import PanelSettings, SimulatedPanel, panel_kappas, simulate_panel
from al_assets.study.texts import JudgedTexts

NAN = np.nan


def rated(judgements: Any, name: str = "some") -> JudgedTexts:
    table = np.array(judgements, dtype=np.float64)
    ids = tuple(f"t{row}" for row in range(len(table)))
    return JudgedTexts(name, ids, ids, table)


def crowd_rated(items: int = 20_000, raters: int = 5) -> JudgedTexts:
    """Votes of raters who are right about nine in ten items, a fifth of which are positive."""
    rng = np.random.default_rng(1)
    truth = rng.random(items) < 0.2
    return rated((truth[:, None] ^ (rng.random((items, raters)) < 0.1)).astype(np.float64))


TEXTS = crowd_rated()
ROWS = np.arange(len(TEXTS))


def test_raters_are_shared_out_without_remainder_or_repetition() -> None:
    texts = rated([[1, 1, 1, 0, 0, 0, 1]] * 400)
    panel = simulate_panel(texts, PanelSettings(experts=6, raters_per_expert=1), seed=0)
    assert (panel.experts.sum(axis=1) + panel.crowd == 4).all()
    # Every rater has the same chance of every place.
    assert panel.experts.mean(axis=0) == pytest.approx([4 / 7] * 6, abs=0.1)
    assert panel.crowd.mean() == pytest.approx(4 / 7, abs=0.1)
    # All but the crowd's: three of six is a tie, and so negative.
    assert np.array_equal(panel.truth, panel.crowd == 0)


def test_an_expert_is_the_mean_of_raters_of_their_own() -> None:
    panel = simulate_panel(rated([[1, 1, 1, 0, 0, 0, 0, 0, 0]] * 200), PanelSettings(raters_per_expert=3), seed=0)
    # Three positives among nine: at most one expert has two of them.
    assert set(panel.experts.sum(axis=1)) == {0, 1}
    assert np.isnan(panel.crowd).all()
    pairs = simulate_panel(rated([[0.667, 0.333, 0.667]] * 200), PanelSettings(experts=1, raters_per_expert=2), seed=0)
    # .667 and .333 are a tie, .667 and .667 are not.
    assert np.array_equal(pairs.experts[:, 0], 1 - pairs.crowd)


def test_shared_judgements_are_all_but_the_crowds() -> None:
    panel = simulate_panel(rated([[1, 1, 1, 0, 0]] * 300), PanelSettings(), seed=0)
    assert (panel.experts == panel.experts[:, :1]).all()
    assert np.array_equal(panel.experts[:, 0], panel.truth)
    # Without the crowd's yes, two of four are a tie; without its no, three of four are not.
    assert np.array_equal(panel.truth, panel.crowd == 0)
    assert panel.crowd.mean() == pytest.approx(0.6, abs=0.1)


def test_rounded_thirds_make_a_tie() -> None:
    settings = PanelSettings(experts=1, raters_per_expert=4)
    assert simulate_panel(rated([[0.667, 0.667, 0.667, 0]]), settings, seed=0).experts.tolist() == [[0]]
    assert simulate_panel(rated([[0.667, 0.667, 1, 0]]), settings, seed=0).experts.tolist() == [[1]]


def test_raters_that_run_out_give_no_vote() -> None:
    texts = rated([[1, 1, 1, 1, 1], [1, NAN, 1, NAN, 1], [NAN, NAN, NAN, NAN, 1]])
    panel = simulate_panel(texts, PanelSettings(experts=2, raters_per_expert=2), seed=0)
    assert np.array_equal(panel.experts, [[1.0, 1.0], [1.0, NAN], [NAN, NAN]], equal_nan=True)
    assert np.array_equal(panel.crowd, [1, NAN, NAN], equal_nan=True)
    assert panel.truth.tolist() == [True, True, True]
    shared = simulate_panel(texts, PanelSettings(experts=2), seed=0)
    assert not np.isnan(shared.experts).any()
    assert np.array_equal(shared.crowd, [1, 1, NAN], equal_nan=True)
    with pytest.raises(StudyError, match="they need 6 judgements of a text, and no text of 'some' has more than 5"):
        simulate_panel(texts, PanelSettings(raters_per_expert=2), seed=0)


@pytest.mark.parametrize(
    "settings",
    [PanelSettings(experts=2, raters_per_expert=2), PanelSettings(), PanelSettings(experts=1)],
)
def test_an_answer_depends_on_seed_and_item_alone(settings: PanelSettings) -> None:
    rows = np.array([7, 3, 11_000, 4])
    panel, few = simulate_panel(TEXTS, settings, 5), simulate_panel(TEXTS.take(rows), settings, 5)
    assert np.array_equal(few.experts, panel.experts[rows])
    assert np.array_equal(few.crowd, panel.crowd[rows])
    assert np.array_equal(few.truth, panel.truth[rows])
    assert not np.array_equal(simulate_panel(TEXTS, settings, 6).crowd, panel.crowd)
    noisy = settings.model_copy(update={"crowd_kappa": 0.3})
    assert np.array_equal(simulate_panel(TEXTS, noisy, 5).crowd, simulate_panel(TEXTS, noisy, 5).crowd)


def test_kappas_are_pooled_over_pairs_on_the_rows_asked_for() -> None:
    panel = simulate_panel(TEXTS, PanelSettings(experts=4, raters_per_expert=1), seed=0)
    rows = ROWS[::3]
    experts, crowd = panel.experts[rows], panel.crowd[rows]
    found = panel_kappas(panel, rows)
    pairs = [cohen_kappa_score(experts[:, i], experts[:, j]) for i, j in combinations(range(4), 2)]
    assert found == (pooled_kappa(experts), pooled_model_kappa(crowd, experts))
    assert found[0] == pytest.approx(np.mean(pairs), abs=0.01)
    assert found[1] == pytest.approx(np.mean([cohen_kappa_score(crowd, experts[:, i]) for i in range(4)]), abs=0.01)


def test_a_single_expert_has_a_kappa_with_the_crowd_only() -> None:
    panel = simulate_panel(TEXTS, PanelSettings(experts=1), seed=0)
    found = panel_kappas(panel, ROWS)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(cohen_kappa_score(panel.crowd, panel.experts[:, 0]))
    empty = SimulatedPanel(panel.experts, np.full(len(ROWS), NAN), panel.truth)
    assert np.isnan(panel_kappas(empty, ROWS)[1])


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (PanelSettings(experts=2, raters_per_expert=2, expert_kappa=0.3), 0.3),
        (PanelSettings(experts=3, expert_kappa=0.8), 0.8),
        (PanelSettings(experts=3, expert_kappa=0.5), 0.5),
    ],
)
def test_noise_brings_the_experts_to_the_kappa_asked_for(settings: PanelSettings, target: float) -> None:
    panels = [simulate_panel(TEXTS, settings, seed) for seed in range(4)]
    plain = [simulate_panel(TEXTS, settings.model_copy(update={"expert_kappa": None}), seed) for seed in range(4)]
    found = [panel_kappas(panel, ROWS)[0] for panel in panels]
    # One kappa of 20,000 items has a standard error below .01, the mean of four of .005.
    assert np.mean(found) == pytest.approx(target, abs=0.015)
    for panel, before in zip(panels, plain, strict=True):
        assert np.array_equal(panel.truth, before.truth)
        assert np.array_equal(panel.crowd, before.crowd, equal_nan=True)
        assert panel.experts.mean(axis=0) == pytest.approx(before.experts.mean(axis=0), abs=0.01)


def test_noise_brings_the_crowd_to_the_kappa_asked_for() -> None:
    plain = simulate_panel(TEXTS, PanelSettings(), seed=0)
    found, shares = [], []
    for seed in range(4):
        panel = simulate_panel(TEXTS, PanelSettings(crowd_kappa=0.4), seed)
        found.append(cohen_kappa_score(panel.crowd, panel.truth))
        shares.append(panel.crowd.mean())
        assert np.array_equal(panel.experts[:, 0], panel.truth)
    assert np.mean(found) == pytest.approx(0.4, abs=0.015)
    assert np.mean(shares) == pytest.approx(plain.crowd.mean(), abs=0.01)


def test_less_noise_replaces_fewer_of_the_same_votes() -> None:
    plain, little, much = (
        simulate_panel(TEXTS, PanelSettings(expert_kappa=kappa), seed=0).experts for kappa in (None, 0.8, 0.5)
    )
    assert ((little != plain) <= (much != plain)).all()
    assert (much != plain).sum() > (little != plain).sum() > 0


def test_on_a_thinned_sample_the_target_is_met_by_simulating_on_it() -> None:
    settings = PanelSettings(experts=2, expert_kappa=0.7)
    panel = simulate_panel(TEXTS, settings, seed=0)
    drawn = draw_rows(panel.truth, pool=None, held_out=1_000, prevalence=0.05, seed=0)
    rows = np.concatenate(drawn)
    thinned = simulate_panel(TEXTS.take(rows), settings, seed=0)
    assert np.array_equal(thinned.truth, panel.truth[rows])
    assert panel_kappas(thinned, np.arange(len(rows)))[0] == pytest.approx(0.7, abs=0.04)
    assert panel_kappas(panel, rows)[0] < 0.6


def test_a_target_out_of_reach_names_both_figures() -> None:
    with pytest.raises(
        StudyError, match=r"expert_kappa: 0.9 is more than the 0\.\d{3} that the raters of 'some' reach"
    ):
        simulate_panel(TEXTS, PanelSettings(experts=2, raters_per_expert=2, expert_kappa=0.9), seed=0)
    with pytest.raises(StudyError, match=r"crowd_kappa: 0.95 is more than the 0\.\d{3} that"):
        simulate_panel(TEXTS, PanelSettings(crowd_kappa=0.95), seed=0)
    with pytest.raises(StudyError, match="crowd_kappa: 0.5, but the votes on 'some' have no kappa to start from"):
        simulate_panel(TEXTS, PanelSettings(experts=5, raters_per_expert=1, crowd_kappa=0.5), seed=0)
    with pytest.raises(StudyError, match="expert_kappa: 0.5, but the votes on 'some' have no kappa"):
        simulate_panel(rated([[1, 1]] * 9), PanelSettings(expert_kappa=0.5), seed=0)


def test_labels_alone_have_experts_and_a_crowd_only_where_its_quality_is_given() -> None:
    labels = rated(TEXTS.judgements[:, :1])
    panel = simulate_panel(labels, PanelSettings(expert_kappa=0.9), seed=0)
    assert np.isnan(panel.crowd).all()
    assert np.array_equal(panel.truth, labels.judgements[:, 0] == 1)
    assert panel_kappas(panel, ROWS)[0] == pytest.approx(0.9, abs=0.015)
    crowd = simulate_panel(labels, PanelSettings(crowd_kappa=0.6), seed=0).crowd
    assert cohen_kappa_score(crowd, panel.truth) == pytest.approx(0.6, abs=0.02)
    same = simulate_panel(labels, PanelSettings(expert_kappa=1, crowd_kappa=1), seed=0)
    assert (same.experts == panel.truth[:, None]).all()
    assert np.array_equal(same.crowd, panel.truth)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"experts": 0}, "experts"),
        ({"raters_per_expert": 0}, "raters_per_expert"),
        ({"expert_kappa": 0}, "expert_kappa"),
        ({"crowd_kappa": 1.1}, "crowd_kappa"),
        ({"expert": 2}, "unknown key 'expert'; did you mean 'experts'?"),
        ({"experts": 1, "raters_per_expert": 2, "expert_kappa": 0.5}, "expert_kappa: 0.5 of a single expert"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PanelSettings.model_validate(values)


def test_twenty_thousand_items_take_a_moment() -> None:
    started = time.process_time()
    simulate_panel(TEXTS, PanelSettings(expert_kappa=0.8, crowd_kappa=0.4), seed=0)
    assert time.process_time() - started < 5
