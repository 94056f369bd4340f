"""From the last vote in a browser to the next queue in it, with nothing in between but the loop itself."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from al_assets.demo.prepare import DemoSize
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.browser.desk_ui import RaterUi
from al_assets_tests.support.browser.window import CHROMIUM, chromium
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.services import running
from al_assets_tests.support.daemon.two_iterations import EVERY_MINUTE, RUN_SECONDS
from al_assets_tests.support.processes import wait_for, wait_until
from benchmarks.desk.desk_server import running_desk

pytestmark = [pytest.mark.daemon, pytest.mark.browser, pytest.mark.timeout(900)]

RATERS = ("ann", "ben")
QUEUE = 24
SEEN_WITHIN_SECONDS = 60.0


@dataclass
class Voted:
    """A loop whose first queue two raters have answered in their browsers.

    :param last_vote: when the page said that the last vote is saved, of ``time.time``.
    """

    deployment: Deployment
    windows: list[RaterUi]
    last_vote: float


@pytest.fixture(scope="module")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voted]:
    """Start everything, let the night open the loop, and answer its first queue by keyboard."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (Debian package chromium)")
    made = Deployment(
        tmp_path_factory.mktemp("desk"),
        DemoSize(items=300, budget=QUEUE, stop_set_size=50, student="linear", embedder="static"),
        {
            "automation": EVERY_MINUTE,
            "review": {"raters": list(RATERS), "votes_per_item": 2},
            "stopping": {"max_iterations": 3, "resamples": 200, "min_expert_kappa": 0},
        },
    )
    with running(made.services):
        made.services.start_without_daemon()
        made.services.daemon.start()
        wait_for("published queue", lambda: not made.queue("0000").is_empty(), RUN_SECONDS)
        with running_desk(made.demo.policy, made.folder / "desk.log") as desk, chromium() as browser:
            windows = join(made, desk.address, browser)
            answer_everything(made, windows)
            yield Voted(made, windows, time.time())


def join(made: Deployment, address: str, browser: Browser) -> list[RaterUi]:
    with Ledger.of(made.policy) as ledger, PeopleStore.of(made.policy) as people:
        tokens = [changes.invite(people, ledger, name, (Role.RATER,), "the tests") for name in RATERS]
    return [RaterUi.join(browser, address, token) for token in tokens]


def answer_everything(made: Deployment, windows: list[RaterUi]) -> None:
    """Answer as the simulated experts would, in turns."""
    votes = made.votes()
    by_text = {text: votes[item] for item, text in made.queue("0000").select("item_id", "text").iter_rows()}
    for number in range(1, QUEUE + 1):
        for place, window in enumerate(windows):
            window.expect_number(number)
            window.press("y" if by_text[window.text][place] else "n")
    for window in windows:
        window.page.get_by_role("heading", name="Nothing waits for you").wait_for()


def test_the_last_vote_in_the_browser_brings_the_next_queue_into_it(voted: Voted) -> None:
    made = voted.deployment
    for window in voted.windows:
        window.take_new_questions(RUN_SECONDS)
        # What the round before asked is counted too.
        window.expect_number(QUEUE + 1)

    def statuses() -> list[str]:
        runs = [run for run in made.services.webserver.runs() if "al/job" in run.tags]
        by_job = {(run.iteration, run.tags["al/job"]): run.status for run in runs}
        return [by_job["0000", "learn"], by_job["0001", "curate"]]

    # The queue is published before its run ends.
    assert wait_until(lambda: statuses() == ["SUCCESS", "SUCCESS"], RUN_SECONDS), statuses()
    queued = made.queue("0001")
    assert queued.height == QUEUE
    assert {window.text for window in voted.windows} <= set(queued["text"])
    assert [window.noise for window in voted.windows] == [[], []]


def test_every_vote_is_on_record_once_and_blind(voted: Voted) -> None:
    history = voted.deployment.history().filter(iteration="0000")

    assert history.height == len(RATERS) * QUEUE
    assert set(history["rater"]) == set(RATERS)
    assert set(history["source"]) == {"desk"}
    assert history["blind"].all()
    assert not history.select("item_id", "rater").is_duplicated().any()


def test_the_sensor_saw_the_last_vote_within_seconds(voted: Voted) -> None:
    made = voted.deployment
    (learning,) = made.services.webserver.runs(**{"dagster/partition": "0000", "al/job": "learn"})

    assert learning.created - voted.last_vote < SEEN_WITHIN_SECONDS
