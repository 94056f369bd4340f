"""A ledger from before versions had numbers: everything in it is read after the upgrade as it was before.

``unnumbered`` holds what the program of that time wrote, as SQL for each database, and all that it read from it.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import DBAPIError

from al_assets.config import DeskSettings
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.policy.proposals import ProposalStore
from al_assets.storage.ledger import Ledger, LedgerError, migrations
from al_assets.storage.ledger.store import Store
from al_assets.storage.ledger.upgrade import upgrade_ledger
from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.ledger import SELECTED_BY, decision, queue_frame, run_sql, unnumbered_sqlite, vote

FIXTURES = Path(__file__).parent / "unnumbered"
RATERS = {"spam": ("anna", "ben: the second", "cleo"), "scam": ("zoe",)}
AFTERWARDS = datetime(2026, 5, 1, 12, 40, tzinfo=UTC)
READINGS = ("votes", "answers", "asked_votes", "retests", "history", "adjudications", "withdrawals", "expert_labels")


def fixture(name: str) -> str:
    return gzip.decompress((FIXTURES / name).read_bytes()).decode()


@pytest.fixture
def old_url(ledger_url: str) -> str:
    """The URL of a database as the program of that time left it."""
    if ledger_url.startswith("sqlite"):
        unnumbered_sqlite(Path(ledger_url.removeprefix("sqlite:///")))
        return ledger_url
    engine = create_engine(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(fixture("postgresql.sql.gz"), execution_options={"no_parameters": True})
    engine.dispose()
    return ledger_url


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str, sort_keys=True))


def read_frames(ledger: Ledger) -> Iterator[tuple[str, pl.DataFrame]]:
    policy, last = ledger.policy_name, ledger.watermark()
    for watermark in (None, *range(1, last + 1)) if policy == "spam" else (None,):
        for name in READINGS:
            frame = getattr(ledger, name)(None, watermark)
            if name == "expert_labels":
                # No reading was put on record then, so the first answers are those that count.
                assert frame["first_label"].equals(frame["label"], check_names=False)
                frame = frame.drop("first_label")
            yield f"{policy}-{watermark or 'now'}-{name}", frame
    yield f"{policy}-queue", ledger.queue()
    yield f"{policy}-policy_texts", ledger.policy_texts()
    for iteration in ledger.iterations():
        yield f"{policy}-{iteration}-queue", ledger.queue(iteration)
        yield f"{policy}-{iteration}-votes", ledger.votes([iteration])


def read_values(ledger: Ledger) -> Iterator[tuple[str, Any]]:
    policy, last = ledger.policy_name, ledger.watermark()
    for iteration in ledger.iterations():
        progress = asdict(ledger.progress(iteration, 2))
        # No check items were asked then.
        assert (progress.pop("check_queued"), progress.pop("check_complete")) == (0, 0)
        yield f"{policy}-{iteration}-progress", progress
        repeats = ledger.repeat_raters(iteration)
        yield f"{policy}-{iteration}-repeat_raters", {item_id: sorted(asked) for item_id, asked in repeats.items()}
    yield f"{policy}-raters", ledger.raters
    yield f"{policy}-iterations", ledger.iterations()
    yield f"{policy}-publications", {iteration: list(last) for iteration, last in ledger.publications().items()}
    yield f"{policy}-watermark", last
    yield f"{policy}-votes_since", [row._asdict() for row in ledger.votes_since(0)]
    yield f"{policy}-changed_labels", [ledger.changed_labels(since) for since in range(last + 1)]
    rows = (ledger.open_rows(content) for content in ("abc", "def", "none"))
    yield f"{policy}-open_rows", [None if row is None else sorted(row) for row in rows]


def read_desk(url: str, policy: str) -> Iterator[tuple[str, Any]]:
    with PeopleStore(url, policy, DeskSettings(), lambda: AFTERWARDS) as people:
        yield f"{policy}-people", [asdict(member) | {"roles": sorted(member.roles)} for member in people.people()]
        invitations = [asdict(invitation) for invitation in people.invitations()]
        # The roles, which are the person's, were not read with an invitation then.
        for invitation in invitations:
            del invitation["roles"]
        yield f"{policy}-invitations", invitations
        yield f"{policy}-sessions", [asdict(session) for session in people.sessions()]
        yield f"{policy}-audit_log", [asdict(entry) for entry in people.audit_log()]
    with closing(ProposalStore(url, policy)) as proposals:
        listed = proposals.all()
    yield f"{policy}-proposals", [asdict(each) | {"text": each.text.model_dump(mode="json")} for each in listed]


def test_every_reading_is_what_it_was(old_url: str) -> None:
    done = upgrade_ledger(old_url)
    assert (done.before, done.after) == (0, migrations.HEAD)
    kept = json.loads(fixture("readings.json.gz"))
    frames, values = kept["frames"], kept["values"]
    for policy, raters in RATERS.items():
        with Ledger(old_url, policy, raters) as ledger:
            for name, frame in read_frames(ledger):
                then = frames.pop(name)
                rows = then["rows"]
                if name.endswith("queue"):
                    # Clusters of then have no place among the regions of now: they stay in the copy alone.
                    assert frame["region"].null_count() == frame["partner_region"].null_count() == frame.height
                    there = [place for place, column in enumerate(frame.columns) if "region" not in column]
                    rows = [[row[place] for place in there] for row in rows]
                    frame = frame.drop("region", "partner_region")
                    del then["schema"]["cluster"], then["schema"]["partner_cluster"]
                assert {column: str(dtype) for column, dtype in frame.schema.items()} == then["schema"], name
                assert plain(frame.rows()) == rows, name
            for name, value in (*read_values(ledger), *read_desk(old_url, policy)):
                assert plain(value) == values.pop(name), name
    assert not values
    assert {name.split("-")[0] for name in frames} <= {"scam"}, "of the other policy one earlier moment"


def test_it_goes_on_and_its_guards_stand(old_url: str) -> None:
    upgrade_ledger(old_url)
    with Ledger(old_url, "spam", RATERS["spam"]) as ledger:
        more = ledger.publish("0000", queue_frame(["x"], rank=4), SELECTED_BY, append=True)
        assert more.select("item_id", "rank", "revision").rows()[-1] == ("x", 4, 2)
        assert ledger.record([vote("x", label="undecided", undecided_reason="other")]).watermark == 27
        assert ledger.adjudicate(decision("x")) == 28
        ledger.change_rater("cleo", "left", "admin")
        assert ledger.note_reading() == 28
    for table in ("votes", "queue", "adjudications", "rater_changes", "policy_texts", "imports", "desk_audit",
                  "desk_policy_proposals", "desk_policy_withdrawals", "label_readings"):  # fmt: skip
        with pytest.raises(DBAPIError, match="append-only"):
            run_sql(old_url, f"DELETE FROM {table}")


def structure(url: str) -> Any:
    """Return what a database consists of: tables, views, guards."""
    engine = create_engine(url)
    inspector = inspect(engine)
    tables = {
        name: [
            sorted(map(str, described))
            for described in (
                inspector.get_columns(name),
                [inspector.get_pk_constraint(name)],
                inspector.get_unique_constraints(name),
                inspector.get_indexes(name),
            )
        ]
        for name in inspector.get_table_names()
    }
    guards = "SELECT sql FROM sqlite_master WHERE type = 'trigger'"
    if not url.startswith("sqlite"):
        guards = (
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
            "SELECT proname || prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
    with engine.connect() as connection:
        written = sorted(" ".join(guard.split()) for guard in connection.exec_driver_sql(guards).scalars())
    views = sorted(inspector.get_view_names())
    engine.dispose()
    return tables, views, written


def test_an_upgraded_database_and_a_new_one_consist_of_the_same(old_url: str, request: pytest.FixtureRequest) -> None:
    upgrade_ledger(old_url)
    if old_url.startswith("sqlite"):
        new_url = old_url.replace("ledger.sqlite", "new.sqlite")
    else:
        new_url = request.getfixturevalue("postgres_cluster").new_database()
    Ledger(new_url, "spam").close()
    assert structure(old_url) == structure(new_url)


def test_the_tables_declared_are_those_that_the_migrations_make(ledger_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from al_assets.storage.ledger.sql_tables import METADATA

    Ledger(ledger_url, "spam").close()
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_number_of_the_last_migration_is_the_head() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "al_assets.storage.ledger:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == f"{migrations.HEAD:04d}"


def test_without_the_upgrade_nothing_is_read_or_written(old_url: str) -> None:
    for open_it in (lambda: Ledger(old_url, "spam"), lambda: PeopleStore(old_url, "spam")):
        with pytest.raises(LedgerError, match="is of schema version 0, and this program needs 4; run 'al ledger upgr"):
            open_it()


def test_the_copy_holds_the_rows_as_they_were(old_url: str) -> None:
    before = structure(old_url)
    done = upgrade_ledger(old_url)
    assert done.copy is not None
    if old_url.startswith("sqlite"):
        copied = f"sqlite:///{done.copy}"
        assert structure(copied) == before
        assert upgrade_ledger(copied, copy=False).rows == done.rows
        return
    engine = create_engine(old_url)
    with engine.connect() as connection:
        for name in before[0]:
            kept = connection.exec_driver_sql(f"SELECT count(*) FROM {done.copy}.{name}").scalar()
            assert kept == {**done.rows, "queue_reasons": 9, "vote_reasons": 6}[name], name
        reasons = f"SELECT count(*) FROM {done.copy}.vote_reasons JOIN votes USING (seq, undecided_reason)"
        assert connection.exec_driver_sql(reasons).scalar() == 6
    engine.dispose()


def test_a_second_upgrade_has_nothing_to_do(old_url: str) -> None:
    upgrade_ledger(old_url, copy=False)
    again = upgrade_ledger(old_url)
    assert (again.before, again.after, again.copy, again.rows) == (4, 4, None, {})


def test_an_empty_database_stays_empty(ledger_url: str) -> None:
    assert upgrade_ledger(ledger_url).before is None
    engine = create_engine(ledger_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_an_upgrade_that_fails_in_the_middle_changes_nothing(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = structure(old_url)

    def fail(*_: object) -> None:
        raise ValueError("the disk is on fire")

    with monkeypatch.context() as patch:
        # The columns are there by then, and what goes into them has moved.
        patch.setattr("alembic.op.drop_table", fail)
        with pytest.raises(LedgerError, match="was left as it is: the disk is on fire"):
            upgrade_ledger(old_url)
    assert structure(old_url) == before
    test_every_reading_is_what_it_was(old_url)


def test_an_upgrade_that_is_killed_in_the_middle_changes_nothing(old_url: str) -> None:
    before = structure(old_url)
    script = (
        "import os, signal, sys\n"
        "import alembic.op\n"
        "from al_assets.storage.ledger.upgrade import upgrade_ledger\n"
        "alembic.op.drop_table = lambda name: os.kill(os.getpid(), signal.SIGKILL)\n"
        "upgrade_ledger(sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, old_url], cwd=REPOSITORY)
    assert ended.returncode == -9
    assert structure(old_url) == before
    assert upgrade_ledger(old_url).after == migrations.HEAD


@pytest.mark.parametrize("kept", [False, True])
def test_a_process_that_was_running_during_an_upgrade_writes_no_more(
    ledger_url: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(ledger_url, "spam", RATERS["spam"], keep_connections=kept)
    people = PeopleStore(ledger_url, "spam", keep_connections=kept)
    ledger.publish("0000", queue_frame(["a", "b"]), SELECTED_BY)
    ledger.record([vote("a")])
    # A later program's upgrade, which this one does not know.
    run_sql(ledger_url, "UPDATE schema_version SET version_num = '0005', least_program = 5")
    uses: list[Callable[[], object]] = [
        lambda: ledger.record([vote("b")]),
        lambda: ledger.adjudicate(decision("a")),
        lambda: ledger.publish("0001", queue_frame(["a"]), SELECTED_BY),
        ledger.votes,
        lambda: people.invite("eve", ["rater"], "admin"),
        lambda: upgrade_ledger(ledger_url),
        lambda: Ledger(ledger_url, "spam"),
    ]
    for use in uses:
        with pytest.raises(LedgerError, match="takes a program that knows version 5, and this one knows 4"):
            use()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "HEAD", 5)
        assert ledger.votes()["item_id"].to_list() == ["a"]
    # A version that older programs can live with stops nobody.
    run_sql(ledger_url, "UPDATE schema_version SET least_program = 4")
    assert ledger.record([vote("b")]).new == 1
    ledger.close()
    people.close()


def test_programs_that_know_no_versions_are_kept_out(old_url: str) -> None:
    upgrade_ledger(old_url)
    engine = create_engine(old_url)
    # They make tables that are missing, and refuse those in which their columns are.
    inspector = inspect(engine)
    for name in ("queue_reasons", "vote_reasons"):
        assert inspector.has_table(name)
        assert [column["name"] for column in inspector.get_columns(name)] == ["upgrade_this_program"]
    engine.dispose()


def test_two_upgrades_at_once_are_one(old_url: str) -> None:
    script = (
        "import sys\n"
        "from al_assets.storage.ledger.upgrade import upgrade_ledger\n"
        "print(upgrade_ledger(sys.argv[1]).before)\n"
    )
    command = [sys.executable, "-c", script, old_url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(2)]
    assert sorted(process.communicate(timeout=120)[0].strip() for process in running) == ["0", "4"]


def test_an_upgrade_waits_for_whoever_writes(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_assets.storage.ledger.store.LOCK_TIMEOUT_MS", "300")
    if old_url.startswith("sqlite"):
        monkeypatch.setattr("al_assets.storage.ledger.store.statements", lambda name: ["PRAGMA busy_timeout = 300"])
    with Store(old_url, any_version=True).write(any_version=True), pytest.raises(LedgerError, match="has been writing"):
        upgrade_ledger(old_url)
