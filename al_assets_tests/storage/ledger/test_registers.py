"""Who may vote changes while the ledger is open, in this process or another."""

import pytest

from al_assets.storage.ledger import Ledger, VoteError
from al_assets_tests.support.ledger import RATERS, labels, open_ledger, vote


def test_raters_join_leave_and_come_back(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    assert ledger.raters == RATERS
    ledger.change_rater("dora", "joined", "admin")
    ledger.change_rater("ben", "left", "admin")
    assert ledger.raters == ("anna", "cleo", "dora")
    ledger.change_rater("ben", "joined", "admin")
    ledger.change_rater("dora", "left", "admin")
    assert ledger.raters == RATERS
    # Policies do not see each other's raters.
    assert Ledger(ledger_url, "scam", ["zoe"]).raters == ("zoe",)


def test_a_change_by_another_process_counts_at_once(ledger_url: str) -> None:
    ledger, desk = open_ledger(ledger_url), Ledger(ledger_url, "spam", RATERS)
    ledger.record([vote("item001", "ben")])
    desk.change_rater("dora", "joined", "admin")
    desk.change_rater("ben", "left", "admin")
    assert ledger.record([vote("item001", "dora")]).new == 1
    refused = "rater: 'ben' may not vote; known are anna, cleo, dora: use one of them"
    with pytest.raises(VoteError, match=refused):
        ledger.record([vote("item002", "ben")])
    assert ledger.refusals([vote("item002", "dora"), vote("item002", "ben")])[0] is None
    assert str(ledger.refusals([vote("item002", "ben")])[0]).startswith(refused)
    assert set(ledger.progress("0000", 2).open_items) == {"anna", "cleo", "dora"}
    assert set(labels(ledger)) == {("item001", "ben"), ("item001", "dora")}


def test_what_is_so_already_is_not_recorded_again(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    for _ in range(2):
        ledger.change_rater("anna", "joined", "admin")
        ledger.change_rater("nobody", "left", "admin")
    assert ledger.raters == RATERS
    # Anna is there by the policy file alone, so a file without her ends it.
    assert Ledger(ledger_url, "spam", ["ben"]).raters == ("ben",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("dora", "gone", "admin"), "change: 'gone' is unknown; expected one of joined, left"),
        ((" ", "joined", "admin"), "rater: ' ' is no name"),
        (("a\0b", "joined", "admin"), "rater: 'a.x00b' is no name"),
        (("dora", "joined", ""), "by: '' is no name"),
    ],
)
def test_a_malformed_change_is_refused(ledger: Ledger, change: tuple[str, str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ledger.change_rater(*change)  # type: ignore[arg-type]
    assert ledger.raters == RATERS
