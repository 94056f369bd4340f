from pathlib import Path

import polars as pl

from al_assets.review.policy_gaps import export_policy_gaps, policy_gaps
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import SELECTED_BY, open_ledger, queue_frame, vote


def with_gaps(url: str) -> Ledger:
    ledger = open_ledger(url, 4)
    ledger.publish("0001", queue_frame(["item001"], reason="repeat"), SELECTED_BY)
    ledger.record(
        [
            vote("item000", "anna", "undecided", comment="satire: or not?"), vote("item000", "ben", "positive"),
            vote("item001", "anna", "undecided", undecided_reason="missing context"),
            vote("item001", "ben", "undecided", comment="=quoted"),
            vote("item002", "anna", "positive"), vote("item002", "ben", "negative"),
            vote("item003", "anna", "undecided"), vote("item003", "anna", "negative", 1),
            vote("item001", "anna", "undecided", 9, iteration="0001", comment="still"),
        ]
    )  # fmt: skip
    return ledger


def test_what_could_not_be_decided_is_listed_by_iteration_with_texts_and_remarks(ledger_url: str) -> None:
    found = policy_gaps(with_gaps(ledger_url))
    shown = found.select("iteration", "item_id", "text", "undecided_votes", "positive_votes", "comments", "reason")
    assert shown.rows() == [
        ("0000", "item001", "text of item001", 2, 0, ["ben: =quoted"], "audit"),
        ("0000", "item000", "text of item000", 1, 1, ["anna: satire: or not?"], "audit"),
        ("0001", "item001", "text of item001", 1, 0, ["anna: still"], "repeat"),
    ]


def test_iterations_and_watermark_choose(ledger_url: str) -> None:
    ledger = with_gaps(ledger_url)
    assert policy_gaps(ledger, ["0001"])["item_id"].to_list() == ["item001"]
    assert policy_gaps(ledger, watermark=2)["item_id"].to_list() == ["item000"]
    none = policy_gaps(ledger, watermark=0)
    assert none.height == 0
    assert none.columns == policy_gaps(ledger).columns


def test_the_reasons_raters_gave_are_counted(ledger_url: str) -> None:
    ledger = with_gaps(ledger_url)
    ledger.record([vote("item001", "cleo", "undecided", undecided_reason="missing context")])
    found = policy_gaps(ledger, ["0000"])
    counted = ["item_id", "undecided_votes", "ambiguous_policy_votes", "missing_context_votes", "other_votes"]
    assert found.select(counted).rows() == [("item001", 3, 0, 2, 0), ("item000", 1, 0, 0, 0)]
    ledger.record([vote("item001", "anna", "undecided", 9, undecided_reason="ambiguous policy")])
    assert policy_gaps(ledger, ["0000"]).select(counted).row(0) == ("item001", 3, 1, 1, 0)


def test_the_owners_file_names_no_rater(ledger_url: str, tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    assert export_policy_gaps(with_gaps(ledger_url), file) == 3
    found = pl.read_csv(file, infer_schema=False)
    assert found["comments"].fill_null("").to_list() == ["'=quoted", "satire: or not?", "still"]
    assert found["undecided_votes"].to_list() == ["2", "1", "1"]
    assert not any(rater in file.read_text() for rater in ("anna", "ben"))
