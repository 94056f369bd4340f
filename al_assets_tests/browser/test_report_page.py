"""The report's page in a real Chromium, as a file on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from al_assets.report.html_page import write_report
from al_assets.report.iteration_tables import read_tables
from al_assets.report.sentences import verdict_sentence
from al_assets_tests.support.browser.window import CHROMIUM, FLAGS
from al_assets_tests.support.finished_run import SCRIPT, small_world, write_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PICTURES = 6
Scheme = Literal["light", "dark"]


@dataclass
class Opened:
    """A page with all that it asked for and complained of.

    :param requests: addresses asked for, the file's own included.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._note_dialog)

    def _note_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A report's file and the verdict it should begin with."""
    folder = tmp_path_factory.mktemp("report")
    policy = write_run(folder / "run", small_world())
    return write_report(policy, None, folder / "report.html"), verdict_sentence(read_tables(policy).report)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def _open(chromium: Browser, file: Path, width: int = 1280, scheme: Scheme = "light", script: bool = True) -> Opened:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
    )
    opened = Opened(context.new_page())
    opened.page.goto(file.as_uri())
    return opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_file_shows_verdict_and_pictures_and_asks_for_nothing_else(
    chromium: Browser, report: tuple[Path, str], width: int, scheme: Scheme
) -> None:
    file, verdict = report
    opened = _open(chromium, file, width, scheme)
    assert opened.page.locator(".verdict").inner_text() == verdict
    boxes = [each.bounding_box() for each in opened.page.locator("figure svg").all()]
    assert len(boxes) == PICTURES
    assert all(box is not None and box["width"] > 250 and box["height"] > 100 for box in boxes)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert SCRIPT in opened.page.locator("body").inner_text()
    assert opened.requests == [file.as_uri()]
    assert opened.complaints == []
    opened.page.context.close()


def test_dark_and_light_differ_and_text_stands_out_in_both(chromium: Browser, report: tuple[Path, str]) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        opened = _open(chromium, report[0], scheme=scheme)
        ground, ink = opened.page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        drawn = opened.page.locator("figure svg text").first.evaluate("each => getComputedStyle(each).fill")
        assert drawn == ink
        assert abs(_brightness(ground) - _brightness(ink)) > 0.6
        shades[scheme] = _brightness(ground)
        opened.page.context.close()
    assert shades["light"] > 0.8
    assert shades["dark"] < 0.2


def test_the_page_needs_no_script(chromium: Browser, report: tuple[Path, str]) -> None:
    opened = _open(chromium, report[0], script=False)
    assert opened.page.locator("details[open]").count() == opened.page.locator("details").count() > 3
    opened.page.context.close()


def test_a_figures_name_leads_to_what_it_means(chromium: Browser, report: tuple[Path, str]) -> None:
    opened = _open(chromium, report[0])
    link = opened.page.locator("a", has_text="expert-expert kappa").first
    assert "How far two experts agree" in str(link.get_attribute("title"))
    link.click()
    assert opened.page.url.endswith("#expert_expert_kappa")
    opened.page.context.close()


def test_it_prints_on_paper(chromium: Browser, report: tuple[Path, str]) -> None:
    opened = _open(chromium, report[0], scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.pdf(format="A4").startswith(b"%PDF")
    opened.page.context.close()


def _brightness(colour: str) -> float:
    red, green, blue = (int(each) for each in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
