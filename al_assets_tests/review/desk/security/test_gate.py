"""Requests that nobody sends by accident: foreign hosts, paths that climb, bodies of all kinds, guessed invitations."""

import logging
import re
import secrets
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from al_assets.review.desk.security.gate import MAX_BODY
from al_assets.review.desk.security.middleware import is_own_path, shown_path
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.entrance import FAILURES_OF_ONE, Attempts
from al_assets.storage.ledger import LedgerError
from al_assets_tests.support.desk.clients import DeskClient, client_of, running_app
from al_assets_tests.support.desk.one_desk import NAMES, app, desk

__all__ = ["app", "desk"]

ENDLESS = "/events"


@pytest.fixture(scope="module")
def clients(app: Starlette, desk: Desk) -> list[DeskClient]:
    return [DeskClient(app), *(client_of(app, desk, name, role) for role, name in NAMES.items())]


@pytest.fixture(scope="module")
def ada(clients: list[DeskClient]) -> DeskClient:
    return clients[-1]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8200", 200), ("localhost:1", 200), ("LOCALHOST", 200), ("[::1]:8200", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("localhost.evil.example:8200", 421),
        ("127.0.0.1@evil.example", 421), ("evil.example#127.0.0.1", 421), ("127.0.0.1:x", 421), ("", 421),
        ("[::1", 421), ("10.0.0.1", 421), ("localhost\\evil", 421), ("127.0.0.1:99999999", 421), ("loc\xe4lhost", 421),
        ("evil.example[::1]", 421), ("[::1]evil.example", 421), ("[::1].evil.example:8200", 421), ("127.0.0.1:", 200),
    ],
)  # fmt: skip
def test_only_the_desks_own_hosts_are_answered(clients: list[DeskClient], host: str, status: int) -> None:
    answer = clients[0].get("/", headers=[(b"Host", host.encode("latin-1"))])
    assert answer.status_code == status
    assert "evil" not in answer.text
    assert "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    ("site", "kind", "status"),
    [
        ("cross-site", "image", 403), ("cross-site", "iframe", 403), ("same-site", "empty", 403),
        ("cross-site", "", 403), ("cross-site", "document", 404), ("none", "document", 404),
        ("same-origin", "empty", 404),
    ],
)  # fmt: skip
def test_another_site_can_link_to_the_desk_and_no_more(
    clients: list[DeskClient], site: str, kind: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": kind}
    assert clients[-1].get("/none", headers=headers).status_code == status


def test_what_only_looks_like_a_hook_needs_a_token(clients: list[DeskClient]) -> None:
    # Readers of URLs leave line ends out.
    assert clients[0].post("/h%0aooks/label-studio").status_code == 403


def test_two_hosts_are_none(clients: list[DeskClient]) -> None:
    headers = [("Host", "127.0.0.1"), ("Host", "evil.example")]
    assert clients[0].get("/", headers=headers).status_code == 421


@pytest.mark.parametrize(
    "path",
    [
        "/static/../desk.py", "/static/%2e%2e/desk.py", "/static/..%2fdesk.py", "/static/%2e%2e%2fdesk.py",
        "/static/%252e%252e%252fdesk.py", "/static/..%5cdesk.py", "/static/..%255cdesk.py", "/static/....//desk.py",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/%00", "/static/desk.css%00.py", "/static/",
        "/static/..;/desk.py", "/static/%c0%ae%c0%ae/desk.py", "/static/" + "a" * 5000, "/static/.",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_static_files(clients: list[DeskClient], path: str) -> None:
    answer = clients[0].get(path)
    assert answer.status_code in (401, 404)
    assert "dataclass" not in answer.text
    assert "root:" not in answer.text


def test_static_files_are_kept_for_ever_under_their_version_only(clients: list[DeskClient]) -> None:
    page = clients[0].get("/").text
    (address,) = re.findall(r'href="(/static/desk\.css\?v=[0-9a-f]{12})"', page)
    assert clients[0].get(address).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert clients[0].get("/static/desk.css").headers["cache-control"] == "no-cache"
    assert clients[0].get("/static/none.css?v=1").headers["cache-control"] == "no-store"
    assert clients[0].post("/static/desk.css").status_code == 403


def headers_are_set(response: Any) -> bool:
    policy = response.headers["content-security-policy"]
    return (
        "default-src 'none'" in policy
        and "unsafe" not in policy
        and "frame-ancestors 'none'" in policy
        and "form-action 'self'" in policy
        and response.headers["x-content-type-options"] == "nosniff"
        and response.headers["x-frame-options"] == "DENY"
        and response.headers["referrer-policy"] == "no-referrer"
        and response.headers["cross-origin-opener-policy"] == "same-origin"
        and response.headers["cross-origin-resource-policy"] == "same-origin"
        and "camera=()" in response.headers["permissions-policy"]
        and ("no-store" in response.headers["cache-control"] or response.url.path.startswith("/static/"))
        and "server" not in response.headers
    )


def test_every_answer_has_the_headers(app: Starlette, clients: list[DeskClient]) -> None:
    for route in app.routes:
        path = re.sub(r"\{[^}]*\}", "0" * 16, getattr(route, "path", ""))
        for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE", "BREW"):
            for client in (clients[0], clients[-1]) if path != ENDLESS else (clients[0],):
                assert headers_are_set(client.request(method, path)), (method, path)
    for path in ("/none", "/static/desk.css", "/static/none", "//evil.example", "/people/"):
        assert headers_are_set(clients[-1].get(path)), path
    assert headers_are_set(clients[0].get("/", headers={"Host": "evil"}))
    assert headers_are_set(clients[0].post("/join/x", content=b"x" * (MAX_BODY + 1)))


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND", "DELETE", "PUT", "BREW"])
def test_other_methods_do_nothing(clients: list[DeskClient], desk: Desk, method: str) -> None:
    before = desk.people.audit_log()
    for path in ("/", "/people", "/people/deactivate", "/join/x", "/sign-out", "/static/desk.css", "/none"):
        assert clients[-1].request(method, path).status_code in (403, 404, 405), path
        assert clients[-1].request(method, path, headers={"X-CSRF-Token": clients[-1].csrf}).status_code in (404, 405)
    assert desk.people.audit_log() == before


def test_head_is_a_get_without_a_body(ada: DeskClient) -> None:
    for path in ("/people", "/audit-log", "/static/desk.css", "/none"):
        by_get, by_head = ada.get(path), ada.head(path)
        assert (by_head.status_code, by_head.headers["content-length"]) == (
            by_get.status_code, by_get.headers["content-length"],
        )  # fmt: skip
        assert by_head.content == b""


@pytest.mark.parametrize("size", [MAX_BODY + 1, 10 * MAX_BODY])
def test_a_body_that_is_too_large_is_refused(ada: DeskClient, size: int) -> None:
    assert ada.post("/people/link", content=b"x" * size).status_code == 413
    assert ada.post("/people/link", content=iter([b"x" * 1000] * (size // 1000 + 1))).status_code == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 500, " ", "\xb2"])
def test_a_length_that_is_none_is_refused(ada: DeskClient, length: str) -> None:
    headers = [(b"Content-Length", length.encode("latin-1")), (b"X-CSRF-Token", ada.csrf.encode())]
    assert ada.post("/people/link", content=b"name=ada", headers=headers).status_code in (400, 413)


def test_a_malformed_form_is_refused_or_has_no_token(ada: DeskClient) -> None:
    kinds = ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x; charset=nope"]
    for kind in [*kinds, "application/x-www-form-urlencoded; charset=nope", "application/json", "\xfc"]:
        for body in (b"--x\r\nbroken", b"%", b"\xff\xfe", b"csrf=%ff", b"{}", b""):
            headers = [(b"Content-Type", kind.encode("latin-1"))]
            assert ada.post("/people/link", content=body, headers=headers).status_code in (400, 403)
            headers.append((b"X-CSRF-Token", ada.csrf.encode()))
            assert ada.post("/people/link", content=body, headers=headers).status_code in (400, 404)


def test_a_form_is_read_by_the_gate_and_its_body_once_more_by_whoever_wants_it(desk: Desk) -> None:
    def threaded(request: Request) -> Response:
        return PlainTextResponse(request.state.form["label"])

    async def reading(request: Request) -> Response:
        return PlainTextResponse(f"{(await request.form())['label']}")

    app = make_app(desk)
    for path, endpoint in (("/threaded", threaded), ("/reading", reading)):
        app.router.routes.insert(0, Route(path, endpoint, methods=["POST"]))
    client = DeskClient(app)
    client.get("/join/x")
    for path in ("/threaded", "/reading"):
        assert client.submit(path, label="positive").text == "positive"


PATHS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["..", "0000", "item000", "%00", "\0", "a/b"]
)
TEXTS = st.text(max_size=30) | st.sampled_from(["\0", "=1+1", "\ud800", "-1", "9" * 40, "positive", "0000"])
FIELDS = [
    "name", "role", "sure", "session", "label", "comment", "reason", "turn", "seen", "version", "question", "note",
    "guideline", "code", "by", "act", "subject", "before", "iteration", "form_id", "examples", "after",
]  # fmt: skip
KINDS = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "text/plain", ""]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_sent_is_no_fault_of_the_desk(
    app: Starlette, clients: list[DeskClient], data: st.DataObject
) -> None:
    routes = [route for route in app.routes if isinstance(route, Route) and route.path != ENDLESS]
    client = data.draw(st.sampled_from(clients))
    route = data.draw(st.sampled_from(routes))
    method = data.draw(st.sampled_from([*sorted(route.methods or ()), "PUT"]))
    path = re.sub(r"\{[^}]*\}", lambda _: quote(data.draw(PATHS), safe="") or "x", route.path)
    fields = data.draw(st.dictionaries(st.sampled_from(FIELDS), TEXTS, max_size=4))
    encoded = "&".join(
        f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in fields.items()
    )
    if data.draw(st.booleans()):
        path = f"{path}?{encoded}"
    headers = {"X-CSRF-Token": client.csrf}
    if data.draw(st.booleans()):
        headers["HX-Request"] = "true"
    body = encoded.encode() if data.draw(st.booleans()) else data.draw(st.binary(max_size=200))
    headers["Content-Type"] = data.draw(st.sampled_from(KINDS))
    if route.path in (
        "/sign-out",
        "/people/deactivate",
        "/people/end-session",
        "/people/end-sessions",
        "/people/roles",
    ):
        headers.pop("X-CSRF-Token")
    answer = client.request(method, path, content=body if method not in ("GET", "HEAD") else None, headers=headers)
    assert answer.status_code < 500
    assert headers_are_set(answer)


def test_guessed_invitations_are_slowed_down(desk: Desk) -> None:
    token = desk.people.invite("ben", ["rater"], "the tests")
    with running_app(desk) as app:
        guesser = DeskClient(app)
        for number in range(FAILURES_OF_ONE):
            path = f"/join/{secrets.token_urlsafe(32)}"
            answer = guesser.get(path) if number % 2 else guesser.submit(path)
            assert answer.status_code == (404 if number else 403), "the first has no cookie yet"
        guesser.get("/join/x")
        answer = guesser.get(f"/join/{token}")
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 601
        assert guesser.submit(f"/join/{token}").status_code == 429
        elsewhere = DeskClient(app)
        elsewhere._transport.client = ("127.0.0.2", 1)  # type: ignore[attr-defined]
        assert elsewhere.get(f"/join/{token}").status_code == 200


def test_attempts_are_counted_by_address_and_in_all() -> None:
    now = [0.0]
    attempts = Attempts(each=2, in_all=4, seconds=10, clock=lambda: now[0])
    for _ in range(2):
        assert attempts.wait("a") == 0
        attempts.failed("a")
    assert attempts.wait("a") == 11
    assert attempts.wait("b") == 0
    for _ in range(2):
        attempts.failed("b")
    assert attempts.wait("c") == 11
    now[0] = 9.5
    assert attempts.wait("c") == 1
    now[0] = 10
    assert [attempts.wait(each) for each in "abc"] == [0, 0, 0]


@pytest.mark.parametrize(
    "target", ["//evil", "https://evil", "/\\evil", "\\\\evil", "evil", "", "/a\nb", "javascript:x"]
)
def test_a_redirect_elsewhere_is_never_sent(desk: Desk, target: str) -> None:
    assert not is_own_path(target)

    async def elsewhere(_: Request) -> Response:
        response = RedirectResponse("/")
        response.headers["location"] = target
        return response

    app = make_app(desk)
    app.router.routes.insert(0, Route("/elsewhere", elsewhere))
    answer = DeskClient(app, raise_server_exceptions=False).get("/elsewhere")
    assert answer.status_code == 500
    assert "location" not in answer.headers
    assert headers_are_set(answer)


@pytest.mark.parametrize("query", ["next=https://evil.example", "url=//evil.example", "after=https://evil.example"])
def test_no_page_redirects_to_what_its_address_says(clients: list[DeskClient], query: str) -> None:
    for client in clients:
        for path in ("/", "/join/x", "//evil.example/", "/people/", "/people", "/questions", "/none"):
            assert "evil" not in client.get(f"{path}?{query}").headers.get("location", "")


def test_errors_say_what_to_do_and_nothing_else(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "al_assets.desk.access")

    async def broken(_: Request) -> Response:
        raise RuntimeError("secret detail")

    async def away(_: Request) -> Response:
        raise LedgerError("secret detail")

    async def refused(_: Request) -> Response:
        raise HTTPException(400, "<b>Say</b> which.")

    app = make_app(desk)
    app.router.routes[:0] = [Route("/broken", broken), Route("/away", away), Route("/refused", refused)]
    client = DeskClient(app, raise_server_exceptions=False)
    for path, status in (("/broken", 500), ("/away", 503)):
        answer = client.get(path)
        assert answer.status_code == status
        assert "Try again" in answer.text
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert headers_are_set(answer)
        assert f" GET {path} {status} " in caplog.messages[-1]
    assert "&lt;b&gt;Say&lt;/b&gt; which." in client.get("/refused").text
    fragment = client.get("/refused", headers={"HX-Request": "true"}).text
    assert fragment.startswith('<p class="error" role="alert">')
    assert "<html" not in fragment


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/join/secret-token", "/join/..."), ("/join/secret/more", "/join/..."), ("/people", "/people"),
        ("/a\nb \x1b[2J", "/a%0Ab%20%1B%5B2J"), ("/join/", "/join/"), ("/join/s\ntoken", "/join/..."),
        ("//Join/secret", "//Join/..."), ("http://localhost/join/secret", "http%3A//localhost/join/..."),
        ("/join%2Fsecret", "/join..."), (f"/jion/{'x-' * 21}x/", "/jion/.../"),
    ],
)  # fmt: skip
def test_the_access_log_shows_no_token_and_no_forged_line(path: str, shown: str) -> None:
    assert shown_path(path) == shown
