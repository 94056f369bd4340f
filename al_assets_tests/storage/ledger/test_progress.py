from datetime import UTC, datetime

import pytest

from al_assets.storage.ledger import Ledger
from al_assets.storage.ledger.progress import count_progress
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, open_ledger, queue_frame, vote


def test_nothing_is_published(ledger_url: str) -> None:
    progress = Ledger(ledger_url, "spam", RATERS).progress("0000", 2)
    assert (progress.queued, progress.complete, progress.votes, progress.watermark) == (0, 0, 0, 0)
    assert progress.first_published_at is None
    assert not progress.is_complete
    assert (progress.coverage, progress.decisive_coverage) == (0, 0)
    assert progress.open_items == {rater: () for rater in RATERS}


def test_an_item_is_complete_with_enough_votes_by_distinct_raters(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 4)
    ledger.record(
        [
            vote("item000", "anna"), vote("item000", "ben", "negative"),
            vote("item001", "anna"), vote("item001", "anna", "negative", 1),
            vote("item002", "ben", "undecided"), vote("item002", "cleo", "undecided"),
        ]
    )  # fmt: skip
    progress = ledger.progress("0000", 2)
    assert (progress.queued, progress.complete, progress.decisive) == (4, 2, 1)
    assert (progress.coverage, progress.decisive_coverage) == (0.5, 0.25)
    assert (progress.votes, progress.undecided_votes, progress.watermark) == (5, 2, 6)
    assert not progress.is_complete
    assert progress.open_items == {
        "anna": ("item003",),
        "ben": ("item001", "item003"),
        "cleo": ("item001", "item003"),
    }
    assert ledger.progress("0000", 1).complete == 3


def test_all_complete_then_a_reselect_opens_it_again(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.record([vote(item, rater) for item in ("item000", "item001") for rater in ("anna", "ben")])
    done = ledger.progress("0000", 2)
    assert done.is_complete
    assert done.last_recorded_at is not None
    assert done.first_published_at is not None
    assert done.first_published_at <= done.last_recorded_at
    ledger.publish("0000", queue_frame(["more"]), SELECTED_BY, append=True)
    reopened = ledger.progress("0000", 2)
    assert not reopened.is_complete
    assert reopened.first_published_at == done.first_published_at
    assert reopened.last_published_at is not None
    assert reopened.last_published_at > done.first_published_at
    assert reopened.open_items["anna"] == ("more",)


def test_check_items_are_counted_among_all_and_alone(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 3)
    ledger.record([vote(item, rater) for item in ("item000", "item001") for rater in ("anna", "ben")])
    queue = ledger.progress("0000", 2)
    ledger.publish("0000", queue_frame(["check0", "check1"], reason="check"), SELECTED_BY, append=True)
    ledger.record([vote("check0", rater) for rater in ("anna", "ben")] + [vote("check1", "cleo")])
    every, check, others = (ledger.progress("0000", 2, check=part) for part in (None, True, False))
    assert (every.queued, every.complete, every.check_queued, every.check_complete) == (5, 3, 2, 1)
    assert (check.queued, check.complete, check.votes, check.open_items["cleo"]) == (2, 1, 3, ())
    assert (others.queued, others.complete, others.votes, others.check_queued) == (3, 2, 4, 0)
    # Each has a deadline of its own.
    assert others.last_published_at == queue.last_published_at
    assert others.last_published_at is not None
    assert check.first_published_at is not None
    assert check.first_published_at > others.last_published_at


def test_votes_of_a_rater_who_left_still_count(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 1)
    ledger.record([vote("item000", "anna"), vote("item000", "cleo")])
    progress = Ledger(ledger_url, "spam", ["anna", "ben"]).progress("0000", 2)
    assert progress.is_complete
    assert set(progress.open_items) == {"anna", "ben"}


def test_a_rater_who_left_is_not_waited_for_and_one_who_joined_is_asked(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.record([vote("item000", "anna"), vote("item000", "ben")])
    ledger.change_rater("ben", "left", "admin")
    ledger.change_rater("cleo", "left", "admin")
    alone = ledger.progress("0000", 2)
    assert (alone.complete, alone.open_items) == (1, {"anna": ("item001",)})
    ledger.record([vote("item001", "anna")])
    stuck = ledger.progress("0000", 2)
    # One vote is missing, and nobody is left to give it.
    assert (stuck.complete, stuck.open_items) == (1, {"anna": ()})
    ledger.change_rater("dora", "joined", "admin")
    assert ledger.progress("0000", 2).open_items == {"anna": (), "dora": ("item001",)}
    ledger.record([vote("item001", "dora")])
    assert ledger.progress("0000", 2).is_complete


def test_an_item_is_open_again_for_who_withdrew_his_answer(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 1)
    ledger.record([vote("item000", "anna"), vote("item000", "ben", "undecided")])
    assert ledger.progress("0000", 2).is_complete
    ledger.record([vote("item000", "ben", "withdrawn", 1)])
    found = ledger.progress("0000", 2)
    assert (found.complete, found.votes, found.undecided_votes, found.watermark) == (0, 1, 0, 3)
    assert found.open_items == {"anna": (), "ben": ("item000",), "cleo": ("item000",)}
    assert ledger.record([vote("item000", "ben", "undecided", 2)]).new == 1
    assert ledger.progress("0000", 2).is_complete


def test_votes_of_another_iteration_do_not_count(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, 1)
    ledger.publish("0001", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    ledger.record([vote("item000", rater) for rater in RATERS])
    assert ledger.progress("0001", 2).votes == 0
    assert ledger.progress("0000", 2).is_complete


def test_votes_per_item_below_one_is_refused(ledger_url: str) -> None:
    with pytest.raises(ValueError, match="votes_per_item: 0 is below 1"):
        open_ledger(ledger_url).progress("0000", 0)


@pytest.mark.parametrize(
    ("answered", "repeats", "expected"),
    [
        ({}, {}, 4),
        ({"a": ["anna"], "b": ["anna", "ben", "cleo"]}, {}, 1),
        ({}, {"a": ["anna"]}, 3),
        ({"a": ["anna", "ben"]}, {"a": ["anna"]}, 2),
        ({}, {"a": ["gone"]}, 2),
        ({"a": ["gone"]}, {"a": ["gone", "anna"]}, 3),
    ],
)
def test_missing_answers_are_those_that_incomplete_items_lack(
    answered: dict[str, list[str]], repeats: dict[str, list[str]], expected: int
) -> None:
    now = datetime.now(UTC)
    votes = [(item, rater, "positive", now) for item, raters in answered.items() for rater in raters]
    found = count_progress("0000", 2, [("a", now), ("b", now)], votes, ["anna", "ben", "cleo"], 0, repeats)
    assert found.missing == expected
