from itertools import combinations

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.pool_design import PoolDesign, pool_design

Row = tuple[str, str, str, str | None, int | None, int]


def asked(rows: list[Row]) -> pl.DataFrame:
    """Return asked items: item_id, iteration, reason, stratum, stratum_size, revision."""
    names = ("item_id", "iteration", "reason", "stratum", "stratum_size", "revision")
    numbers = {"stratum_size": pl.Int64, "revision": pl.Int64}
    frame = pl.DataFrame(rows, schema={name: numbers.get(name, pl.String) for name in names}, orient="row")
    return frame.with_columns(inclusion_probability=pl.lit(0.1))


def frame(items: int, joined: dict[int, str] | None = None) -> pl.DataFrame:
    since = [(joined or {}).get(item, "0000") for item in range(items)]
    return pl.DataFrame({"item_id": [f"i{item:03d}" for item in range(items)], "joined": since})


def ids(*items: int) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    return np.array([f"i{item:03d}" for item in items])


def totals(design: PoolDesign, *items: int, usable: list[bool] | None = None) -> list[float]:
    """Return how many pool items each of some items stands for."""
    mask = np.ones(len(items), dtype=np.bool_) if usable is None else np.array(usable)
    sample = design.sample(ids(*items), mask)
    return [round(float(weight), 9) for weight in sample.weights * sample.scale]


def test_a_round_weighs_its_draw_to_the_rest_and_what_was_asked_before_as_itself() -> None:
    first: list[Row] = [
        *((f"i{item:03d}", "0000", "audit", "low", 60, 0) for item in range(4)),
        *((f"i{item:03d}", "0000", "control", "high", 40, 0) for item in range(4, 8)),
        ("i008", "0000", "boundary", None, None, 0),
    ]
    alone = pool_design(asked(first), frame(100))
    # One round: 60 and 40 items, drawn 4 times each; the boundary item stands for nothing yet.
    assert totals(alone, *range(9)) == [15.0] * 4 + [10.0] * 4 + [0.0]
    second: list[Row] = [(f"i{item:03d}", "0001", "audit", "all", 91, 0) for item in range(20, 27)]
    both = pool_design(asked(first + second), frame(100))
    found = totals(both, *range(9), *range(20, 27))
    assert sum(found) == pytest.approx(100)
    # In the second round all nine count for themselves, and its seven for the 91 others, 13 each.
    share = found[9] / 13
    assert found[9:] == pytest.approx([13 * share] * 7)
    assert found[:9] == pytest.approx([15 * (1 - share) + share] * 4 + [10 * (1 - share) + share] * 4 + [share])
    # The second tells more: it drew as many, but nine items of the hundred are known for certain.
    assert 0.4 < share < 0.6


def test_audit_and_control_of_a_stratum_are_one_sample() -> None:
    rows: list[Row] = [("i000", "0000", "audit", "all", 30, 0), ("i001", "0000", "control", "all", 30, 0)]
    assert totals(pool_design(asked(rows), frame(30)), 0, 1) == [15.0, 15.0]


def test_every_total_is_unbiased_whichever_items_are_drawn() -> None:
    # Six items, all draws of two rounds: two of all six, then one boundary item by rule, then one of the three left.
    values = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    estimates = []
    for drawn in combinations(range(6), 2):
        left = [item for item in range(6) if item not in drawn]
        chosen, rest = left[0], left[1:]
        for last in rest:
            rows: list[Row] = [
                *((f"i{item:03d}", "0000", "audit", "all", 6, 0) for item in drawn),
                (f"i{chosen:03d}", "0000", "boundary", None, None, 0),
                (f"i{last:03d}", "0001", "audit", "all", 3, 0),
            ]
            items = [*drawn, chosen, last]
            found = totals(pool_design(asked(rows), frame(6)), *items)
            estimates.append(float(np.dot(found, values[items])))
    assert np.mean(estimates) == pytest.approx(values.sum())


def test_what_is_not_labelled_is_stood_for_by_those_asked_alike() -> None:
    rows: list[Row] = [
        *((f"i{item:03d}", "0000", "audit", "all", 50, 0) for item in range(5)),
        *((f"i{item:03d}", "0000", "boundary", None, None, 0) for item in range(5, 15)),
        *((f"i{item:03d}", "0001", "audit", "all", 85, 0) for item in range(15, 20)),
    ]
    design = pool_design(asked(rows), frame(100))
    usable = [True] * 5 + [True, True] + [False] * 8 + [True] * 5
    found = totals(design, *range(20), usable=usable)
    assert sum(found) == pytest.approx(100)
    everything = totals(design, *range(20))
    # Two of ten boundary items stand for the ten.
    assert found[5:7] == pytest.approx([5 * everything[5]] * 2)


def test_a_small_stratum_is_joined_with_its_neighbour_so_that_it_has_a_variance() -> None:
    rows: list[Row] = [
        *((f"i{item:03d}", "0000", "audit", "score 1", 60, 0) for item in range(3)),
        ("i003", "0000", "audit", "score 2", 10, 0),
        *((f"i{item:03d}", "0000", "audit", "score 3", 30, 0) for item in range(4, 7)),
    ]
    sample = pool_design(asked(rows), frame(100)).sample(ids(*range(7)), np.ones(7, dtype=np.bool_))
    assert np.bincount(sample.stratum).tolist() == [3, 4]
    assert (sample.weights * sample.scale).tolist() == pytest.approx([20.0] * 3 + [10.0] * 4)


