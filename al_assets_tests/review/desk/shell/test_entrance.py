"""The way in and out, as people see it."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette

from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.entrance import FAILURES_OF_ONE
from al_assets_tests.support.desk.clients import DeskClient, SignIn, open_desk, running_app


def test_looking_at_a_link_does_not_use_it_up(visitor: Callable[[], DeskClient], desk: Desk) -> None:
    token = desk.people.invite("<Zoë>", ["adjudicator", "admin"], "root")
    for _ in range(3):
        preview = visitor().get(f"/join/{token}")
        assert preview.status_code == 200
        assert "&lt;Zoë&gt;" in preview.text
        assert "adjudicator, admin" in preview.text
        assert visitor().head(f"/join/{token}").status_code == 200
    reader = visitor()
    reader.get(f"/join/{token}")
    answer = reader.submit(f"/join/{token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert reader.get("/").headers["location"] == "/adjudication"
    late = visitor()
    used = late.get(f"/join/{token}")
    assert used.status_code == 404
    assert "ask for a new one" in used.text
    assert late.submit(f"/join/{token}").status_code == 404
    assert reader.get(f"/join/{token}").headers["location"] == "/", "who is in already is sent on"


def test_a_form_that_another_site_prepared_signs_nobody_in(visitor: Callable[[], DeskClient], desk: Desk) -> None:
    token = desk.people.invite("mallory", ["rater"], "root")
    attacker, victim = visitor(), visitor()
    attacker.get(f"/join/{token}")
    assert victim.post(f"/join/{token}", data={"csrf": attacker.csrf}).status_code == 403
    victim.get(f"/join/{token}")
    assert victim.post(f"/join/{token}", data={"csrf": attacker.csrf}).status_code == 403
    assert desk.people.sessions() == []


def test_joining_as_somebody_else_signs_the_first_out(sign_in: SignIn, desk: Desk) -> None:
    browser = sign_in("anna")
    token = desk.people.invite("ada", ["admin"], "root")
    assert "is signed in as <bdi>anna</bdi>" in browser.get(f"/join/{token}").text
    assert browser.submit(f"/join/{token}").status_code == 303
    assert browser.get("/").headers["location"] == "/people"
    assert [each.name for each in desk.people.sessions()] == ["ada"]


def test_two_who_use_a_link_at_once_are_not_both_let_in(app: Starlette, desk: Desk) -> None:
    token, barrier, answers = desk.people.invite("anna", ["rater"], "root"), threading.Barrier(4), []

    def use() -> None:
        client = DeskClient(app)
        client.get(f"/join/{token}")
        barrier.wait(10)
        answers.append(client.submit(f"/join/{token}").status_code)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert sorted(answers) == [303, 404, 404, 404]


@pytest.mark.parametrize(
    ("role", "place"),
    [(Role.RATER, "/questions"), (Role.ADJUDICATOR, "/adjudication"), (Role.POLICY_OWNER, "/policy"),
     (Role.ADMIN, "/people")],
)  # fmt: skip
def test_everybody_starts_at_the_own_work(sign_in: SignIn, role: Role, place: str) -> None:
    client = sign_in("pat", role)
    assert client.get("/").headers["location"] == place
    assert client.get(place).status_code == 200


def test_who_is_not_signed_in_is_told_how_to_get_in(tmp_path: Path) -> None:
    contact = {"contact": "Ada <ada@example.org>"}
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", desk=contact) as desk, running_app(desk) as app:
        for path, status in (("/", 200), ("/questions", 401)):
            page = DeskClient(app).get(path)
            assert page.status_code == status
            assert "Ada &lt;ada@example.org&gt;" in page.text
            assert "set-cookie" not in page.headers
        assert DeskClient(app).get("/healthz").text == "ok\n"


def test_who_is_in_may_come_by_the_old_link_and_keeps_nobody_out(
    sign_in: SignIn, visitor: Callable[[], DeskClient], desk: Desk
) -> None:
    anna, old = sign_in("anna"), desk.people.invite("anna", None, "root")
    desk.people.redeem(old)
    for _ in range(FAILURES_OF_ONE + 1):
        assert anna.get(f"/join/{old}").headers["location"] == "/"
    token = desk.people.invite("ben", ["rater"], "root")
    assert visitor().get(f"/join/{token}").status_code == 200, "the same address"
    stranger = visitor()
    for _ in range(FAILURES_OF_ONE):
        assert stranger.get(f"/join/{old}").status_code == 404
    assert stranger.get(f"/join/{token}").status_code == 429
    assert anna.get(f"/join/{old}").headers["location"] == "/"


def test_signing_out_twice_is_harmless(sign_in: SignIn) -> None:
    anna = sign_in("anna")
    assert anna.submit("/sign-out").status_code == 303
    assert anna.submit("/sign-out").status_code == 403
    assert "not signed in here" in anna.get("/").text
