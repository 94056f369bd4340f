"""Why items were queued: kept with the queue, for good."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from al_assets.storage.ledger import Ledger
from al_assets.tables import REVIEW_QUEUE, WHY_QUEUED
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, queue_frame, vote

WHY: dict[str, Any] = {
    "rank": 11, "p_positive": 0.1 + 0.2, "called": "positive", "cluster": -1, "cell": 12, "partner_item": "näja 🤷|b",
    "partner_cluster": 1, "similarity": -1 / 3, "mixing": 0.9,
}  # fmt: skip


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


def test_a_queue_may_come_without_reasons(ledger_url: str) -> None:
    ledger = Ledger(ledger_url, "spam")
    bare = queue_frame(["a"]).drop("revision", *WHY_QUEUED)
    assert why(ledger.publish("0000", bare, {})) == [dict.fromkeys(WHY_QUEUED)]
    some = queue_frame(["a"], rank=3).drop("mixing", "cell")
    assert why(ledger.publish("0001", some, {})) == [{**dict.fromkeys(WHY_QUEUED), "rank": 3}]


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
