from collections.abc import Iterator

import pytest

from al_assets.demo.prepare import DemoSize
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.services import running
from al_assets_tests.support.daemon.two_iterations import EVERY_MINUTE, RUN_SECONDS, ended
from al_assets_tests.support.processes import wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(900)]

ITEMS = 10
"""Check items, of a queue of 30."""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A loop of one iteration whose experts answered the queue and then the check items."""
    made = Deployment(
        tmp_path_factory.mktemp("checking"),
        DemoSize(items=300, budget=30, stop_set_size=100, student="linear", embedder="static"),
        {
            "automation": EVERY_MINUTE,
            "stopping": {"check_items": ITEMS, "max_iterations": 1, "resamples": 200, "min_expert_kappa": 0},
        },
    )
    with running(made.services):
        made.services.start_without_daemon()
        made.services.daemon.start()
        wait_for("published queue", lambda: not made.queue("0000").is_empty(), RUN_SECONDS)
        made.drop("0000")
        wait_for("learned", lambda: ended(made, "0000", "learn", 1), RUN_SECONDS)
        wait_for("told that it is checking", lambda: _skipped(made).endswith("0 of 10 check items complete"), 60)
        made.drop("0000")
        wait_for("reported", lambda: ended(made, "0000", "report", 1), RUN_SECONDS)
        wait_for("the end", lambda: "the loop has ended" in _skipped(made), RUN_SECONDS)
        yield made


def test_the_daemon_takes_an_iteration_through_its_third_state(checked: Deployment) -> None:
    runs = sorted(checked.services.webserver.runs(), key=lambda run: run.started or 0)
    assert [(run.status, run.tags["al/run_key"]) for run in runs] == [
        ("SUCCESS", "0000/curate/0"), ("SUCCESS", "0000/learn/0"), ("SUCCESS", "0000/report/0"),
    ]  # fmt: skip
    assert checked.queue("0000").filter(reason="check").height == ITEMS
    report = checked.root.read_table("kappa_report", "0000")
    assert report.filter(figure="labels")["estimate"].to_list() == [30 + ITEMS]
    assert report["verdict"].unique().to_list() == ["budget spent"]


def test_what_the_report_made_again_is_not_out_of_date(checked: Deployment) -> None:
    assert checked.mart("staleness").filter("out_of_date").is_empty()


def _skipped(deployment: Deployment) -> str:
    ticks = deployment.services.webserver.sensor_ticks()
    return (ticks[0].skip_reason or "") if ticks else ""
