"""Queues are published once and for good, and why each item is there with them."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.storage.ledger import Ledger
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED, SchemaError
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, open_ledger, queue_frame, vote

WHY: dict[str, Any] = {
    "rank": 11, "p_positive": 0.1 + 0.2, "called": "positive", "region": -1, "cell": 12, "partner_item": "näja 🤷|b",
    "partner_region": 1, "similarity": -1 / 3, "mixing": 0.9,
}  # fmt: skip


def test_the_published_queue_comes_back_in_its_order(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam", RATERS)
    queue = queue_frame(["z", "a", "m"], inclusion_probability=None)
    published = ledger.publish("0000", queue, SELECTED_BY)
    assert published.equals(queue.with_columns(revision=pl.lit(0, dtype=pl.Int64)))
    assert REVIEW_QUEUE.check(published).equals(published)
    assert ledger.queue("0000").columns == [*published.columns, "iteration"]


def test_the_revision_column_may_be_missing(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    assert ledger.publish("0000", queue_frame(["a"]).drop("revision"), {})["revision"].to_list() == [0]


def test_publishing_again_changes_nothing(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 3)
    other = queue_frame(["item001", "new"], text="another text")
    assert ledger.publish("0000", other, {"labeler": "zzz"}).equals(ledger.queue("0000").drop("iteration"))
    assert ledger.queue()["item_id"].to_list() == items(3)
    assert ledger.queue()["text"].to_list() == [f"text of {name}" for name in items(3)]


def test_a_reselect_adds_under_the_next_revision(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.record([vote("item001")])
    changed = queue_frame(["item001", "x"], text="changed", stratum="low")
    published = ledger.publish("0000", changed, {"labeler": "new"}, append=True)
    assert published.select("item_id", "revision", "text").rows() == [
        ("item000", 0, "text of item000"),
        ("item001", 0, "text of item001"),
        ("x", 1, "changed"),
    ]
    assert ledger.publish("0000", changed, {"labeler": "new"}, append=True).equals(published)
    again = ledger.publish("0000", queue_frame(["y"]), {}, append=True)
    assert again["revision"].to_list() == [0, 0, 1, 2]
    ledger.record([vote("x", "ben")])
    assert ledger.votes()["selected_by"].to_list() == ['{"embedder": "bbb", "labeler": "aaa"}', '{"labeler": "new"}']


def test_append_to_nothing_publishes(ledger_url: str) -> None:
    assert Ledger(ledger_url, "spam").publish("0000", queue_frame(["a"]), {}, append=True)["revision"].to_list() == [0]


def test_iterations_are_listed_in_order(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    assert ledger.iterations() == []
    assert ledger.queue().is_empty()
    for iteration in ("0010", "0002"):
        ledger.publish(iteration, queue_frame(["a"]), {})
    assert ledger.iterations() == ["0002", "0010"]
    assert ledger.queue()["iteration"].to_list() == ["0002", "0010"]


@pytest.mark.parametrize(
    ("queue", "message"),
    [
        (queue_frame(["a"]).clear(), "review_queue: has no items"),
        (queue_frame(["a", "a"]), "more than one row for item_id='a'"),
        (queue_frame(["a"]).drop("text"), r"missing columns \['text'\]"),
        (queue_frame(["a"], inclusion_probability=1.5), "inclusion_probability: 1.5 for item 'a'"),
        (queue_frame(["a"], inclusion_probability=0.0), "inclusion_probability: 0.0 for item 'a'"),
        (queue_frame(["a"], inclusion_probability=float("nan")), "inclusion_probability: nan for item 'a'"),
        (queue_frame(["a"], text="a\0b"), "review_queue.text: holds a NUL character"),
    ],
)
def test_a_wrong_queue_is_refused(ledger_url: str, queue: pl.DataFrame, message: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    with pytest.raises((ValueError, SchemaError), match=message):
        ledger.publish("0000", queue, {})
    assert ledger.iterations() == []


def test_a_wrong_iteration_is_refused(ledger_url: str) -> None:
    with pytest.raises(ValueError, match="'7' is not an iteration key"):
        Ledger(ledger_url, "spam").publish("7", queue_frame(["a"]), {})


def why(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.select(WHY_QUEUED).to_dicts()


def test_reasons_come_back_exactly_and_in_order(ledger_url: str) -> None:
    queue = pl.concat([queue_frame(["z"], **WHY), queue_frame(["a"]), queue_frame(["m"], **{**WHY, "rank": None})])
    with Ledger(ledger_url, "spam", RATERS) as ledger:
        published = ledger.publish("0000", queue, SELECTED_BY)
    assert published.equals(queue.with_columns(revision=pl.lit(0, dtype=pl.Int64)))
    with Ledger(ledger_url, "spam") as again:
        assert REVIEW_QUEUE.check(again.queue("0000").drop("iteration")).equals(published)
        assert again.queue().columns == [*REVIEW_QUEUE.columns, "iteration"]
        assert why(again.queue()) == [WHY, dict.fromkeys(WHY_QUEUED), {**WHY, "rank": None}]


def test_a_queue_of_unknown_reasons_says_so_with_nulls(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    assert why(ledger.publish("0000", queue_frame(["a"]).drop("revision"), {})) == [dict.fromkeys(WHY_QUEUED)]
    with pytest.raises(SchemaError, match="missing columns .'cell', 'mixing'"):
        ledger.publish("0001", queue_frame(["a"], rank=3).drop("mixing", "cell"), {})


def test_a_replay_keeps_why_an_item_was_chosen_then(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    first = ledger.publish("0000", queue_frame(["a"], **WHY), SELECTED_BY)
    later = queue_frame(["a", "b"], **{**WHY, "rank": 0, "p_positive": 0.9})
    assert ledger.publish("0000", later, {}).equals(first)
    reselected = ledger.publish("0000", later, {}, append=True)
    assert reselected.select("item_id", "revision", "rank").rows() == [("a", 0, 11), ("b", 1, 0)]
    assert ledger.publish("0001", queue_frame(["a"]), {})["rank"].to_list() == [None]
    assert ledger.queue("0000")["rank"].to_list() == [11, 0]


def test_policies_and_votes_see_nothing_of_it(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam", RATERS)
    ledger.publish("0000", queue_frame(["a"], **WHY), {})
    with Ledger(ledger_url, "scam") as other:
        other.publish("0000", queue_frame(["a"]), {})
        assert other.queue()["rank"].to_list() == [None]
    ledger.record([vote("a")])
    for frame in (ledger.votes(), ledger.answers(), ledger.expert_labels(), ledger.history()):
        assert frame.height == 1
        assert not set(frame.columns) & set(WHY_QUEUED)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"p_positive": float("nan")}, "review_queue.p_positive: nan for item 'a'; expected a finite number, or null"),
        ({"similarity": float("inf")}, "review_queue.similarity: inf for item 'a'"),
        ({"partner_item": "b\0"}, "review_queue.partner_item: holds a NUL character"),
    ],
)
def test_what_no_database_keeps_is_refused(ledger_url: str, columns: dict[str, Any], message: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    with pytest.raises(ValueError, match=message):
        ledger.publish("0000", queue_frame(["b", "a"]).update(queue_frame(["b", "a"], **columns)[1:], on="item_id"), {})
    assert ledger.queue().is_empty()


def test_a_queue_of_many_iterations_is_read_at_once(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", "spam")
    for number in range(3):
        names = [f"{number}-{each}" for each in range(400)]
        frame = queue_frame(names, **WHY).with_columns(rank=pl.int_range(400, dtype=pl.Int64))
        ledger.publish(f"000{number}", frame, SELECTED_BY)
    found = ledger.queue()
    assert found["rank"].to_list() == [*range(400)] * 3
    assert found["iteration"].n_unique() == 3
