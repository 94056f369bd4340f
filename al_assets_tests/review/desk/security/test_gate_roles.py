"""Every route of the desk, new ones too: who may, who may not, and that forms of other sites do nothing."""

import re
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from al_assets.review.desk.shell.access import Role, needed_by
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import DeskClient, client_of
from al_assets_tests.support.desk.one_desk import NAMES, app, desk
from al_assets_tests.support.ledger import items

__all__ = ["app", "desk"]

OPEN = {"/", "/healthz", "/join/{token}", "/sign-out"}
ENDLESS = {"/events"}


@pytest.fixture(scope="module")
def everybody(app: Starlette, desk: Desk) -> dict[Role, DeskClient]:
    return {role: client_of(app, desk, name, role) for role, name in NAMES.items()}


def ways(app: Starlette, *methods: str) -> Iterator[tuple[str, Route]]:
    for route in app.routes:
        if isinstance(route, Route):
            yield from ((method, route) for method in sorted(route.methods or ()) if method in methods)


def address(route: Route) -> str:
    return re.sub(r"\{[^}]*\}", "0" * 16, route.path)


def test_routes_are_guarded_or_known_to_be_open(app: Starlette) -> None:
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert {route.path for route in routes if needed_by(route.endpoint) is None} == OPEN
    assert len(routes) > 20
    writing = [route.path for _, route in ways(app, "POST", "PUT", "PATCH", "DELETE")]
    assert len(writing) > 8


def test_without_a_session_nobody_gets_in(app: Starlette, visitor: Callable[[], DeskClient]) -> None:
    nobody = visitor()
    for method, route in ways(app, "GET", "HEAD"):
        if route.path not in OPEN:
            answer = nobody.request(method, address(route))
            assert answer.status_code == 401, route.path
            assert not any(each in answer.text for each in items(6)), route.path


def test_with_a_wrong_role_a_page_does_not_exist(app: Starlette, everybody: dict[Role, DeskClient]) -> None:
    for method, route in ways(app, "GET", "HEAD", "POST"):
        allowed = needed_by(route.endpoint)
        for role, client in everybody.items():
            if allowed is not None and role not in allowed:
                headers = {"X-CSRF-Token": client.csrf} if method == "POST" else {}
                answer = client.request(method, address(route), headers=headers)
                assert answer.status_code == 404, (method, route.path, role)


def test_with_the_right_role_it_does(app: Starlette, everybody: dict[Role, DeskClient]) -> None:
    for _, route in ways(app, "GET"):
        for role in needed_by(route.endpoint) or ():
            if route.path not in ENDLESS and "{" not in route.path:
                for headers in ({}, {"HX-Request": "true"}):
                    answer = everybody[role].get(address(route), headers=headers)
                    known = (200, 303) if route.path != "/people/person" else (404,)
                    assert answer.status_code in (*known, 204), (route.path, role)


def test_nothing_that_writes_takes_a_form_without_its_token(
    app: Starlette, everybody: dict[Role, DeskClient], desk: Desk
) -> None:
    before = (desk.people.people(), desk.people.sessions(), desk.people.audit_log(), desk.ledger.watermark())
    for method, route in ways(app, "POST", "PUT", "PATCH", "DELETE"):
        role = min(needed_by(route.endpoint) or {Role.ADMIN})
        client = everybody[role]
        foreign = next(each.csrf for other, each in everybody.items() if other is not role)
        path = address(route)
        for wrong in (None, "", "wrong", client.csrf[:-1], foreign):
            fields = {"name": "anna", "sure": "yes", **({} if wrong is None else {"csrf": wrong})}
            assert client.request(method, path, data=fields).status_code == 403, (path, wrong)
            headers = {"X-CSRF-Token": wrong or ""}
            assert client.request(method, path, data=fields, headers=headers).status_code == 403, (path, wrong)
        in_address = f"{path}?csrf={client.csrf}"
        assert client.request(method, in_address).status_code == 403, "a token in an address is none"
    assert (desk.people.people(), desk.people.sessions(), desk.people.audit_log(), desk.ledger.watermark()) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8201"}, {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
)  # fmt: skip
def test_another_site_cannot_send_a_form_even_with_the_token(
    app: Starlette, everybody: dict[Role, DeskClient], headers: dict[str, str]
) -> None:
    for method, route in ways(app, "POST"):
        client = everybody[min(needed_by(route.endpoint) or {Role.ADMIN})]
        answer = client.request(method, address(route), data={"csrf": client.csrf}, headers=headers)
        assert answer.status_code == 403, route.path


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {"Origin": "http://127.0.0.1:8200"},
        {"Origin": "null"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8200"},
    ],
)  # fmt: skip
def test_the_desks_own_forms_get_through(everybody: dict[Role, DeskClient], headers: dict[str, str]) -> None:
    ada = everybody[Role.ADMIN]
    fields = {"name": "ada", "csrf": ada.csrf}
    assert ada.post("/people/link", data=fields, headers=headers).status_code == 200
    by_htmx = {**headers, "X-CSRF-Token": ada.csrf, "HX-Request": "true"}
    assert ada.post("/people/link", data={"name": "ada"}, headers=by_htmx).status_code == 200
    parts: list[tuple[str, tuple[None, str]]] = [(name, (None, value)) for name, value in fields.items()]
    assert ada.post("/people/link", files=parts, headers=headers).status_code == 200
    # The desk takes no files.
    with_file = [*parts, ("file", ("x.txt", "x"))]
    assert ada.post("/people/link", files=with_file, headers=headers).status_code == 400
    assert ada.post("/people/link", files=with_file, headers=by_htmx).status_code == 400


def test_pages_of_all_roles_have_no_script_style_or_handler_inside(
    app: Starlette, everybody: dict[Role, DeskClient]
) -> None:
    # What the content policy would refuse must not be there to begin with.
    inside = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:|https?://", re.IGNORECASE)
    for _, route in ways(app, "GET"):
        for role in needed_by(route.endpoint) or ():
            if route.path not in ENDLESS:
                answer = everybody[role].get(address(route))
                if "html" in answer.headers.get("content-type", ""):
                    text = re.sub(r'xmlns="[^"]*"', "", answer.text)
                    found = inside.search(text)
                    assert found is None, (route.path, text[max(found.start() - 80, 0) : found.end() + 80])
