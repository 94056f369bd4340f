"""A ledger that the first release made opens, is read, and goes on."""

import sqlite3
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import DBAPIError

from al_assets.config import PolicyText
from al_assets.storage.ledger import Ledger, LedgerError
from al_assets.tables import WHY_QUEUED
from al_assets_tests.storage.ledger.test_ledger_safety import run_sql
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, decision, labels, queue_frame, vote
from al_assets_tests.support.postgres import Cluster

SCRIPTS = Path(__file__).parent / "first_release"
TEXT = PolicyText(name="spam", question="Spam?", guideline="Spam sells.")


@pytest.fixture
def old_ledger(ledger_url: str, tmp_path: Path) -> str:
    """The URL of a database as the first release left it."""
    if ledger_url.startswith("sqlite"):
        file = sqlite3.connect(tmp_path / "ledger.sqlite")
        file.executescript((SCRIPTS / "sqlite.sql").read_text(encoding="utf-8"))
        file.close()
        return ledger_url
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        for statement in (SCRIPTS / "postgresql.sql").read_text(encoding="utf-8").split("\n\n")[1:]:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    engine.dispose()
    return ledger_url


def test_everything_is_still_there_and_counts_as_it_did(old_ledger: str) -> None:
    ledger = Ledger(old_ledger, "spam", RATERS)
    assert labels(ledger) == {
        ("item000", "anna"): "negative",
        ("item000", "ben"): "negative",
        ("item001", "anna"): "undecided",
        ("item002", "cleo"): "positive",
    }
    assert ledger.history()["seq"].to_list() == [1, 2, 3, 4, 5]
    assert ledger.expert_labels().height == 4
    assert ledger.votes(watermark=3)["label"].to_list() == ["positive", "negative", "undecided"]
    assert ledger.queue()["item_id"].to_list() == ["item000", "item001", "item002", "later"]
    assert ledger.open_rows("abc") == frozenset({3})
    assert ledger.policy_texts().is_empty()
    assert (ledger.progress("0000", 2).complete, ledger.progress("0000", 2).queued) == (1, 3)


def test_it_goes_on_with_hidden_items_and_texts(old_ledger: str) -> None:
    ledger = Ledger(old_ledger, "spam", RATERS, TEXT)
    ledger.publish("0002", queue_frame(["item000"], reason="repeat"), SELECTED_BY)
    assert ledger.record([vote("item000", "anna", "positive", 20_000, iteration="0002")]).watermark == 6
    assert ledger.retests().select("first_label", "label").rows() == [("negative", "positive")]
    assert labels(ledger)["item000", "anna"] == "negative"
    assert ledger.policy_texts()["version"].to_list() == ["1"]
    with Ledger(old_ledger, "spam", RATERS, TEXT) as again:
        assert again.votes().equals(ledger.votes())


def test_why_is_not_known_of_old_items_and_kept_for_new_ones(old_ledger: str) -> None:
    ledger = Ledger(old_ledger, "spam", RATERS)
    before = ledger.queue()
    assert all(before[name].null_count() == before.height == 4 for name in WHY_QUEUED)
    again = ledger.publish("0000", queue_frame(["item000", "x"], rank=4), SELECTED_BY)
    assert again.equals(ledger.queue("0000").drop("iteration"))
    assert again["rank"].null_count() == again.height == 3
    more = ledger.publish("0000", queue_frame(["item000", "x"], rank=4), SELECTED_BY, append=True)
    assert more.select("item_id", "rank").rows()[2:] == [("item002", None), ("x", 4)]


def test_its_guards_still_stand_and_the_new_tables_have_their_own(old_ledger: str) -> None:
    ledger = Ledger(old_ledger, "spam", RATERS, TEXT)
    ledger.record([vote("item001", "ben")])
    ledger.publish("0002", queue_frame(["item000"], rank=4), SELECTED_BY)
    ledger.record([vote("item001", "cleo", "undecided", undecided_reason="other")])
    assert ledger.adjudicate(decision("item001")) == 8
    ledger.change_rater("dora", "joined", "admin")
    guarded = (
        "UPDATE votes SET label = 'x'",
        "DELETE FROM queue",
        "DELETE FROM policy_texts",
        "DELETE FROM queue_reasons",
        "DELETE FROM vote_reasons",
        "UPDATE adjudications SET label = 'x'",
        "DELETE FROM rater_changes",
    )
    for change in guarded:
        with pytest.raises(DBAPIError, match="append-only"):
            run_sql(old_ledger, change)
    # That release counts its votes only, so it would write over the place that the decision has.
    columns = (
        "policy, item_id, iteration, rater, label, policy_version, selected_by, blind, source, voted_at, recorded_at"
    )
    late = f"INSERT INTO votes (seq, vote_key, {columns}) SELECT 8, 'late', {columns} FROM votes WHERE seq = 7"
    with pytest.raises(DBAPIError, match="already taken by"):
        run_sql(old_ledger, late)
    kept = Ledger(old_ledger, "spam").history()
    assert kept.filter(pl.col("seq") <= 5)["vote_key"].n_unique() == 5


@pytest.mark.postgres
@pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
def test_a_user_who_may_not_extend_its_tables_is_told_who_can(old_ledger: str, postgres_cluster: Cluster) -> None:
    url = make_url(old_ledger)
    postgres_cluster.execute("CREATE ROLE clerk LOGIN PASSWORD 'secret'")
    grants = (
        "GRANT USAGE, CREATE ON SCHEMA public TO clerk",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk",
    )
    for grant in grants:
        run_sql(old_ledger, grant)
    of_clerk = url.set(username="clerk", password="secret").render_as_string(hide_password=False)
    with pytest.raises(LedgerError, match="permission denied for table votes - .* open the ledger once as the owner"):
        Ledger(of_clerk, "spam", RATERS)
    Ledger(old_ledger, "spam", RATERS).close()
    run_sql(old_ledger, grants[1])
    with Ledger(of_clerk, "spam", RATERS) as ledger:
        assert ledger.record([vote("item002")]).watermark == 6
        assert ledger.adjudicate(decision("item002")) == 7
