"""People, invitations, sessions and the audit log, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from al_assets.config import DeskSettings
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.records import AuditFilter, PeopleError, browser_name, checked_name, checked_roles
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger import Ledger
from al_assets.storage.ledger.registers import Change
from al_assets_tests.support.ledger import RATERS

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETTINGS = DeskSettings(invite_hours=72, session_idle_hours=10, session_hours=100)


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(ledger_url: str, clock: Clock) -> Iterator[PeopleStore]:
    with PeopleStore(ledger_url, "spam", SETTINGS, clock) as made:
        yield made


def signed_in(store: PeopleStore, name: str, *roles: str) -> str:
    session = store.redeem(store.invite(name, roles or ["rater"], "root"), "Firefox")
    assert session is not None
    return session


def test_an_invitation_signs_a_person_in_once(store: PeopleStore) -> None:
    token = store.invite("Zoë", ["adjudicator", "admin"], "root")
    shown = store.invitation(token)
    assert shown is not None
    assert (shown.name, shown.roles, shown.expires_at) == (
        "Zoë", frozenset({Role.ADJUDICATOR, Role.ADMIN}), START + timedelta(hours=72),
    )  # fmt: skip
    assert store.invitation(token) is not None, "looking at it does not use it up"
    session = store.redeem(token, "Firefox")
    assert session is not None
    found = store.session(session)
    assert found is not None
    assert found.member.person.may(Role.ADMIN)
    assert found.session.browser == "Firefox"
    assert store.redeem(token) is None
    assert store.invitation(token) is None
    assert [(each.name, each.joined_at) for each in store.people()] == [("Zoë", START)]


def test_no_secret_is_stored(store: PeopleStore, ledger_url: str) -> None:
    token = store.invite("anna", ["rater"], "root")
    session = store.redeem(token)
    assert session is not None
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        tables = ("desk_people", "desk_invites", "desk_sessions", "desk_audit")
        stored = repr([connection.execute(text(f"SELECT * FROM {name}")).all() for name in tables])
    engine.dispose()
    assert "anna" in stored
    assert token not in stored
    assert session not in stored


def test_an_invitation_expires_and_can_be_revoked(store: PeopleStore, clock: Clock) -> None:
    late, revoked = store.invite("anna", ["rater"], "root"), store.invite("ben", ["rater"], "root")
    assert [each.name for each in store.invitations()] == ["anna", "ben"]
    assert store.revoke_invitations("ben", "root") == 1
    assert store.redeem(revoked) is None
    clock.pass_hours(72)
    assert store.redeem(late) is None
    assert store.invitations() == []
    assert store.redeem(store.invite("anna", None, "root")) is not None, "a second link for the same person"


def test_of_many_who_redeem_at_once_one_wins(store: PeopleStore) -> None:
    token, barrier, won = store.invite("anna", ["rater"], "root"), threading.Barrier(6), []

    def redeem() -> None:
        barrier.wait(10)
        won.append(store.redeem(token))

    threads = [threading.Thread(target=redeem) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert len(won) == 6
    assert sum(each is not None for each in won) == 1
    assert len(store.sessions()) == 1


def test_a_session_ends_when_idle_and_after_its_time(store: PeopleStore, clock: Clock) -> None:
    idle, busy = signed_in(store, "anna"), signed_in(store, "ben")
    for _ in range(11):
        clock.pass_hours(9)
        assert store.session(busy) is not None, "a sign of life counts"
    assert store.session(idle) is None
    clock.pass_hours(1)
    assert store.session(busy) is None
    assert store.sessions() == []


def test_sessions_are_ended_one_by_one_and_together(store: PeopleStore) -> None:
    first, second = signed_in(store, "anna"), signed_in(store, "anna")
    other = signed_in(store, "ben")
    found = store.session(first)
    assert found is not None
    assert store.end_session(found.session.session_id, "ada") == "anna"
    assert store.end_session(found.session.session_id, "ada") is None
    assert store.session(first) is None
    assert store.session(second) is not None
    assert store.end_sessions("anna", "ada") == 1
    assert store.session(second) is None
    assert store.session(other) is not None
    assert store.session("no such token") is None


def test_who_is_deactivated_comes_in_no_more_until_invited_again(store: PeopleStore) -> None:
    session, spare = signed_in(store, "anna"), store.invite("anna", None, "root")
    store.deactivate("anna", "ada")
    assert store.session(session) is None
    assert store.redeem(spare) is None
    assert store.identified("anna") is None
    assert store.redeem(store.invite("anna", None, "ada")) is not None
    assert store.session(session) is None, "the old session stays ended"


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["rater", "adjudicator"], "a rater cannot also be adjudicator"),
        (["king"], "'king' is unknown"),
        ([], "none given"),
    ],
)
def test_roles_that_cannot_be_are_refused(roles: list[str], message: str) -> None:
    with pytest.raises(PeopleError, match=message):
        checked_roles(roles)


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 101, "an\u202ena", "an\x00na", "an\nna", "\ud800", "root (Command  line)"]
)
def test_names_that_could_deceive_are_refused(name: str) -> None:
    with pytest.raises(PeopleError, match="name"):
        checked_name(name)


def test_a_refused_invitation_leaves_nothing(store: PeopleStore) -> None:
    for name, roles in (("anna", ["rater", "admin"]), ("an\nna", ["rater"])):
        with pytest.raises(PeopleError):
            store.invite(name, roles, "root")
    assert store.people() == []
    assert store.audit_log() == []


def test_names_that_are_easily_confused_are_refused(store: PeopleStore) -> None:
    store.invite("Zoë", ["rater"], "root")
    with pytest.raises(PeopleError, match="easily confused"):
        store.invite("ZOË", ["rater"], "root")
    store.invite("Finn O", ["rater"], "root")
    for name in ("Finn  O", "\ufb01nn o", "\uff26inn O"):
        with pytest.raises(PeopleError, match="easily confused"):
            store.invite(name, ["adjudicator"], "root")
    # The same name written with a combining mark is the same person.
    store.invite("Zoe\u0308", None, "root")
    assert [each.name for each in store.people()] == ["Finn O", "Zoë"]


def test_nobody_who_has_seen_votes_becomes_a_rater(store: PeopleStore) -> None:
    store.invite("early", ["adjudicator"], "root")
    store.change_roles("early", ["rater"], "root")
    signed_in(store, "late", "adjudicator")
    for change in (lambda: store.change_roles("late", ["rater"], "root"),
                   lambda: store.invite("late", ["rater"], "root")):  # fmt: skip
        with pytest.raises(PeopleError, match="cannot be a blind rater"):
            change()
    signed_in(store, "anna")
    store.change_roles("anna", ["adjudicator"], "root")
    with pytest.raises(PeopleError, match="cannot be a blind rater"):
        store.change_roles("anna", ["rater"], "root")


def test_whoever_votes_elsewhere_gets_no_second_name_here(store: PeopleStore, ledger_url: str) -> None:
    with Ledger(ledger_url, "spam", ["anna"]) as ledger, pytest.raises(PeopleError, match="'anna', who is known"):
        changes.invite(store, ledger, "Anna", ["adjudicator"], "root")
    assert store.people() == []
    # Whoever is here already gets a new link, whatever the policy file says since.
    store.invite("Anna", ["adjudicator"], "root")
    with Ledger(ledger_url, "spam", ["anna"]) as ledger:
        assert store.redeem(changes.invite(store, ledger, "Anna", None, "root")) is not None


def test_a_policy_file_makes_no_rater_of_somebody_with_another_role(store: PeopleStore, ledger_url: str) -> None:
    for name, role in (("judy", "adjudicator"), ("ben", "rater"), ("gone", "rater")):
        store.invite(name, [role], "root")
    store.deactivate("gone", "root")
    with Ledger(ledger_url, "spam", ["anna", "judy", "ben", "gone"]) as ledger:
        assert changes.keep_raters_blind(store, ledger, "the desk") == ["judy", "gone"]
        assert ledger.raters == ("anna", "ben")
        assert changes.keep_raters_blind(store, ledger, "the desk") == []
    assert {each.subject for each in store.audit_log(AuditFilter(by="the desk"))} == {"judy", "gone"}


def test_a_change_of_roles_is_felt_by_open_sessions(store: PeopleStore) -> None:
    session = signed_in(store, "ada", "admin")
    store.change_roles("ada", ["policy owner"], "root")
    found = store.session(session)
    assert found is not None
    assert found.member.roles == {Role.POLICY_OWNER}


def test_every_change_is_in_the_audit_log(store: PeopleStore, clock: Clock) -> None:
    session = signed_in(store, "anna")
    clock.pass_hours(1)
    store.change_roles("anna", ["admin"], "ada")
    store.end_sessions("anna", "ada")
    store.revoke_invitations("anna", "ada")
    store.deactivate("anna", "ada")
    store.audit("ben", "export", "votes", "3 rows\0 \ud800")
    log = store.audit_log()
    assert [(each.by, each.act, each.subject) for each in reversed(log)] == [
        ("root", "invite", "anna"), ("anna", "sign in", "anna"), ("ada", "change roles", "anna"),
        ("ada", "end all sessions", "anna"), ("ada", "revoke invitations", "anna"), ("ada", "deactivate", "anna"),
        ("ben", "export", "votes"),
    ]  # fmt: skip
    assert [each.act for each in store.audit_log(AuditFilter(by="ada"), most=1)] == ["deactivate"]
    assert len(store.audit_log(AuditFilter(act="invite", subject="anna"))) == 1
    assert store.audit_log(AuditFilter(before=log[-2].seq)) == log[-1:]
    assert "sign in" in store.audit_acts()
    assert session not in repr(log)


@pytest.mark.parametrize("change", ["UPDATE desk_audit SET act = 'nothing'", "DELETE FROM desk_audit"])
def test_the_audit_log_is_append_only(store: PeopleStore, ledger_url: str, change: str) -> None:
    store.audit("root", "invite", "anna")
    engine = create_engine(ledger_url)
    with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text(change))
    engine.dispose()
    assert len(store.audit_log()) == 1


def test_policies_do_not_see_each_others_people(store: PeopleStore, ledger_url: str, clock: Clock) -> None:
    token = store.invite("anna", ["rater"], "root")
    session = signed_in(store, "ben")
    with PeopleStore(ledger_url, "other", SETTINGS, clock) as other:
        assert other.people() == []
        assert other.redeem(token) is None
        assert other.session(session) is None
        assert other.audit_log() == []


def test_the_ledger_learns_who_rates(store: PeopleStore, ledger_url: str) -> None:
    with Ledger(ledger_url, "spam", RATERS) as ledger:
        changes.invite(store, ledger, "anna", ["rater"], "ada")
        changes.invite(store, ledger, "dora", ["rater"], "ada")
        changes.invite(store, ledger, "ella", ["adjudicator"], "ada")
        assert set(ledger.raters) == {*RATERS, "dora"}
        changes.deactivate(store, ledger, "anna", "ada")
        changes.change_roles(store, ledger, "dora", ["policy owner"], "ada")
        assert set(ledger.raters) == {"ben", "cleo"}
        changes.invite(store, ledger, "anna", None, "ada")
        assert set(ledger.raters) == set(RATERS)


def test_of_two_admins_at_once_the_last_word_is_the_ledgers(store: PeopleStore, ledger_url: str) -> None:
    class Overtaken(Ledger):
        def change_rater(self, name: str, change: Change, by: str) -> None:
            if by == "ada":
                with Ledger(ledger_url, "spam", RATERS) as other:
                    changes.deactivate(store, other, name, "eve")
            super().change_rater(name, change, by)

    with Overtaken(ledger_url, "spam", RATERS) as ledger:
        store.invite("dora", ["adjudicator"], "root")
        changes.change_roles(store, ledger, "dora", ["rater"], "ada")
        assert "dora" not in ledger.raters, "nothing waits for somebody who was let go"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
         "Safari/537.36 Edg/141.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile "
         "Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl/8.5.0"), ("", "unknown"), ("x" * 500, "x" * 40),
    ],
)  # fmt: skip
def test_browsers_have_short_names(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
