"""The desk behind a real nginx and a real Caddy, set up as docs/desk-security.md says."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from al_assets.review.desk.people import changes
from al_assets.review.desk.security.gate import MAX_BODY
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.entrance import FAILURES_OF_ONE
from al_assets.review.desk.shell.events import HEARTBEAT_SECONDS
from al_assets.review.desk.shell.server import ListenAt
from al_assets_tests.support.desk.answers import answer
from al_assets_tests.support.desk.clients import open_desk
from al_assets_tests.support.desk.proxies import HOST, Browser, caddy, nginx, shown, sign_in_service
from al_assets_tests.support.desk.rater_pages import Seen
from al_assets_tests.support.desk.serving import running

BEHIND = {"public_url": f"https://{HOST}", "trusted_proxies": ["127.0.0.1"]}
Proxy = Callable[[Path, int], AbstractContextManager[tuple[int, Path]]]


@dataclass(frozen=True)
class Behind:
    """A desk and the proxy before it."""

    desk: Desk
    port: int
    certificate: Path
    folder: Path

    def browser(self, source: str = "127.0.0.2") -> Browser:
        return Browser(self.port, self.certificate, source)

    def invite(self, name: str, role: Role = Role.RATER) -> str:
        return changes.invite(self.desk.people, self.desk.ledger, name, (role,), "the tests")


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    proxy: Proxy = request.param
    folder = tmp_path_factory.mktemp("proxy")
    with (
        open_desk(folder, f"sqlite:///{folder}/x.sqlite", desk=BEHIND) as desk,
        running(desk, ListenAt(port=0)) as port,
        proxy(folder, port) as (front, certificate),
    ):
        yield Behind(desk, front, certificate, folder)


def test_a_rater_comes_in_and_answers(behind: Behind) -> None:
    token = behind.invite("anna")
    with behind.browser() as anna:
        anna.join(token)
        (cookie,) = anna.client.cookies
        assert cookie.startswith("__Host-al-desk-")

        response = anna.get("/questions")
        assert "strict-transport-security" in response.headers
        seen = Seen(response.text)
        fields = {"answer": "positive", "turn": seen.turn, "seen": seen.seen}
        assert anna.submit(f"/questions/{seen.code}/answer", response.text, **fields).status_code == 303

    assert behind.desk.ledger.answers().select("rater", "label").rows() == [("anna", "positive")]
    assert token not in "".join(log.read_text() for log in behind.folder.glob("*.log"))


def test_events_pass_at_once(behind: Behind) -> None:
    token = behind.invite("addy", Role.ADJUDICATOR)
    with behind.browser() as addy:
        addy.join(token)
        with addy.events() as lines:
            while not next(lines).startswith("id: "):
                pass
            start = time.monotonic()
            answer(behind.desk, "item003", "ben", "negative")
            while next(lines) != "event: changed":
                pass
    assert time.monotonic() - start < HEARTBEAT_SECONDS


def test_who_guesses_is_known_by_their_own_address_whatever_they_say(behind: Behind) -> None:
    token = behind.invite("ben")
    with behind.browser("127.0.0.3") as guesser, behind.browser("127.0.0.4") as ben:
        for number in range(FAILURES_OF_ONE):
            forged = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            assert guesser.get("/join/guessed", **forged).status_code == 404
        assert guesser.get(f"/join/{token}", **{"X-Forwarded-For": "203.0.113.99"}).status_code == 429
        assert ben.get(f"/join/{token}").status_code == 200


def test_a_long_form_and_a_foreign_page_are_refused(behind: Behind) -> None:
    token = behind.invite("cleo")
    with behind.browser("127.0.0.5") as cleo:
        cleo.join(token)
        html = cleo.get("/questions").text
        code = Seen(html).code
        assert cleo.submit(f"/questions/{code}/answer", html, comment="x" * MAX_BODY).status_code == 413
        cleo.client.headers["Host"] = "evil.example"
        assert Seen(cleo.get("/questions").text).code is None


def test_nginx_asks_who_it_is_and_nobody_says_so_himself(tmp_path: Path) -> None:
    settings = {**BEHIND, "identity_header": "X-Forwarded-Email", "contact": "Ada <ada@example.org>"}
    people = {"ada": "ada@example.org", "eve": "eve@example.org", "nobody": ""}
    with (
        open_desk(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", desk=settings) as desk,
        running(desk, ListenAt(port=0)) as port,
        sign_in_service(people) as service,
        nginx(tmp_path, port, shown("nginx", 1), {"http://127.0.0.1:4180": f"http://127.0.0.1:{service}"}) as front,
    ):
        changes.invite(desk.people, desk.ledger, "ada@example.org", (Role.ADMIN,), "the tests")
        forged = {"X-Forwarded-Email": "ada@example.org", "X-Auth-Request-Email": "ada@example.org"}

        def page(path: str, who: str | None, **headers: str) -> tuple[int, str]:
            with Browser(*front) as browser:
                found = browser.get(path, **headers, **({"Cookie": f"who={who}"} if who else {}))
            return found.status_code, found.text

        assert page("/people", None, **forged) == (403, "sign in here")
        status, html = page("/people", "ada")
        assert (status, "ada@example.org" in html) == (200, True)
        for who in ("eve", "nobody"):
            status, html = page("/people", who, **forged)
            assert status in (401, 403)
            assert "sign in here" not in html
            assert "Ada &lt;ada@example.org&gt;" in html
        assert {name: bool(found.joined_at) for name in people.values() if (found := desk.people.member(name))} == {
            "ada@example.org": True
        }
