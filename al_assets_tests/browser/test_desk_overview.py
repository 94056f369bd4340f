"""Adjudication, a proposal and the dashboard in a real browser."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Protocol

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from al_assets.review.desk.people import changes
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.browser.desk_ui import DESKTOP, PHONE, RaterUi, serve
from al_assets_tests.support.desk.answers import SCRIPT, answer, disagree
from al_assets_tests.support.desk.clients import open_desk
from al_assets_tests.support.ledger import items, queue_frame

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


class Join(Protocol):
    def __call__(
        self, role: Role, size: tuple[int, int] = DESKTOP, scheme: Literal["light", "dark"] = "light"
    ) -> RaterUi: ...


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    texts = pl.Series("text", [f"{SCRIPT} remark {number} " + "and on " * 300 * (number == 2) for number in range(12)])
    queue = queue_frame(items(12)).with_columns(texts)
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite", queue) as made:
        yield made


@pytest.fixture
def address(desk: Desk) -> Iterator[str]:
    with serve(make_app(desk)) as found:
        yield found


@pytest.fixture
def join(browser: Browser, desk: Desk, address: str) -> Iterator[Join]:
    """Come in by a personal link as somebody who is no rater; every window is closed before the server stops."""
    with ExitStack() as stack:

        def join(role: Role, size: tuple[int, int] = DESKTOP, scheme: Literal["light", "dark"] = "light") -> RaterUi:
            opened = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            stack.callback(opened.close)
            found = RaterUi(opened.new_page(), address)
            token = changes.invite(desk.people, desk.ledger, role.name.lower(), (role,), "the tests")
            found.page.goto(f"{address}/join/{token}")
            found.page.locator("main button[type=submit]").click()
            found.page.wait_for_url(lambda url: "/join/" not in url)
            return found

        yield join


def left(page: Page, number: int) -> None:
    """Wait until so many items are left, and the page takes keys."""
    expect(page.locator(".tally strong").first).to_have_text(str(number))
    expect(page.locator("#stage")).to_have_attribute("data-ready", "yes")


def test_disagreements_are_settled_by_keyboard(join: Join, desk: Desk, address: str) -> None:
    disagree(desk, "item000", "item001", "item002")
    ui = join(Role.ADJUDICATOR)
    page = ui.page
    page.goto(f"{address}/adjudication")
    left(page, 3)
    assert ui.violations() == []
    first = page.locator(".item .text").last.inner_text()
    ui.press("s")
    expect(page.locator(".item .text").last).not_to_have_text(first)
    left(page, 3)
    ui.press("k")
    page.keyboard.type("yn: neither is said")
    ui.press("Escape", "g")
    left(page, 2)
    ui.press("y")
    left(page, 1)
    assert page.locator(".item .text").last.inner_text() == first
    ui.press("2")
    expect(page.locator("h2")).to_have_text("Nothing waits for a decision")
    assert ui.violations() == []
    rows = desk.ledger.adjudications().select("label", "comment").rows()
    assert rows == [("guideline gap", "yn: neither is said"), ("positive", None), ("negative", None)]
    # The page that has nothing left finds the next one by itself.
    disagree(desk, "item003")
    expect(page.locator(".opinion")).to_have_count(2)
    assert SCRIPT in page.locator("main").inner_text()
    page.goto(f"{address}/adjudication/decided")
    assert ui.violations() == []
    page.get_by_role("link", name="Look at it or change it").first.click()
    assert ui.violations() == []
    assert (ui.noise, ui.strangers) == ([], [])


def test_a_version_is_proposed_and_its_changes_can_be_read(join: Join, desk: Desk, address: str) -> None:
    answer(desk, "item000", "anna", "undecided", undecided_reason="ambiguous policy", comment=f"a gift? {SCRIPT}")
    ui = join(Role.POLICY_OWNER, PHONE)
    page = ui.page
    page.goto(f"{address}/policy")
    expect(page.locator(".comments li")).to_have_text(f"a gift? {SCRIPT}")
    assert (ui.violations(), ui.overflow()) == ([], 0)
    page.get_by_role("link", name="Propose a new version").click()
    page.get_by_label("Guideline").fill("Spam sells things; a gift is no spam.")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.locator("#preview ins")).to_contain_text("a gift is no spam.")
    assert (ui.violations(), ui.overflow()) == ([], 0)
    page.get_by_role("button", name="Propose version").click()
    expect(page.locator("h1")).to_contain_text("Version 2")
    assert "guideline: Spam sells things; a gift is no spam." in page.locator(".yaml").inner_text()
    assert (ui.violations(), ui.overflow()) == ([], 0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "a gift is no spam" in Path(download.value.path()).read_text()
    assert (ui.noise, ui.strangers) == ([], [])


def test_the_dashboard_follows_the_votes(join: Join, desk: Desk, address: str) -> None:
    ui = join(Role.ADMIN, scheme="dark")
    page = ui.page
    page.goto(f"{address}/dashboard")
    given = page.locator(".facts dd").first
    expect(given).to_have_text("0")
    assert ui.violations() == []
    page.get_by_text("The same as a table").click()
    summary = page.locator("#hours-summary-0000")
    summary.focus()
    page.evaluate("window.untouched = true")
    for number in range(12):
        disagree(desk, f"item{number:03d}") if number % 3 == 0 else agree(desk, f"item{number:03d}")
    expect(given).to_have_text("24")
    expect(page.locator(".completion strong")).to_have_text("12")
    expect(page.locator("#agreement .figure strong").first).not_to_have_text("–")
    expect(page.locator("#agreement .line strong")).to_have_text("4")
    expect(page.locator("#raters tbody tr").first.locator("td").first).to_have_text("12")
    expect(page.locator(".hours table")).to_be_visible()
    assert page.evaluate("window.untouched") is True
    assert ui.violations() == []
    assert (ui.noise, ui.strangers) == ([], [])
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert ui.overflow() == 0


def agree(desk: Desk, item: str) -> None:
    for rater in ("anna", "ben"):
        answer(desk, item, rater, "positive" if int(item[-3:]) % 2 else "negative")
