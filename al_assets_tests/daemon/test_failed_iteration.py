from collections.abc import Iterator

import pytest

from al_assets.demo.prepare import DemoSize
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.services import running
from al_assets_tests.support.daemon.two_iterations import EVERY_MINUTE, RUN_SECONDS, end_of
from al_assets_tests.support.daemon.webserver import ASSET_JOB
from al_assets_tests.support.processes import wait_for

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def failed_learning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A loop that the schedule started and whose experts found nothing but negatives: there is nothing to learn."""
    made = Deployment(
        tmp_path_factory.mktemp("failing"),
        DemoSize(items=300, budget=30, stop_set_size=50, student="linear", embedder="static"),
        {"automation": {**EVERY_MINUTE, "max_attempts": 2}},
    )
    # With one the student would be what LLM-0 taught.
    made.edit_policy(student={"head_start": "none"})
    with running(made.services):
        made.services.start_without_daemon()
        made.services.daemon.start()
        wait_for("published queue", lambda: not made.queue("0000").is_empty(), RUN_SECONDS)
        made.drop_one_sided("0000")
        wait_for("blocked loop", lambda: _is_blocked(made), 2 * RUN_SECONDS)
        yield made


def test_schedule_starts_the_loop_and_failures_are_tried_again_up_to_the_limit(failed_learning: Deployment) -> None:
    curated, *learned = failed_learning.services.webserver.runs()

    assert (curated.status, curated.tags["al/run_key"]) == ("SUCCESS", "0000/curate/0")
    assert curated.tags["dagster/schedule_name"] == "nightly"
    assert [(run.status, run.tags["al/run_key"]) for run in learned] == [
        ("FAILURE", "0000/learn/0"), ("FAILURE", "0000/learn/1"),
    ]  # fmt: skip
    assert "a student needs texts of both labels" in failed_learning.services.webserver.failures(learned[-1].run_id)


def test_iteration_refuses_to_start_on_a_failed_one(failed_learning: Deployment) -> None:
    webserver = failed_learning.services.webserver
    webserver.add_iteration("0001")
    refused = end_of(failed_learning, webserver.launch(ASSET_JOB, "0001", ("incumbent_model",)))

    assert refused.status == "FAILURE"
    assert "iteration 0001: iteration 0000 has no kappa report yet; finish it first" in webserver.failures(
        refused.run_id
    )
    assert not failed_learning.root.has_table("incumbent_model", "0001")


def _is_blocked(deployment: Deployment) -> bool:
    ticks = deployment.services.webserver.sensor_ticks()
    return bool(ticks) and "failed 2 times in a row" in (ticks[0].skip_reason or "")
