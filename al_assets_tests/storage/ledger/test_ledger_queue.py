import polars as pl
import pytest

from al_assets.storage.ledger import Ledger
from al_assets.tables import REVIEW_QUEUE, SchemaError
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, open_ledger, queue_frame, vote


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
