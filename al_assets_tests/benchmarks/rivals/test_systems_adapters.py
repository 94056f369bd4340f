from importlib import import_module

import numpy as np
import pytest

from al_assets_tests.benchmarks.rivals.small_pool import small_pool
from benchmarks.rivals.comparison import bench_rivals, distinct_open
from benchmarks.rivals.question import pose
from benchmarks.rivals.systems import OURS, SYSTEMS, chosen_systems

EVERY = [f"{system.name}:{strategy}" for system in SYSTEMS for strategy in system.strategies]
# What those libraries warn of is theirs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("name", EVERY)
def test_every_strategy_picks_distinct_open_items_to_the_budget(name: str) -> None:
    (system,) = chosen_systems([name])
    adapter = import_module(system.module)
    question = pose(small_pool(), 30, seed=0)
    rows = adapter.prepare(system.strategies[0], question)()
    assert rows.dtype == np.int64
    assert len(rows) == 30
    assert np.array_equal(distinct_open(rows, question), rows)
    assert adapter.version()


@pytest.mark.parametrize(
    "name", ["small-text:BreakingTies", "scikit-activeml:UncertaintySampling", "modAL:margin_sampling"]
)
def test_by_margin_all_rivals_pick_the_scores_nearest_to_the_change_of_label(name: str) -> None:
    (system,) = chosen_systems([name])
    question = pose(small_pool(), 30, seed=0)
    rows = import_module(system.module).prepare(system.strategies[0], question)()
    open_rows = question.open_rows
    nearest = open_rows[np.argsort(np.abs(question.scores[open_rows] - 0.5))[:30]]
    assert set(rows.tolist()) == set(nearest.tolist())


@pytest.mark.parametrize("name", ["small-text:GreedyCoreset", "scikit-activeml:CoreSet"])
def test_the_first_pick_of_a_core_set_is_the_item_farthest_from_all_labelled_ones(name: str) -> None:
    (system,) = chosen_systems([name])
    question = pose(small_pool(), 5, seed=0)
    rows = import_module(system.module).prepare(system.strategies[0], question)()
    vectors = question.dense()
    similarity = (vectors[question.open_rows] @ vectors[question.labelled_rows].T).max(axis=1)
    assert rows[0] == question.open_rows[similarity.argmin()]


def test_all_systems_go_through_the_runner() -> None:
    systems = chosen_systems(["modAL:margin_sampling", "al_assets:margin", "al_assets:boundary_pairs"])
    found = bench_rivals([small_pool()], budget=30, seed=0, systems=systems)
    assert [each.stopped for each in found] == [False] * 3
    assert [each.picked for each in found] == [30] * 3
    assert all(each.quality is not None and each.quality.topics == 6 for each in found)
    assert found[1].system == OURS.name
