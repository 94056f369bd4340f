from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from al_assets_tests.support.votes import panel
from benchmarks.statistics.simulated_rounds import Round, RoundsSetting, make_pool, simulated_rounds, true_figures

SMALL = RoundsSetting(items=800, audit=20, rounds=3, matched=False)


def rounds(setting: RoundsSetting) -> list[Round]:
    return list(simulated_rounds(setting, np.random.default_rng(0), lambda _: setting.prevalence))


def test_the_pool_is_what_its_setting_says() -> None:
    pool = make_pool(RoundsSetting(items=40_000, raters=4, growth=0.5), np.random.default_rng(0))
    early, late = pool.joined == 0, pool.joined > 0
    assert pool.votes[early].mean() == pytest.approx(0.1, abs=0.01)
    assert pool.votes[late].mean() == pytest.approx(0.2, abs=0.01)
    assert np.unique(pool.joined).tolist() == list(range(10))
    assert ((~np.isnan(pool.asked)).sum(axis=1) == 2).all()
    assert pool.held_out.mean() == pytest.approx(0.3, abs=0.02)
    assert panel(pool.votes[early])["expert_expert_kappa"] == pytest.approx(0.82, abs=0.03)


def test_rounds_ask_new_items_and_use_positives_up() -> None:
    states = rounds(SMALL)
    last = states[-1]
    assert last.asked["item_id"].n_unique() == last.asked.height == 3 * 80
    assert [state.asked.height for state in states] == [80, 160, 240]
    drawn = last.asked.filter(pl.col("reason").is_in(["audit", "control"]))
    assert drawn.height == last.random.sum() == 3 * 32
    assert drawn["stratum_size"].null_count() == 0
    share = np.nanmean(last.pool.votes, axis=1)
    chosen = last.rows[~last.random]
    assert share[chosen].mean() > 2 * share.mean()
    assert last.held_out[(last.asked["reason"] == "audit").to_numpy()].all()
    ids = last.asked["item_id"].to_numpy()
    assert (last.pool.ids[last.rows] == ids).all()


def test_a_growing_pool_is_asked_only_what_is_there() -> None:
    first, *_, last = rounds(replace(SMALL, growth=0.5))
    assert (first.frame.height, last.frame.height) == (400, 800)
    joined = first.asked.join(last.frame, on="item_id")["joined"].unique().to_list()
    assert joined == ["0000"]


def test_the_truth_is_that_of_all_votes_of_the_pool_now() -> None:
    state = rounds(replace(SMALL, growth=0.5))[0]
    votes = state.pool.votes[state.now]
    labels = state.models["model"][state.now]
    found = state.truth()
    assert found == true_figures(votes, {name: each[state.now] for name, each in state.models.items()})
    assert found["prevalence"] == votes.mean()
    assert found["model_recall"] == pytest.approx((labels * votes.mean(axis=1)).sum() / votes.mean(axis=1).sum())
    assert found["student_gain"] == found["model_expert_kappa"] - found["incumbent_expert_kappa"]


@pytest.mark.parametrize("as_audit", [False, True])
def test_a_second_draw_is_a_revision_of_its_own(as_audit: bool) -> None:
    state = rounds(replace(SMALL, rounds=1, check=30, as_audit=as_audit))[0]
    check = state.asked.filter(pl.col("revision") == 1)
    assert check["reason"].unique().to_list() == ["check"]
    assert check.height == 30
    assert state.held_out[(state.asked["reason"] == "check").to_numpy()].all()
    named = check["stratum"].str.contains("student").all()
    assert named is not as_audit
