import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.review.ordering import MIN_GAP, blind_order
from al_assets_tests.support.ledger import items, paired_queue, queue_frame


def smallest_gap(groups: list[str]) -> int:
    last: dict[str, int] = {}
    smallest = len(groups)
    for at, group in enumerate(groups):
        if group in last:
            smallest = min(smallest, at - last[group] - 1)
        last[group] = at
    return smallest


@given(st.integers(0, 40), st.integers(0, 40), st.text(max_size=3))
@settings(max_examples=150)
def test_every_item_once_and_pair_members_apart(pairs: int, singles: int, rater: str) -> None:
    if pairs + singles == 0:
        return
    queue = paired_queue(pairs, singles)
    ordered = blind_order(queue, "spam", "0000", rater)
    assert sorted(ordered["item_id"]) == sorted(queue["item_id"])
    if pairs:
        half = (2 * pairs + singles) // 2
        assert smallest_gap(ordered["group_id"].to_list()) >= min(MIN_GAP, half - 1)


def test_larger_groups_are_spread_too() -> None:
    queue = pl.concat([queue_frame(items(3, "a"), group_id="a"), queue_frame(items(60, "b"))])
    assert smallest_gap(blind_order(queue, "x")["group_id"].to_list()) >= MIN_GAP


def test_the_order_is_a_raters_own_and_stays() -> None:
    queue = paired_queue(10, 10)
    anna = blind_order(queue, "spam", "0000", "anna")
    assert anna.equals(blind_order(queue, "spam", "0000", "anna"))
    assert anna["item_id"].to_list() != blind_order(queue, "spam", "0000", "ben")["item_id"].to_list()


def test_which_side_of_a_pair_comes_first_is_chance() -> None:
    queue = paired_queue(40, 0)
    firsts = []
    for rater in range(25):
        order = blind_order(queue, str(rater))["item_id"].to_list()
        firsts += [order.index(f"p{number}") < order.index(f"n{number}") for number in range(40)]
    # 1,000 coin flips: five standard deviations are .08.
    assert np.mean(firsts) == pytest.approx(0.5, abs=0.08)


def test_a_reselect_does_not_move_what_was_there() -> None:
    before = paired_queue(5, 5).with_columns(revision=pl.lit(0, dtype=pl.Int64))
    added = queue_frame(items(4, "new")).with_columns(revision=pl.lit(1, dtype=pl.Int64))
    ordered = blind_order(pl.concat([before, added]), "anna")
    assert ordered.head(15).equals(blind_order(before, "anna"))
    assert set(ordered.tail(4)["item_id"]) == set(added["item_id"])


def test_an_empty_queue_stays_empty() -> None:
    assert blind_order(queue_frame(["a"]).clear(), "anna").is_empty()
