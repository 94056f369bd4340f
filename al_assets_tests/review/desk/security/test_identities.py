"""Identity by the word of a proxy, and addresses past it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from al_assets.config import DeskSettings
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.records import AuditFilter, DeskMember
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.security.addresses import Addresses, limited_as
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import DeskClient, client_of, open_desk, running_app

PROXY = "10.1.2.3"
SETTINGS: dict[str, Any] = {
    "public_url": "https://desk.example.org", "identity_header": "X-Forwarded-User", "trusted_proxies": ["10.1.2.0/24"],
    "contact": "Ada <ada@example.org>",
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", desk=SETTINGS) as made:
        changes.invite(made.people, made.ledger, "ada@example.org", ["admin"], "root")
        changes.invite(made.people, made.ledger, "Zoë", ["rater"], "root")
        yield made


@pytest.fixture
def app(desk: Desk) -> Iterator[Starlette]:
    with running_app(desk) as made:
        yield made


def asked(app: Starlette, path: str, *names: str, peer: str = PROXY, **more: Any) -> Any:
    client = DeskClient(app, "https://desk.example.org")
    client._transport.client = (peer, 1)  # type: ignore[attr-defined]
    headers = [("X-Forwarded-User", name.encode()) for name in names]
    return client.request(more.pop("method", "GET"), path, headers=[*headers, *more.pop("headers", [])], **more)


def test_a_trusted_proxy_says_who_it_is(app: Starlette, desk: Desk) -> None:
    page = asked(app, "/people", "ada@example.org")
    assert page.status_code == 200
    assert "/sign-out" not in page.text, "somebody else signs people out"
    assert "set-cookie" not in page.headers
    assert asked(app, "/", "Zoë").headers["location"] == "/questions"
    joined = desk.people.member("Zoë")
    assert joined is not None
    assert joined.joined_at is not None
    asked(app, "/", "Zoë")
    (entry,) = desk.people.audit_log(AuditFilter(act="sign in", subject="Zoë"))
    assert (entry.by, entry.detail) == ("Zoë", "as rater, for the first time, by the word of a proxy")


@pytest.mark.parametrize("name", ["nobody", "ADA@example.org", "ada", "an\u202ena", ""])
def test_whom_nobody_knows_is_told_whom_to_ask(app: Starlette, name: str) -> None:
    page = asked(app, "/people", name)
    assert page.status_code == 403
    assert "Ada &lt;ada@example.org&gt;" in page.text
    assert name == "" or f">{name}<" not in page.text


def test_others_are_not_believed(app: Starlette) -> None:
    for peer in ("127.0.0.1", "10.1.3.3", "::1", "testclient"):
        assert asked(app, "/people", "ada@example.org", peer=peer).status_code == 403
        assert asked(app, "/", "ada@example.org", peer=peer).status_code == 403
        forwarded = [("X-Forwarded-For", PROXY)]
        assert asked(app, "/people", "ada@example.org", peer=peer, headers=forwarded).status_code == 403


def test_a_first_visit_counts_with_the_roles_of_that_moment(desk: Desk) -> None:
    class Overtaken(PeopleStore):
        def member(self, name: str) -> DeskMember | None:
            before = super().member(name)
            desk.people.change_roles(name, ["rater"], "ada")
            return before

    desk.people.invite("kim", ["adjudicator"], "root")
    with Overtaken.of(desk.policy) as people:
        found = people.identified("kim")
    assert found is not None
    assert found.roles == {Role.RATER}, "no page of an adjudicator was shown to a rater"


@pytest.mark.parametrize(
    ("public_url", "origin", "is_own"),
    [
        ("https://desk.example.org:443", "https://desk.example.org", True),
        ("https://desk.example.org", "https://desk.example.org:443", True),
        ("https://desk.example.org:8443", "https://desk.example.org:8443", True),
        ("https://desk.example.org:8443", "https://desk.example.org", False),
        ("https://desk.example.org", "https://desk.example.org.evil", False),
        ("https://desk.example.org", "https://evil@desk.example.org", False),
        ("https://desk.example.org", "null", False),
        (None, "http://127.0.0.1:8200", True),
        (None, "https://127.0.0.1:8200", False),
        (None, "http://127.0.0.1", False),
    ],
)
def test_an_origin_is_the_desks_own_whether_or_not_the_usual_port_is_said(
    public_url: str | None, origin: str, is_own: bool
) -> None:
    connection = HTTPConnection({"type": "http", "scheme": "http", "headers": [(b"host", b"127.0.0.1:8200")]})
    assert Addresses(DeskSettings(public_url=public_url)).is_own_origin(connection, origin) is is_own


def test_two_names_are_none(app: Starlette) -> None:
    assert asked(app, "/people", "Zoë", "ada@example.org").status_code == 400


def test_without_the_setting_the_header_means_nothing(tmp_path: Path) -> None:
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/y.sqlite", desk={"trusted_proxies": [PROXY]}) as desk:
        desk.people.invite("ada", ["admin"], "root")
        with running_app(desk) as app:
            client = DeskClient(app)
            client._transport.client = (PROXY, 1)  # type: ignore[attr-defined]
            assert client.get("/people", headers={"X-Forwarded-User": "ada"}).status_code == 401


def test_forms_are_bound_to_the_identity(app: Starlette, desk: Desk) -> None:
    ada = app.state.cookies.csrf("identity\0ada@example.org")
    other = app.state.cookies.csrf("identity\0Zoë")
    fields = {"name": "Zoë"}
    for csrf, status in ((ada, 200), (other, 403), ("", 403)):
        form = {**fields, "csrf": csrf}
        assert asked(app, "/people/link", "ada@example.org", method="POST", data=form).status_code == status
    evil = [("Origin", "https://evil.example")]
    refused = asked(app, "/people/link", "ada@example.org", method="POST", data={**fields, "csrf": ada}, headers=evil)
    assert refused.status_code == 403
    own = [("Origin", "https://desk.example.org")]
    taken = asked(app, "/people/link", "ada@example.org", method="POST", data={**fields, "csrf": ada}, headers=own)
    assert taken.status_code == 200


def test_the_identity_goes_before_a_cookie(app: Starlette, desk: Desk) -> None:
    eve = client_of(app, desk, "eve", Role.ADMIN, origin="https://desk.example.org")
    assert eve.get("/people").status_code == 200
    eve._transport.client = (PROXY, 1)  # type: ignore[attr-defined]
    assert eve.get("/people", headers=[(b"X-Forwarded-User", "Zoë".encode())]).status_code == 404


def test_a_link_is_not_used_up_by_who_needs_none(app: Starlette, desk: Desk) -> None:
    token = desk.people.invite("Zoë", None, "root")
    assert asked(app, f"/join/{token}", "Zoë").headers["location"] == "/"
    form = {"csrf": app.state.cookies.csrf("identity\0Zoë")}
    assert asked(app, f"/join/{token}", "Zoë", method="POST", data=form).headers["location"] == "/"
    assert desk.people.invitation(token) is not None


def test_who_is_deactivated_is_out_at_once(app: Starlette, desk: Desk) -> None:
    assert asked(app, "/questions", "Zoë").status_code == 200
    form = {"csrf": app.state.cookies.csrf("identity\0ada@example.org"), "name": "Zoë", "sure": "yes"}
    assert asked(app, "/people/deactivate", "ada@example.org", method="POST", data=form).status_code == 303
    assert asked(app, "/questions", "Zoë").status_code == 403


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["1.1.1.1", "203.0.113.9, 10.1.2.4"], "203.0.113.9"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", [" "], "10.1.2.3"),
        ("198.51.100.7", ["1.1.1.1"], "198.51.100.7"),
        ("::ffff:10.1.2.3", ["1.1.1.1"], "1.1.1.1"),
        ("10.1.2.3", ["1.1.1.1, 10.1.2.4:80"], "1.1.1.1"),
        ("10.1.2.3", ["<script>"], "<script>"),
    ],
)
def test_the_address_is_the_one_that_the_last_trusted_proxy_saw(peer: str, forwarded: list[str], client: str) -> None:
    headers = Headers(raw=[(b"x-forwarded-for", each.encode()) for each in forwarded])
    connection = HTTPConnection({"type": "http", "client": (peer, 1), "headers": headers.raw})
    assert Addresses(DeskSettings(trusted_proxies=("10.1.2.0/24",))).client(connection) == client


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("<script>", "unknown"), ("", "unknown"),
        ("203.0.113.9:5678", "203.0.113.9"), ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_of_ipv6_the_network_is_counted(address: str, counted: str) -> None:
    assert limited_as(address) == counted


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"identity_header": "X-User"}, "believed from nobody"),
        ({"trusted_proxies": ["proxy"]}, "no address or network"),
        ({"public_url": "http://desk.example.org"}, "unencrypted"),
        ({"public_url": "desk.example.org"}, "https://HOST"),
        ({"public_url": "https://desk.example.org/path"}, "without a path"),
        ({"public_url": "https://h:x"}, "no address"),
        ({"public_url": "https://münchen.example"}, "xn--"),
        ({"public_url": "https://a b.example"}, "in ASCII"),
        ({"identity_header": "X User"}, "identity_header"),
    ],
)
def test_settings_that_would_not_be_safe_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeskSettings.model_validate(settings)
