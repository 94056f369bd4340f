"""Retake the pictures of the review desk: ``python -m al_assets_tests.support.browser.desk_pictures FOLDER``.

FOLDER holds a prepared demo of the desk (``al demo-desk --folder FOLDER``). It is copied, never changed. The part of
"you" is played by the third simulated expert.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from al_assets.config import Policy, load_policy
from al_assets.demo.by_hand import YOU
from al_assets.demo.prepare import DemoSize, demo_texts
from al_assets.demo.vader import expert_votes
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.browser.desk_ui import DESKTOP, PHONE, RaterUi
from al_assets_tests.support.browser.walkthrough_pictures import IMAGES
from al_assets_tests.support.browser.window import chromium, save_picture
from benchmarks.desk.desk_server import running_desk

QUEUE = 150
SETTLE_MS = 800
LOOK_MS = 15_000
"""Until the dashboard knows what the loop waits for."""


def take_all(folder: Path, images: Path) -> None:
    """Take every picture of the desk."""
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(folder, Path(scratch) / "demo")
        policy = load_policy(copy / "policy.yaml")
        with running_desk(copy / "policy.yaml", copy / "desk.log") as desk, chromium() as browser:
            you = RaterUi.join(browser, desk.address, link(policy, YOU, Role.RATER))
            answer(you, policy, range(1, 13))
            take(you.page, images / "desk-question.png")
            phone = RaterUi.join(
                browser, desk.address, link(policy, YOU, Role.RATER), PHONE, number=13, color_scheme="dark"
            )
            phone.press("c")
            take(phone.page, images / "desk-phone.png")
            you.page.reload()
            answer(you, policy, range(13, QUEUE + 1))
            for name, role, path in (
                ("adjudication", Role.ADJUDICATOR, "/adjudication"),
                ("dashboard", Role.ADMIN, "/dashboard"),
            ):
                page = sign_in(browser, desk.address, link(policy, name, role))
                page.goto(desk.address + path)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(LOOK_MS if name == "dashboard" else SETTLE_MS)
                page.reload()
                page.wait_for_load_state("networkidle")
                take(page, images / f"desk-{name}.png", whole=name == "dashboard")


def link(policy: Policy, name: str, role: Role) -> str:
    """Return the token of an invitation."""
    with Ledger.of(policy) as ledger, PeopleStore.of(policy) as people:
        return changes.invite(people, ledger, name, (role,), "the pictures")


def sign_in(browser: Browser, address: str, token: str) -> Page:
    """Open a window of somebody who is no rater."""
    page = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}).new_page()
    page.goto(f"{address}/join/{token}")
    page.locator("main button[type=submit]").click()
    page.wait_for_load_state("networkidle")
    return page


def answer(window: RaterUi, policy: Policy, numbers: Iterable[int]) -> None:
    """Answer the questions of some numbers as the simulated expert would."""
    votes = by_text(policy)
    for number in numbers:
        window.expect_number(number)
        window.press("y" if votes[window.text] else "n")
    expect(window.page.locator("#said")).to_contain_text("Saved")


def by_text(policy: Policy) -> Mapping[str, bool]:
    """Return the first simulated expert's vote on each text of the queue."""
    votes = expert_votes(demo_texts(DemoSize()), len(policy.review.raters))
    with Ledger.of(policy) as ledger:
        queue = ledger.queue()
    return {text.strip(): votes[item][0] == 1 for item, text in queue.select("item_id", "text").iter_rows()}


def take(page: Page, file: Path, *, whole: bool = False) -> None:
    """Take a picture of the window, or of the whole page."""
    page.wait_for_timeout(SETTLE_MS)
    save_picture(page, file, whole=whole)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    take_all(arguments.folder, arguments.images)
