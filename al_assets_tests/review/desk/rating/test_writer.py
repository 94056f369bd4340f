import resource
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from al_assets.review.desk.rating.round import QuestionId, desk_vote_key, is_from_desk, question_code
from al_assets.review.desk.rating.writer import VoteWriter
from al_assets.storage.ledger import Ledger, LedgerError, RecordResult, Vote, VoteError
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, items, labels, queue_frame, vote


class SlowLedger(Ledger):
    """Counts its transactions; the first waits until it may go on."""

    go_on = threading.Event()
    sizes: list[int]

    def record(self, votes: Sequence[Vote], **arguments: Any) -> RecordResult:
        self.sizes.append(len(votes))
        assert self.go_on.wait(20)
        return super().record(votes, **arguments)


@pytest.fixture
def ledger(tmp_path: Path) -> SlowLedger:
    ledger = SlowLedger(f"sqlite:///{tmp_path}/ledger.sqlite", "spam", RATERS)
    ledger.publish("0000", queue_frame(items(40)), SELECTED_BY)
    ledger.sizes, ledger.go_on = [], threading.Event()
    return ledger


def wait_for_first(ledger: SlowLedger) -> None:
    for _ in range(2_000):
        if ledger.sizes:
            return
        threading.Event().wait(0.005)
    pytest.fail("nothing is being written")


def test_votes_that_wait_are_committed_together(ledger: SlowLedger) -> None:
    writer = VoteWriter(ledger)
    outcomes = [writer.submit(vote(items(40)[0]))]
    wait_for_first(ledger)
    outcomes += [writer.submit(vote(item)) for item in items(40)[1:]]
    assert not any(each.done() for each in outcomes)
    ledger.go_on.set()
    for each in outcomes:
        assert each.result(20) is None
    assert ledger.sizes == [1, 39]
    assert len(labels(ledger)) == 40


def test_a_refused_vote_does_not_take_the_others_with_it(ledger: SlowLedger) -> None:
    writer = VoteWriter(ledger)
    first = writer.submit(vote("item000", vote_key="k0"))
    wait_for_first(ledger)
    good = [writer.submit(vote(item, "ben")) for item in items(3)]
    stranger = writer.submit(vote("item001", "zoe"))
    nowhere = writer.submit(vote("item999"))
    clash = writer.submit(vote("item000", label="negative", vote_key="k0"))
    ledger.go_on.set()
    for each in (first, *good):
        assert each.result(20) is None
    for each, reason in ((stranger, "rater: 'zoe'"), (nowhere, "item_id: 'item999'"), (clash, "vote_key: 'k0'")):
        with pytest.raises(VoteError) as refused:
            each.result(20)
        assert refused.value.reasons[0][0] == 0
        assert refused.value.reasons[0][1].startswith(reason)
    assert labels(ledger) == {("item000", "anna"): "positive", **{(item, "ben"): "positive" for item in items(3)}}


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the size of one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_every_vote_learns_it_and_the_next_try_counts(tmp_path: Path, ledger: SlowLedger) -> None:
    ledger.go_on.set()
    writer = VoteWriter(ledger)
    # An open connection keeps the log of what is not yet in the file.
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other:
        other.execute("select count(*) from votes").fetchone()
        writer.submit(vote("item039")).result(20)
        with full_disk(tmp_path / "ledger.sqlite-wal"):
            for outcome in [writer.submit(vote(item)) for item in items(3)]:
                with pytest.raises(LedgerError, match="could not be written"):
                    outcome.result(20)
    assert set(labels(ledger)) == {("item039", "anna")}
    for outcome in [writer.submit(vote(item)) for item in items(3)]:
        outcome.result(20)
    assert len(labels(ledger)) == 4


def test_nobody_is_told_before_the_room_has_caught_up(ledger: SlowLedger) -> None:
    ledger.go_on.set()
    seen: list[int] = []
    writer = VoteWriter(ledger, then=lambda: seen.append(ledger.watermark()))
    for number, item in enumerate(items(5), 1):
        writer.submit(vote(item)).result(20)
        assert seen[-1] == number

    def fail() -> None:
        raise LedgerError("ledger: cannot be read")

    # It is on record, and sending it again says so.
    with pytest.raises(LedgerError, match="cannot be read"):
        VoteWriter(ledger, then=fail).submit(vote("item005", vote_key="k")).result(20)
    writer.submit(vote("item005", vote_key="k")).result(20)
    assert len(labels(ledger)) == ledger.watermark() == 6


def test_a_vote_that_was_given_up_while_it_waited_is_not_written(ledger: SlowLedger) -> None:
    writer = VoteWriter(ledger)
    first = writer.submit(vote("item000"))
    wait_for_first(ledger)
    given_up = writer.submit(vote("item001"))
    assert given_up.cancel()
    assert not first.cancel()
    ledger.go_on.set()
    first.result(20)
    writer.submit(vote("item002")).result(20)
    assert set(labels(ledger)) == {("item000", "anna"), ("item002", "anna")}


def test_codes_and_keys_name_one_thing_each_and_say_nothing() -> None:
    secret = b"k" * 32
    codes = {
        question_code(each, policy, QuestionId(iteration, item), rater)
        for each in (secret, b"l" * 32)
        for policy in ("spam", "scam")
        for iteration in ("0000", "0001")
        for item in ("a", "a|b", "b")
        for rater in ("anna", "b|anna")
    }
    assert len(codes) == 48
    assert all(len(code) == 16 and set(code) <= set("0123456789abcdef") for code in codes)
    keys = {desk_vote_key(secret, "spam", QuestionId("0000", "a"), "anna", turn) for turn in range(5)}
    assert len(keys) == 5
    assert all(is_from_desk(each) for each in keys)
    assert not is_from_desk("file:1")
