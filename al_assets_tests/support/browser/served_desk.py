"""A desk on a real server with a queue of its own, for tests in a browser."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from playwright.sync_api import Browser

from al_assets.review.desk.people import changes
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.browser.desk_ui import DESKTOP, RaterUi, serve
from al_assets_tests.support.desk.clients import open_desk
from al_assets_tests.support.ledger import items, queue_frame

POLICY = {
    "name": "spam",
    "question": "Is this remark spam?",
    "guideline": "Spam sells something\nto people who did not ask.\n\n- An offer is spam.\n- News are not.",
    "labels": {"positive": "spam, clearly so", "negative": "not spam", "undecided": "cannot decide"},
    "examples": [{"text": "Buy now!", "label": "positive", "why": "an offer"}],
}


@dataclass
class Served:
    """A desk behind a real server, and the browser in which its raters come."""

    desk: Desk
    address: str
    browser: Browser

    def join(self, name: str, size: tuple[int, int] = DESKTOP, **context: Any) -> RaterUi:
        """Invite a rater and let him come in."""
        token = changes.invite(self.desk.people, self.desk.ledger, name, (Role.RATER,), "the tests")
        return RaterUi.join(self.browser, self.address, token, size, **context)

    def answers(self, rater: str) -> dict[str, str]:
        """Return what a rater answered that counts, by the items' texts."""
        found = self.desk.ledger.answers().filter(pl.col("rater") == rater)
        return dict(found.select("text", "label").iter_rows())


@contextmanager
def serving(
    browser: Browser, folder: Path, texts: list[str], raters: Sequence[str] = ("anna", "ben")
) -> Iterator[Served]:
    """Publish texts and serve their desk."""
    queue = queue_frame(items(len(texts))).with_columns(text=pl.Series(texts))
    review = {"raters": raters, "deadline_hours": 72}
    with (
        open_desk(folder, f"sqlite:///{folder}/ledger.sqlite", queue, policy=POLICY, review=review) as desk,
        serve(make_app(desk)) as address,
    ):
        yield Served(desk, address, browser)


def remarks(count: int) -> list[str]:
    """Return some texts that all differ."""
    return [f"Remark number {number}" for number in range(count)]
