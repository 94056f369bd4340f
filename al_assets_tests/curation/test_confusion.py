"""The estimate of each region's error rate, on pools whose errors are known."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from al_assets.curation.confusion import expected_errors

REGIONS, EACH = 20, 100
ITEMS = REGIONS * EACH
REGION = np.repeat(np.arange(REGIONS, dtype=np.int32), EACH)


class World:
    """A labeler whose error rate differs from region to region, and more so near its threshold."""

    def __init__(self, seed: int, spread: float = 1.2) -> None:
        rng = np.random.default_rng(seed)
        self.scores = rng.beta(1, 3, ITEMS)
        self.positive = self.scores >= 0.5
        effect = rng.normal(-2.2, spread, REGIONS)[REGION]
        odds = effect + 2 * (0.5 - np.abs(self.scores - 0.5))
        self.wrong = rng.random(ITEMS) < 1 / (1 + np.exp(-odds))
        self.truth = self.positive ^ self.wrong
        self.rng = rng

    @property
    def rates(self) -> NDArray[np.float64]:
        return np.array([self.wrong[each == REGION].mean() for each in range(REGIONS)])

    def estimate(self, rows: NDArray[np.int64]) -> pl.DataFrame:
        labels = np.full(ITEMS, np.nan)
        labels[rows] = self.truth[rows]
        return expected_errors(REGION, self.positive, self.scores, labels, self.scores, 0.5)

    def at_random(self, count: int) -> NDArray[np.int64]:
        return self.rng.choice(ITEMS, count, replace=False)

    def near_the_threshold(self, count: int) -> NDArray[np.int64]:
        return np.argsort(np.abs(self.scores - 0.5))[: 2 * count : 2]


def off(found: pl.DataFrame, world: World) -> float:
    return float(np.sqrt(np.mean((found["error"].to_numpy() - world.rates) ** 2)))


def test_without_labels_the_estimate_is_the_share_of_the_other_label() -> None:
    world = World(0)
    found = world.estimate(np.zeros(0, dtype=np.int64))
    share = np.array([world.positive[each == REGION].mean() for each in range(REGIONS)])
    mixing = 2 * share * (1 - share)
    assert np.corrcoef(found["error"], mixing)[0, 1] > 0.95
    assert found.select("labels", "overturned").sum().row(0) == (0, 0)
    assert (found["error_high"] - found["error_low"]).to_numpy().min() > 0.2


def test_labels_move_each_region_towards_its_own_rate() -> None:
    world = World(1)
    far, near, nearest = (off(world.estimate(world.at_random(count)), world) for count in (0, 200, 1_000))
    assert nearest < near < far
    assert nearest < 0.05


def test_what_was_asked_because_it_is_close_does_not_count_for_what_is_not() -> None:
    bias, naive = [], []
    for seed in range(8):
        world = World(seed)
        rows = np.concatenate([world.near_the_threshold(150), world.at_random(50)])
        bias.append((world.estimate(rows)["error"].to_numpy() - world.rates).mean())
        naive.append(world.wrong[rows].mean() - world.rates.mean())
    assert abs(np.mean(bias)) < 0.75 * np.mean(naive)


def test_intervals_hold_the_truth_and_narrow_with_labels() -> None:
    held, widths = [], []
    for seed in range(10):
        world = World(seed, spread=0.8)
        for count in (60, 400):
            found = world.estimate(world.at_random(count))
            low, high = found["error_low"].to_numpy(), found["error_high"].to_numpy()
            held.append(((low <= world.rates) & (world.rates <= high)).mean())
            widths.append((high - low).mean())
    assert 0.88 < np.mean(held) < 0.99
    assert np.mean(widths[1::2]) < 0.8 * np.mean(widths[::2])


def test_labels_are_counted_where_they_lie() -> None:
    world = World(2)
    rows = world.at_random(300)
    found = world.estimate(rows)
    assert found["labels"].to_list() == np.bincount(REGION[rows], minlength=REGIONS).tolist()
    assert found["overturned"].sum() == world.wrong[rows].sum()


def test_a_labeler_is_judged_by_a_model_that_did_not_learn_from_the_item() -> None:
    world = World(3)
    labels = world.truth.astype(np.float64)
    learnt = np.where(world.truth, 0.9, 0.1)
    own = expected_errors(REGION, world.truth, learnt, labels, learnt, 0.5)
    honest = expected_errors(REGION, world.truth, learnt, labels, world.scores, 0.5)
    assert own["overturned"].sum() == 0
    assert honest["overturned"].sum() == world.wrong.sum()


@pytest.mark.parametrize("positive", [False, True])
def test_one_label_only(positive: bool) -> None:
    scores = np.full(60, 0.9 if positive else 0.1)
    called = np.full(60, positive)
    labels = np.where(np.arange(60) < 30, 1.0, np.nan)
    found = expected_errors(np.repeat(np.arange(2, dtype=np.int32), 30), called, scores, labels, scores, 0.5)
    assert found["labels"].to_list() == [30, 0]
    assert (found["error"][0] < 0.2) is positive
    assert found["error"].is_between(0, 1).all()


def test_no_items_no_region() -> None:
    nothing = np.zeros(0)
    found = expected_errors(nothing.astype(np.int32), nothing.astype(bool), nothing, nothing, nothing, 0.5)
    assert found.is_empty()


def test_the_same_input_gives_the_same_estimate() -> None:
    rows = World(4).at_random(100)
    assert World(4).estimate(rows).equals(World(4).estimate(rows))
