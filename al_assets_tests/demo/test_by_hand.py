from collections import Counter

import polars as pl
import pytest
from starlette.testclient import TestClient

from al_assets.config import load_policy
from al_assets.demo.by_hand import YOU, DeskDemo, prepare_desk_demo
from al_assets.demo.prepare import DemoSize
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Ledger

pytestmark = pytest.mark.slow
SIZE = DemoSize(items=400, budget=30, stop_set_size=60, student="linear", embedder="static")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DeskDemo:
    """The demo by hand, prepared twice."""
    folder = tmp_path_factory.mktemp("by_hand")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # Preparing names its Dagster home for this process and for those it starts.
        patch.setenv("DAGSTER_HOME", str(folder))
        prepare_desk_demo(folder, SIZE, said.append)
        again = prepare_desk_demo(folder, SIZE, said.append)
    assert [line for line in said if "simulated experts" in line] == [
        "iteration 0000: 2 simulated experts answer 30 items; the third is you"
    ]
    return again


def test_every_item_waits_for_you_alone(made: DeskDemo) -> None:
    with Ledger.of(load_policy(made.folder.policy)) as ledger:
        votes = ledger.votes()
        progress = ledger.progress("0000", 3)

    assert Counter(votes["rater"]) == {"simulated_2": 30, "simulated_3": 30}
    assert {rater: len(items) for rater, items in progress.open_items.items()} == {
        YOU: 30, "simulated_2": 0, "simulated_3": 0,
    }  # fmt: skip
    assert votes.filter(pl.col("source").str.starts_with("file:")).height == 60


def test_your_link_leads_to_the_first_question(made: DeskDemo) -> None:
    policy = load_policy(made.folder.policy)
    with Ledger.of(policy) as ledger, PeopleStore.of(policy) as people:
        app = make_app(Desk(policy, ledger, people, bytes(32)))
        with TestClient(app, base_url="http://127.0.0.1:8200") as browser:
            csrf = browser.get(made.links[YOU]).text.partition('name="csrf" value="')[2].partition('"')[0]
            browser.post(made.links[YOU], data={"csrf": csrf})
            page = browser.get("/questions").text

    assert "strongly negative" in page.lower()
    assert "Question 1" in page
    assert "simulated_2" not in page
