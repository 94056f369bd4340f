from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from al_assets.review.intake import IntakeRow, past_moment, read_rows, record_votes
from al_assets.storage.ledger import Vote
from al_assets_tests.support.ledger import open_ledger, vote

MORNING = datetime(2026, 5, 1, 8, tzinfo=UTC)


def row(number: int) -> IntakeRow:
    return IntakeRow(number, {"line": str(number)})


def none() -> Vote:
    raise ValueError("label: missing")


def test_votes_come_in_the_order_they_were_cast_and_others_say_why_they_are_none() -> None:
    later, earlier = (vote("item000", voted_at=MORNING + timedelta(hours=hours)) for hours in (1, 0))
    read, rejected = read_rows([(row(1), lambda: later), (row(2), none), (row(3), lambda: earlier)])
    assert [entry.row.number for entry in read] == [3, 1]
    assert [(rejection.row, rejection.reason, rejection.values) for rejection in rejected] == [
        (2, "label: missing", {"line": "2"})
    ]


def test_what_the_ledger_does_not_take_leaves_the_rest_recorded(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    ledger.record([vote("item001", vote_key="k", voted_at=MORNING)])
    votes = [
        vote("item000", voted_at=MORNING),
        vote("nowhere", voted_at=MORNING),
        vote("item002", vote_key="k", voted_at=MORNING),
        vote("item001", "anna", "negative", voted_at=MORNING - timedelta(days=1)),
    ]
    read, _ = read_rows((row(number), lambda cast=cast: cast) for number, cast in enumerate(votes))  # type: ignore[misc]
    result, rejected = record_votes(ledger, read, "voted_at", "leave it empty")
    assert result.new == 1
    reasons = {rejection.row: rejection.reason for rejection in rejected}
    assert set(reasons) == {1, 2, 3}
    assert reasons[3].startswith("voted_at: ")
    assert reasons[3].endswith("which stays; leave it empty")


def test_a_moment_without_a_zone_is_utc_and_none_lies_ahead() -> None:
    assert past_moment(datetime(2026, 5, 1, 8), "late") == MORNING
    with pytest.raises(ValueError, match="ahead"):
        past_moment(datetime.now(UTC) + timedelta(minutes=6), "ahead")
