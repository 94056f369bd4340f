"""Cookies and sessions: forged, swapped, ended, expired; and what the cookie is like."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from starlette.applications import Starlette

from al_assets.config import DeskSettings
from al_assets.review.desk.people.store import PeopleStore, utc_now
from al_assets.review.desk.security.identities import REMEMBERED_SECONDS, Cookies
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import KEY, DeskClient, SignIn, client_of, open_desk, running_app
from al_assets_tests.support.desk.one_desk import app, desk

__all__ = ["app", "desk"]

COOKIE = Cookies(KEY, DeskSettings()).name


def status(client: DeskClient, path: str = "/people") -> int:
    return client.get(path).status_code


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Callable[[], DeskClient], desk: Desk) -> None:
    client = visitor()
    token = desk.people.invite("ada", ["admin"], "the tests")
    before = client.get(f"/join/{token}").headers["set-cookie"]
    after = client.submit(f"/join/{token}").headers["set-cookie"]
    for each in (before, after):
        assert each.startswith(f"{COOKIE}=")
        assert "HttpOnly; " in each
        assert "Path=/; " in each
        assert "SameSite=lax" in each
        assert "Domain" not in each
    assert "Max-Age" not in before
    assert "Max-Age=2592000" in after
    assert before.split(";")[0] != after.split(";")[0], "signing in makes a new token"


def test_desks_of_one_machine_leave_each_others_sessions_alone(tmp_path: Path) -> None:
    # A browser sends a cookie to every port of a host.
    with ExitStack() as stack:
        clients = []
        for name, key in (("one", KEY), ("two", bytes(32))):
            (tmp_path / name).mkdir()
            made = stack.enter_context(open_desk(tmp_path / name, f"sqlite:///{tmp_path}/{name}.sqlite"))
            app = stack.enter_context(running_app(replace(made, secret=key)))
            clients.append(client_of(app, made, "ada", Role.ADMIN))
        one, two = clients
        both = "; ".join(f"{name}={value}" for each in clients for name, value in each.cookies.items())
        for client in clients:
            client.cookies.clear()
            assert client.get("/people", headers={"Cookie": both}).status_code == 200
        assert one.get("/join/x", headers={"Cookie": both}).headers.get("set-cookie") is None
        assert one.cookies_of.name != two.cookies_of.name


def test_under_https_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    origin = "https://desk.example.org"
    with (
        open_desk(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", desk={"public_url": origin}) as desk,
        running_app(desk) as app,
    ):
        client = client_of(app, desk, "ada", Role.ADMIN, origin=origin)
        assert status(client) == 200
        assert client.get("/people").headers["strict-transport-security"] == "max-age=31536000"
        link = client.submit("/people/link", name="ada").text
        assert "https://desk.example.org/join/" in link
        header = client.post("/sign-out", data={"csrf": client.csrf}).headers["set-cookie"]
        assert header.startswith(f"__Host-{COOKIE}=")
        assert "Secure" in header


@pytest.mark.parametrize("change", ["other key", "other token", "no signature", "cut", "empty", "not ascii"])
def test_a_forged_cookie_signs_nobody_in(sign_in: SignIn, visitor: Callable[[], DeskClient], change: str) -> None:
    ada, forger = sign_in("ada", Role.ADMIN), visitor()
    cookie = ada.cookies[COOKIE]
    token, _, signature = cookie.rpartition(".")
    last = "E" if token.endswith("A") else "A"
    other = Cookies(bytes(32), DeskSettings()).header(token, keep=True).split(";")[0].partition("=")[2]
    forged = {
        "other key": other, "other token": f"{token[:-1]}{last}.{signature}", "no signature": token, "cut": cookie[:-1],
        "empty": "", "not ascii": "\xfc.\xfc",
    }[change]  # fmt: skip
    assert forger.get("/people", headers=[(b"Cookie", f"{COOKIE}={forged}".encode("latin-1"))]).status_code == 401
    assert forger.get("/people", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 200


def test_a_token_that_was_never_given_out_signs_nobody_in(visitor: Callable[[], DeskClient]) -> None:
    # Whoever has the key can sign anything, and still needs a session that is on record.
    signed = Cookies(KEY, DeskSettings()).header("x" * 43, keep=True).split(";")[0]
    assert visitor().get("/people", headers={"Cookie": signed}).status_code == 401


def test_the_key_of_the_cookie_is_not_that_of_the_forms(app: Starlette) -> None:
    cookies = app.state.cookies
    signed = cookies.header("token", keep=True)
    assert cookies.csrf("token") not in signed


def test_a_swapped_cookie_is_another_persons_and_its_forms_are_void(sign_in: SignIn) -> None:
    ada, anna = sign_in("ada", Role.ADMIN), sign_in("anna")
    csrf = ada.csrf
    swapped = {"Cookie": f"{COOKIE}={anna.cookies[COOKIE]}", "X-CSRF-Token": csrf}
    assert ada.post("/people/link", data={"name": "ada"}, headers=swapped).status_code == 403


def test_signing_out_ends_the_session_at_once(sign_in: SignIn) -> None:
    ada = sign_in("ada", Role.ADMIN)
    kept = ada.cookies[COOKIE]
    assert status(ada) == 200
    answer = ada.submit("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert COOKIE not in ada.cookies
    assert ada.get("/people", headers={"Cookie": f"{COOKIE}={kept}"}).status_code == 401


def test_a_session_that_an_admin_ends_is_over_at_once(sign_in: SignIn, desk: Desk) -> None:
    ada, eve = sign_in("ada", Role.ADMIN), sign_in("eve", Role.ADMIN)
    assert status(eve) == 200
    (session,) = [each for each in desk.people.sessions() if each.name == "eve"]
    assert ada.submit("/people/end-session", session=session.session_id).status_code == 303
    assert status(eve) == 401
    assert ada.submit("/people/end-session", session=session.session_id).status_code == 404
    assert status(ada) == 200


def test_a_deactivated_rater_is_out_at_once(sign_in: SignIn, desk: Desk) -> None:
    ada, anna = sign_in("ada", Role.ADMIN), sign_in("anna")
    assert anna.get("/").headers["location"] == "/questions"
    assert ada.submit("/people/deactivate", name="anna", sure="yes").status_code == 303
    assert status(anna, "/questions") == 401
    assert desk.ledger.raters == ("ben", "cleo")


def test_what_another_process_revokes_is_felt_within_seconds(sign_in: SignIn, desk: Desk) -> None:
    eve = sign_in("eve", Role.ADMIN)
    assert status(eve) == 200
    with PeopleStore.of(desk.policy) as elsewhere:
        elsewhere.end_sessions("eve", "root")
    until = time.monotonic() + REMEMBERED_SECONDS + 1
    while status(eve) == 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert status(eve) == 401
    assert REMEMBERED_SECONDS <= 2


def test_an_expired_session_is_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.sqlite"
    late = utc_now() + timedelta(hours=721)
    with open_desk(tmp_path, url) as desk:
        with running_app(desk) as app:
            cookie = client_of(app, desk, "ada", Role.ADMIN).cookies[COOKIE]
        with (
            PeopleStore(url, "spam", desk.policy.desk, lambda: late) as people,
            running_app(Desk(desk.policy, desk.ledger, people, KEY)) as app,
        ):
            assert status(DeskClient(app, cookies={COOKIE: cookie})) == 401


def test_whose_sign_of_life_cannot_be_written_may_still_read(sign_in: SignIn, desk: Desk) -> None:
    ada = sign_in("ada", Role.ADMIN)
    token = ada.cookies[COOKIE].rpartition(".")[0]
    full = create_engine(desk.policy.ledger_url)
    with full.begin() as connection:
        refuse = "CREATE TRIGGER full BEFORE UPDATE ON desk_sessions BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        connection.exec_driver_sql(refuse)
    late = utc_now() + timedelta(hours=100)
    with PeopleStore(desk.policy.ledger_url, "spam", desk.policy.desk, lambda: late) as people:
        found = people.session(token)
        assert found is not None
        with full.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER full")
        people.session(token)
        (seen,) = [each.seen_at for each in people.sessions() if each.session_id == found.session.session_id]
    full.dispose()
    assert seen == late


def test_no_session_outlives_the_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.sqlite"
    with open_desk(tmp_path, url) as desk:
        with running_app(desk) as app:
            cookie = client_of(app, desk, "ada", Role.ADMIN).cookies[COOKIE]
        with running_app(Desk(desk.policy, desk.ledger, desk.people, bytes(32))) as app:
            assert status(DeskClient(app, cookies={Cookies(bytes(32), DeskSettings()).name: cookie})) == 401
