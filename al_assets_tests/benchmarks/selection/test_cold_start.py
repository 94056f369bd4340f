from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.curation.strategies.base import Strategy
from al_assets.curation.strategies.boundary import BoundaryShare
from al_assets.study.loop import LoopSettings, Situation
from al_assets.study.panel import noisy_oracle
from benchmarks.selection.cold_start import (
    ARMS,
    ColdStartBench,
    Texts,
    always,
    area_under_curve,
    bench_cold_start,
    cold_start_table,
    mean_of,
)
from benchmarks.selection.offline_loop import HiddenPool, draw_pool, run_loop

FEW = LoopSettings(budget=20, rounds=2)


def _texts(items: int = 900, positive: float = 0.3, seed: int = 0) -> Texts:
    """Two overlapping clouds of unit vectors, and labelers that are right, or know nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.random(items) < positive
    vectors = rng.standard_normal((items, 8)) + 2.5 * np.eye(8)[truth.astype(np.int64)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labelers = {"right": noisy_oracle(truth, 0.99), "chance": rng.random(items)}
    return Texts("clouds", vectors.astype(np.float32), truth, labelers)


def _pool(labeler: str, seed: int = 0) -> HiddenPool:
    texts = _texts()
    return draw_pool(
        texts.vectors, texts.truth, texts.labelers[labeler], items=500, held_out=200, prevalence=0.2, seed=seed
    )


@pytest.fixture(scope="module")
def found() -> ColdStartBench:
    arms = {name: ARMS[name] for name in ("by calibration", "pairs only", "top-scored only", "random")}
    return bench_cold_start([_texts()], prevalences=(0.2,), arms=arms, settings=FEW, items=300, held_out=150, seeds=2)


def test_a_pool_has_the_positive_share_asked_for_and_shares_no_item_with_the_held_out() -> None:
    pool = _pool("right")
    truth = np.concatenate([pool.truth, pool.held_truth])
    assert truth.sum() == 140
    assert len(np.unique(np.concatenate([pool.vectors, pool.held_vectors]), axis=0)) == 700
    natural = draw_pool(*_columns(_texts()), items=500, held_out=200, prevalence=None, seed=0)
    assert natural.truth.mean() == pytest.approx(0.3, abs=0.06)
    with pytest.raises(ValueError, match="pool 900, held_out 200: only"):
        draw_pool(*_columns(_texts()), items=900, held_out=200, prevalence=0.9, seed=0)


def _columns(texts: Texts) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    return texts.vectors, texts.truth, texts.labelers["right"]


def test_the_oracle_has_the_auc_asked_for() -> None:
    truth = np.arange(20_000) % 5 == 0
    for auc in (0.5, 0.7, 0.95):
        assert area_under_curve(noisy_oracle(truth, auc), truth) == pytest.approx(auc, abs=0.01)


def test_the_same_seed_gives_the_same_rounds_and_another_seed_others() -> None:
    once, again, other = (run_loop(_pool("chance"), ARMS["by calibration"], FEW, seed) for seed in (0, 0, 1))
    assert once == again
    assert once != other


def test_the_earlier_rule_starts_at_half_and_falls_as_positives_are_found() -> None:
    rounds = run_loop(_pool("right"), ARMS["by positive share"], FEW, 0)
    assert rounds[0].promising >= 0.5 > rounds[1].promising


def test_every_arm_sees_what_came_before_and_nothing_it_should_not() -> None:
    seen: list[Situation] = []

    def look(situation: Situation) -> Strategy:
        seen.append(situation)
        return BoundaryShare(0.5)

    rounds = run_loop(_pool("right"), look, FEW, 0)
    assert len(rounds) == len(seen) == 2
    assert [len(each.boundary_labels) for each in seen] == [0, 12]
    assert len(seen[0].evidence.labelled) == 0
    # LLM-0 learnt from no label, so all 20 speak for it; for a student those held out and those that came later.
    assert len(seen[1].evidence.labelled) in range(5, 21)
    assert seen[0].target == FEW.target
    assert all(
        each.evidence.expected_prevalence == pytest.approx(seen[0].evidence.expected_prevalence) for each in seen
    )


def test_arms_differ_in_the_boundary_share_alone(found: ColdStartBench) -> None:
    shares = {(each.labeler, each.arm): each.promising for each in found.arms}
    for labeler in ("right", "chance"):
        assert shares[labeler, "top-scored only"] == (1.0, 1.0)
        assert shares[labeler, "random"] == (0.0, 0.0)
        assert shares[labeler, "by calibration"][0] <= 0.5
    picked = {(each.labeler, each.arm): each.picked.mean for each in found.arms}
    assert picked["right", "top-scored only"] > picked["right", "pairs only"] > picked["right", "random"]
    assert all(each.seeds == 2 and len(each.average_precision) == 2 for each in found.arms)
    base = [each for each in found.arms if each.arm == "pairs only"]
    assert all(each.against_pairs.mean == 0 for each in base)
    aucs = {each.labeler: each.labeler_auc for each in found.arms}
    assert aucs["right"] > 0.97
    assert 0.4 < aucs["chance"] < 0.6


def test_differences_are_paired_by_seed(found: ColdStartBench) -> None:
    arms = {(each.labeler, each.arm): each for each in found.arms}
    for labeler in ("right", "chance"):
        random, base = arms[labeler, "random"], arms[labeler, "pairs only"]
        difference = random.mean_precision.mean - base.mean_precision.mean
        assert random.against_pairs.mean == pytest.approx(difference, abs=2e-4)


def test_what_was_expected_is_compared_with_what_was_found(found: ColdStartBench) -> None:
    assert {(each.labeler, each.kind) for each in found.expected} == {
        (labeler, kind) for labeler in ("right", "chance") for kind in ("pairs", "promising")
    }
    for each in found.expected:
        # The second of two rounds, of four arms and two seeds.
        assert 0 < each.rounds <= 8
        assert abs(each.expected - each.found) <= each.error + 1e-9 <= 1
    asdict(found)


def test_the_table_has_a_row_for_each_arm(found: ColdStartBench) -> None:
    lines = cold_start_table(found).splitlines()
    assert len(lines) == 2 + len(found.arms)
    assert len({line.count("|") for line in lines}) == 1
    assert "| clouds, 20% | right (" in lines[2].replace(" %", "%")


def test_a_mean_knows_its_interval() -> None:
    found = mean_of(np.array([1.0, 2.0, 3.0]))
    assert found.mean == 2
    # t(.975, 2) = 4.303, standard error 1 / sqrt(3).
    assert found.half_width == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    assert mean_of(np.array([1.0])).half_width is None


def test_a_bench_that_compares_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pairs only"):
        bench_cold_start([_texts()], arms={"half": always(BoundaryShare(0.5))})
    with pytest.raises(ValueError, match="seeds 0"):
        bench_cold_start([_texts()], seeds=0)


def test_a_class_that_is_never_found_is_no_crash() -> None:
    pool = _pool("chance")
    nothing = replace(pool, truth=np.arange(len(pool.truth)) == 0)
    rounds = run_loop(nothing, ARMS["random"], FEW, 0)
    assert all(0 <= each.average_precision <= 1 for each in rounds)
