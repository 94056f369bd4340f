"""The admin's pages: inviting, roles, sessions, the audit log."""

import csv
import io
import re

import pytest

from al_assets.review.desk.people.pages import ON_A_PAGE
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import DeskClient, SignIn


@pytest.fixture
def ada(sign_in: SignIn) -> DeskClient:
    return sign_in("ada", Role.ADMIN)


def test_an_admin_invites_by_a_link_that_is_shown_once(ada: DeskClient, desk: Desk) -> None:
    page = ada.submit("/people/invite", name=" <b>Dora</b> ", role="rater")
    assert page.status_code == 200
    (link,) = re.findall(r'value="(http://127\.0\.0\.1:8200/join/[\w-]{43})"', page.text)
    assert "<b>" not in page.text
    assert "&lt;b&gt;Dora&lt;/b&gt;" in page.text
    assert "<b>Dora</b>" in desk.ledger.raters
    assert ada.get(link).status_code == 200
    assert link not in ada.get("/people").text
    assert "Raters of the policy file who were not invited here" in page.text


@pytest.mark.parametrize(
    ("name", "roles", "problem"),
    [
        ("dora", ["rater", "admin"], "a rater cannot also be admin"), ("dora", [], "none given"),
        ("", ["rater"], "name: empty"), ("dora", ["<i>"], "&#39;&lt;i&gt;&#39; is unknown"),
        ("ada", ["rater"], "cannot give yourself other roles"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(
    ada: DeskClient, desk: Desk, name: str, roles: list[str], problem: str
) -> None:
    page = ada.submit("/people/invite", name=name, role=roles)
    assert page.status_code == 400
    assert problem in page.text
    assert f'value="{name}"' in page.text, "what was entered is kept"
    assert [each.name for each in desk.people.people()] == ["ada"]
    assert desk.ledger.raters == ("anna", "ben", "cleo")


def test_an_invitation_under_a_known_name_changes_no_roles_by_a_slip(
    ada: DeskClient, sign_in: SignIn, desk: Desk
) -> None:
    anna = sign_in("anna")
    refused = ada.submit("/people/invite", name=" anna", role="adjudicator")
    assert refused.status_code == 400
    assert "is known as rater; to give the person other roles, use the page behind the name" in refused.text
    assert anna.get("/questions").status_code == 200
    assert "anna" in desk.ledger.raters
    assert ada.submit("/people/invite", name="anna", role="rater").status_code == 200


def test_roles_are_changed_and_felt_at_once(ada: DeskClient, sign_in: SignIn, desk: Desk) -> None:
    olga = sign_in("olga", Role.POLICY_OWNER)
    assert olga.get("/people").status_code == 404
    changed = ada.submit("/people/roles", name="olga", role=["policy owner", "admin"])
    assert changed.headers["location"] == "/people/person?name=olga"
    assert olga.get("/people").status_code == 200
    refused = ada.submit("/people/roles", name="olga", role="rater")
    assert "cannot be a blind rater" in refused.text
    assert "You cannot change your own roles" in ada.submit("/people/roles", name="ada", role="adjudicator").text
    assert desk.people.member("olga").roles == {Role.POLICY_OWNER, Role.ADMIN}  # type: ignore[union-attr]


def test_an_admin_cannot_lock_everybody_out_by_a_slip(ada: DeskClient, sign_in: SignIn) -> None:
    sign_in("anna")
    assert "You cannot deactivate yourself" in ada.submit("/people/deactivate", name="ada", sure="yes").text
    unsure = ada.submit("/people/deactivate", name="anna")
    assert unsure.status_code == 400
    assert "tick the box" in unsure.text
    assert "deactivated" not in ada.get("/people").text


def test_a_persons_page_shows_sessions_and_links_and_ends_them(ada: DeskClient, sign_in: SignIn, desk: Desk) -> None:
    anna = sign_in("anna")
    assert "testclient" in ada.get("/people/person", params={"name": "anna"}).text
    spare = ada.submit("/people/link", name="anna")
    (token,) = re.findall(r"/join/([\w-]{43})", spare.text)
    assert ada.submit("/people/revoke-invitations", name="anna").status_code == 303
    assert desk.people.invitation(token) is None
    assert ada.submit("/people/end-sessions", name="anna").status_code == 303
    assert anna.get("/questions").status_code == 401
    assert "Nowhere." in ada.get("/people/person", params={"name": "anna"}).text
    assert "(this one)" in ada.get("/people/person", params={"name": "ada"}).text


def test_names_of_all_kinds_have_a_page(ada: DeskClient) -> None:
    for name in ("a/b", "a?b&c=d", "a#b", "100%", "Zoë Ünal", "o'hara", "a+b"):
        page = ada.submit("/people/invite", name=name, role="adjudicator")
        links = re.findall(r'href="(/people/person\?name=[^"]*)"', page.text)
        assert sum(f"<h1><bdi>{name}".replace("'", "&#39;").replace("&c", "&amp;c") in ada.get(each).text
                   for each in links) == 1  # fmt: skip
        moved = ada.submit("/people/end-sessions", name=name)
        assert ada.get(moved.headers["location"]).status_code == 200


def test_a_name_counts_as_it_is_on_record(ada: DeskClient, sign_in: SignIn, desk: Desk) -> None:
    zoe = sign_in("Zoë")
    assert ada.submit("/people/end-sessions", name=" Zoe\u0308 ").headers["location"] == "/people/person?name=Zo%C3%AB"
    assert zoe.get("/questions").status_code == 401
    assert desk.people.audit_log()[0].subject == "Zoë"


@pytest.mark.parametrize("path", ["link", "roles", "revoke-invitations", "end-sessions", "deactivate"])
def test_of_somebody_unknown_there_is_no_page(ada: DeskClient, path: str) -> None:
    for name in ("nobody", "", "a\0b", "x" * 1000):
        assert ada.submit(f"/people/{path}", name=name, role="rater", sure="yes").status_code == 404
        assert ada.get("/people/person", params={"name": name}).status_code == 404


def test_the_audit_log_is_shown_filtered_and_exported(ada: DeskClient, desk: Desk) -> None:
    desk.people.audit("=cmd|calc", "export", "votes", "<script>alert(1)</script>")
    page = ada.get("/audit-log").text
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    only = ada.get("/audit-log", params={"by": "the tests", "act": "invite", "subject": "ada"}).text
    assert "until" in only
    assert "votes" not in only
    assert "No entry matches." in ada.get("/audit-log", params={"by": "nobody\0"}).text
    exported = ada.get("/audit-log.csv")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in exported.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert [row["act"] for row in rows] == ["export", "sign in", "invite"]
    assert rows[0]["by"] == "'=cmd|calc", "no spreadsheet runs it"
    assert desk.people.audit_log()[0].detail == "3 rows", "that it was exported is on record"


def test_a_long_audit_log_has_older_pages(ada: DeskClient, desk: Desk) -> None:
    for number in range(ON_A_PAGE):
        desk.people.audit("root", "export", f"thing {number}")
    page = ada.get("/audit-log", params={"act": "export"}).text
    assert "Older entries" not in page
    page = ada.get("/audit-log").text
    (older,) = re.findall(r'href="(/audit-log\?[^"]*before=\d+)"', page)
    shown = ada.get(older.replace("&amp;", "&")).text
    assert "sign in" in shown
    assert "thing" not in shown
