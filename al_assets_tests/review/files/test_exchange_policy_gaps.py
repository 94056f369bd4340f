from pathlib import Path

import polars as pl
import pytest

from al_assets.review.files.exchange import export_policy_gaps
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


def test_what_could_not_be_decided_is_listed_by_iteration_with_texts_and_comments(
    ledger_url: str, tmp_path: Path
) -> None:
    export_policy_gaps(with_gaps(ledger_url), tmp_path / "gaps.jsonl")
    found = pl.read_ndjson(tmp_path / "gaps.jsonl")
    shown = found.select("iteration", "item_id", "text", "undecided_votes", "positive_votes", "comments", "reason")
    assert shown.rows() == [
        ("0000", "item001", "text of item001", 2, 0, "=quoted", "audit"),
        ("0000", "item000", "text of item000", 1, 1, "satire: or not?", "audit"),
        ("0001", "item001", "text of item001", 1, 0, "still", "repeat"),
    ]
    counted = ["ambiguous_policy_votes", "missing_context_votes", "other_votes"]
    assert found.select(counted).rows() == [(0, 1, 0), (0, 0, 0), (0, 0, 0)]


def test_the_owners_file_names_no_rater(ledger_url: str, tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    assert export_policy_gaps(with_gaps(ledger_url), file) == 3
    found = pl.read_csv(file, infer_schema=False)
    assert found["comments"].fill_null("").to_list() == ["'=quoted", "satire: or not?", "still"]
    assert found["undecided_votes"].to_list() == ["2", "1", "1"]
    assert not any(rater in file.read_text() for rater in ("anna", "ben"))


@pytest.mark.parametrize("rater", ["anna: x", "x: anna", "anna:", ": anna", "anna | ben"])
def test_a_rater_whose_name_looks_like_a_comment_is_not_named(ledger_url: str, tmp_path: Path, rater: str) -> None:
    ledger = open_ledger(ledger_url, 2)
    ledger.change_rater(rater, "joined", "ada")
    ledger.record([vote("item000", rater, "undecided", comment="satire: or not?"), vote("item001", rater, "undecided")])
    file = tmp_path / "gaps.jsonl"
    assert export_policy_gaps(ledger, file) == 2
    assert pl.read_ndjson(file)["comments"].to_list() == ["satire: or not?", ""]
    assert "anna" not in file.read_text()
