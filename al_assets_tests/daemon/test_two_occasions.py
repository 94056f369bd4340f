from typing import Any

import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from al_assets.automation import requests
from al_assets.automation.requests import decide
from al_assets.automation.state import Action, Occasion
from al_assets.partitions import PARTITIONS_NAME, Job
from al_assets_tests.support.small_loop import MakeLoop, SmallLoop


@pytest.fixture
def begun(make_loop: MakeLoop) -> SmallLoop:
    """A loop whose first partition was added and that has no run yet: sensor and schedule both want its curate run."""
    loop = make_loop()
    loop.instance.add_dynamic_partitions(PARTITIONS_NAME, ["0000"])
    return loop


@pytest.mark.parametrize(("first", "second"), [tuple(Occasion), tuple(reversed(Occasion))])
def test_what_one_occasion_has_just_asked_for_the_other_waits_for(
    begun: SmallLoop, first: Occasion, second: Occasion
) -> None:
    asked, waited = (decide(begun.instance, begun.loop, each) for each in (first, second))

    assert (asked.action, asked.job, asked.iteration) == (Action.RUN, Job.CURATE, "0000")
    assert (waited.action, waited.job, waited.iteration) == (Action.WAIT, Job.CURATE, "0000")
    assert first in waited.reason
    # Asking again is how a daemon that was killed before the run was there goes on; its run key makes it one run.
    assert decide(begun.instance, begun.loop, first) == asked


def test_a_request_of_which_no_run_came_is_forgotten(begun: SmallLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.time", lambda: now)
    decide(begun.instance, begun.loop, Occasion.SENSOR)
    now += requests._REQUEST_SECONDS - 1
    assert decide(begun.instance, begun.loop, Occasion.NIGHTLY).action is Action.WAIT
    now += 1
    assert decide(begun.instance, begun.loop, Occasion.NIGHTLY).action is Action.RUN


@pytest.mark.parametrize(
    ("status", "expected"),
    [(BulkActionStatus.REQUESTED, Action.WAIT), (BulkActionStatus.COMPLETED_SUCCESS, Action.RUN)],
)
def test_backfill_holds_the_loop_until_it_is_over(begun: SmallLoop, status: BulkActionStatus, expected: Action) -> None:
    settings: dict[str, Any] = {"tags": {}, "from_failure": False, "reexecution_steps": None}
    begun.instance.add_backfill(PartitionBackfill("abcd", status, backfill_timestamp=0.0, **settings))

    step = decide(begun.instance, begun.loop, Occasion.SENSOR)

    assert step.action is expected
    assert ("backfill abcd" in step.reason) == (expected is Action.WAIT)
