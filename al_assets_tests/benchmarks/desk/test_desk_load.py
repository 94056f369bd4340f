"""The bench of the desk: raters at a real server that is killed, and what its check would notice."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_assets.review.desk.rating.round import QuestionId, question_code
from al_assets.storage.ledger import Ledger, Vote
from benchmarks.desk.desk_load import bench_desk
from benchmarks.desk.prepared_desk import ITERATION, PreparedDesk, check_ledger, prepare_desk
from benchmarks.desk.raters import question_of

KEY = bytes(range(32))


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.slow])]
)
def test_raters_lose_nothing_when_the_server_is_killed_under_their_hands(database: str) -> None:
    found = bench_desk(raters=6, items=400, seconds=2, kills=1, databases=[database], phases=["killed"])
    (phase,) = found.phases
    assert (phase.errors, phase.lost, phase.doubled) == (0, 0, 0), phase
    assert (phase.database, phase.name, phase.kills) == (database, "killed", 1)
    assert phase.votes > 0
    assert phase.votes_per_s == pytest.approx(phase.votes / phase.seconds)
    assert 0 < phase.p50_ms <= phase.p95_ms <= phase.p99_ms
    # Somebody was just answering, and had to wait for the server to start.
    assert phase.longest_outage_ms > 100
    assert phase.too_many <= 6
    assert phase.server_cpu_ms > 0
    assert phase.server_peak_mb > 20
    assert found.floor_votes_per_s[database] > 0


@pytest.fixture
def desk(tmp_path: Path) -> PreparedDesk:
    made = prepare_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite", raters=3, items=5, seed=0)
    with Ledger.of(made.policy) as ledger:
        for rater in ("rater_00", "rater_01"):
            ledger.record([Vote("item000000", ITERATION, rater, "negative", "1", datetime.now(UTC))])
    return made


def told(rater: str, item: str) -> tuple[str, str]:
    return rater, f"/questions/{question_code(KEY, 'bench_desk', QuestionId(ITERATION, item), rater)}/answer"


def test_a_vote_that_is_not_on_record_counts_as_lost(desk: PreparedDesk) -> None:
    kept = [told("rater_00", "item000000"), told("rater_01", "item000000")]
    found = check_ledger(desk, KEY, kept)
    assert (found.votes, found.lost, found.doubled, found.too_many) == (2, 0, 0, 0)
    assert check_ledger(desk, KEY, [*kept, told("rater_00", "item000001")]).lost == 1
    assert check_ledger(desk, KEY, [*kept, told("rater_02", "item000000")]).lost == 1
    # As if the votes had gone from the ledger afterwards.
    with closing(sqlite3.connect(desk.policy_file.parent / "ledger.sqlite")) as database:
        database.executescript("DROP TRIGGER votes_no_delete; DELETE FROM votes WHERE rater = 'rater_01'")
    assert check_ledger(desk, KEY, kept).lost == 1


def test_an_answer_that_is_on_record_twice_and_a_third_vote_are_counted(desk: PreparedDesk) -> None:
    with Ledger.of(desk.policy) as ledger:
        ledger.record([Vote("item000000", ITERATION, "rater_00", "positive", "1", datetime.now(UTC))])
        assert check_ledger(desk, KEY, []).doubled == 1
        ledger.record([Vote("item000000", ITERATION, "rater_02", "positive", "1", datetime.now(UTC))])
    found = check_ledger(desk, KEY, [])
    assert (found.votes, found.lost, found.doubled, found.too_many) == (4, 0, 1, 1)


def test_a_page_without_a_question_has_no_form() -> None:
    assert question_of('<form action="/sign-out"><input type="hidden" name="csrf" value="x"></form>') is None
    fields = '<input type="hidden" name="turn" value="0"><input name="comment">'
    page = f'<form id="answer" action="/questions/ab/answer">{fields}</form>'
    found = question_of(page)
    assert found is not None
    assert (found.action, found.fields) == ("/questions/ab/answer", {"turn": "0"})
