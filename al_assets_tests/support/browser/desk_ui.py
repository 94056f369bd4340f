"""The review desk in a real browser, used as a rater would: a real server behind it, keys in front of it."""

import contextlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import uvicorn
from playwright.sync_api import Browser, BrowserContext, expect
from starlette.applications import Starlette

from al_assets.review.desk.shell.server import ListenAt, bound_socket
from al_assets_tests.support.browser.window import STEP_SECONDS, Window
from al_assets_tests.support.desk.serving import in_a_thread

DESKTOP, PHONE = (1280, 900), (360, 740)


@contextlib.contextmanager
def serve(app: Starlette) -> Iterator[str]:
    """Serve an application on the loopback interface and yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    with in_a_thread(server, bound_socket(ListenAt(port=0))) as port:
        yield f"http://127.0.0.1:{port}"


class RaterUi(Window):
    """A rater's window on the desk."""

    @classmethod
    def join(
        cls,
        browser: Browser,
        address: str,
        token: str,
        size: tuple[int, int] = DESKTOP,
        *,
        number: int = 1,
        **context: Any,
    ) -> "RaterUi":
        """Come in by a personal link, as invited, and wait for the question of a number."""
        opened: BrowserContext = browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
        found = cls(opened.new_page(), address)
        found.page.goto(f"{address}/join/{token}")
        found.page.locator("main button[type=submit]").click()
        found.expect_number(number)
        return found

    def expect_number(self, number: int) -> None:
        """Wait until the question of this number is there and takes keys."""
        expect(self.page.locator(".number-of")).to_have_text(f"Question {number}")
        self._expect_ready()

    def expect_done(self) -> None:
        """Wait until nothing is left and the page looks for new questions by itself."""
        expect(self.page.get_by_role("heading", name="Nothing waits for you")).to_be_focused()
        self._expect_ready()

    def take_new_questions(self, within_seconds: float = STEP_SECONDS) -> None:
        """Wait until the page says that there are new questions, and go on to them by keyboard."""
        news = self.page.get_by_role("heading", name="New questions are here")
        expect(news).to_be_visible(timeout=within_seconds * 1000)
        self._expect_ready()
        self.press("g")

    def _expect_ready(self) -> None:
        # Keys pressed right after a swap are dropped, as they were meant for what stood there before.
        expect(self.page.locator("#stage")).to_have_attribute("data-ready", "yes")

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def text(self) -> str:
        """The text of the question."""
        return self.page.locator("#item-text").inner_text()

    @property
    def said(self) -> str:
        """What the page says about what was done last."""
        return self.page.locator("#said").inner_text()

    @property
    def focused(self) -> str:
        """The id of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def violations(self) -> list[str]:
        """Return what axe finds wrong with the page as it is now."""
        if not self.page.evaluate("'axe' in window"):
            # The page's policy forbids scripts of others; the browser's own console may run them all the same.
            self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = self.page.evaluate("tags => axe.run({runOnly: tags})", tags)
        # Axe leaves empty style attributes behind, and htmx would copy them, which the policy forbids.
        self.page.evaluate("document.querySelectorAll('[style]').forEach(each => each.removeAttribute('style'))")
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