def test_items_that_joined_later_are_told_of_by_the_rounds_since_and_those_that_left_by_none() -> None:
    rows: list[Row] = [
        *((f"i{item:03d}", "0000", "audit", "all", 40, 0) for item in range(4)),
        *((f"i{item:03d}", "0001", "audit", "all", 96, 0) for item in (10, 11, 60, 61)),
    ]
    joined = {item: "0001" for item in range(40, 100)}
    design = pool_design(asked(rows), frame(100, joined))
    found = totals(design, 0, 1, 2, 3, 10, 11, 60, 61)
    assert sum(found[4:6]) + sum(found[:4]) < 100
    # The later items are known from the second round alone: both stand for 24 each, whatever the first weighs.
    assert found[6:] == pytest.approx([24.0, 24.0])
    gone = frame(100, joined).filter(pl.col("item_id") != "i000")
    design = pool_design(asked(rows), gone)
    assert design.gone == 1
    found = totals(design, 0, 1, 2, 3, 10, 11, 60, 61)
    assert found[0] == 0
    assert sum(found[6:]) == pytest.approx(48, abs=1)


def test_a_check_is_a_round_after_the_draw_of_its_iteration() -> None:
    rows: list[Row] = [
        *((f"i{item:03d}", "0000", "audit", "all", 100, 0) for item in range(10)),
        *((f"i{item:03d}", "0000", "boundary", None, None, 0) for item in range(10, 20)),
        *((f"i{item:03d}", "0000", "check", "both alike", 70, 1) for item in range(20, 25)),
        *((f"i{item:03d}", "0000", "check", "they differ", 10, 1) for item in range(25, 30)),
    ]
    design = pool_design(asked(rows), frame(100))
    found = totals(design, *range(30))
    assert sum(found) == pytest.approx(100)
    assert found[10] > 0
    assert found[20] == pytest.approx(7 * found[25])
    # Where the two models differ is where the check drew: it then counts for more.
    differs = np.array([1.0] + [0.0] * 24 + [1.0] * 5)
    sample = design.sample(ids(*range(30)), np.ones(30, dtype=np.bool_), differs)
    assert (sample.weights * sample.scale)[25] > found[25]


def test_copies_and_impressions_are_what_an_item_counts_for() -> None:
    rows: list[Row] = [(f"i{item:03d}", "0000", "audit", "all", 4, 0) for item in range(4)]
    weighted = frame(4).with_columns(weight=pl.Series([1.0, 1.0, 1.0, 7.0]))
    sample = pool_design(asked(rows), weighted).sample(ids(*range(4)), np.ones(4, dtype=np.bool_))
    assert sample.mean(np.array([0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.7)


def test_without_a_frame_the_pool_has_no_end() -> None:
    rows: list[Row] = [
        *((f"i{item:03d}", "0000", "control", None, None, 0) for item in range(4)),
        ("i004", "0000", "boundary", None, None, 0),
        *((f"i{item:03d}", "0001", "control", None, None, 0) for item in range(5, 9)),
    ]
    sample = pool_design(asked(rows)).sample(ids(*range(9)), np.ones(9, dtype=np.bool_))
    assert sample.weights.tolist() == pytest.approx([1.125] * 4 + [0.0] + [1.125] * 4)
    assert np.isnan(sample.scale)
    assert (sample.stratum_unseen == 1).all()


def test_without_a_random_item_nothing_weighs_anything() -> None:
    sample = pool_design(asked([("i000", "0000", "boundary", None, None, 0)]), frame(9)).sample(
        ids(0), np.ones(1, dtype=np.bool_)
    )
    assert not sample.random.any()
    assert sample.weights.tolist() == [0.0]


ONE: list[Row] = [("i000", "0000", "audit", "all", 9, 0), ("i001", "0000", "audit", "all", 9, 0)]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            {"inclusion_probability": pl.lit(None, dtype=pl.Float64)},
            "inclusion_probability: 2 of 2 random items",
        ),
        ({"inclusion_probability": pl.lit(0.0)}, r"none in \(0, 1\], such as 'i000'"),
        ({"item_id": pl.lit("i000")}, "asked: more than one row for item_id='i000'"),
        ({"stratum_size": pl.Series([9, 8])}, "stratum 'all' of iteration 0000 has several"),
    ],
)
def test_asked_items_that_say_nothing_of_their_chance_are_refused(edit: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pool_design(asked(ONE).with_columns(**edit), frame(9))  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf"), None])
def test_an_item_that_weighs_nothing_is_named(weight: float | None) -> None:
    weighted = frame(3).with_columns(weight=pl.Series([1.0, weight, 1.0]))
    with pytest.raises(ValueError, match="weight: .* of item 'i001' and 0 others; expected a number above 0"):
        pool_design(asked(ONE), weighted)


def test_a_labelled_item_that_was_never_asked_is_named() -> None:
    design = pool_design(asked(ONE), frame(9))
    with pytest.raises(ValueError, match="asked: 1 labelled items were never asked, such as 'i007'"):
        design.sample(ids(0, 7), np.ones(2, dtype=np.bool_))


def test_nobody_is_asked_of_an_empty_pool() -> None:
    with pytest.raises(ValueError, match="columns joined are missing"):
        pool_design(asked(ONE), frame(9).drop("joined"))
    empty: Floats = pool_design(asked([]), frame(9)).sample(ids(), np.zeros(0, dtype=np.bool_)).weights
    assert empty.tolist() == []
