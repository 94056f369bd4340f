"""What the daemon tests see of a loop of two iterations, and waiting for its runs."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import pytest

from al_assets.storage.warehouse import load_models
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.webserver import ASSET_JOB, ENDED, Run, Tick
from al_assets_tests.support.processes import wait_for

RUN_SECONDS = 240.0


TICK_SECONDS = 90.0


EVERY_MINUTE = {"sensor_interval_seconds": 3, "nightly_cron": "* * * * *"}


ITERATIONS = ("0000", "0001")


FOLLOWING_EMBEDDINGS = (
    "regions", "cluster_assignments", "boundary_pairs", "overlap_map", "review_queue", "expert_labels", "label_split",
    "head_start", "sft_checkpoint", "evaluation_scores", "kappa_report", "representation_probe",
)  # fmt: skip


MARTS = ("materializations", "dependencies", *load_models())


@dataclass
class Crashed:
    """What was seen when everything was killed in the middle of the labelling of iteration 0000.

    :param labelled_before: texts the killed run had labelled; those of them that were kept are ``kept``.
    """

    deployment: Deployment
    killed: Run
    reason: str
    retried: Run
    labelled_before: list[str]
    labelled_after: list[str]
    kept: set[str]


@dataclass
class TwoIterations:
    """A loop that went through two iterations while its daemon was killed twice.

    :param dropped: the files of votes that nobody had collected when the daemon was killed.
    :param mid_run: the status of the learn run of 0001 while there was no daemon.
    :param nightly_at_the_end: why the schedule skips once the loop has ended.
    """

    deployment: Deployment
    dropped: list[str]
    mid_run: str
    runs: list[Run]
    sensor_ticks: list[Tick]
    nightly_ticks: list[Tick]
    nightly_at_the_end: str | None


@dataclass
class ReEmbedded:
    """The same loop before and after its embedding model was changed and both iterations were backfilled."""

    deployment: Deployment
    stale_before: pl.DataFrame
    stale_after: pl.DataFrame
    drift_before: pl.DataFrame
    drift_after: pl.DataFrame
    history_before: pl.DataFrame
    queues_before: dict[str, pl.DataFrame]
    tables_before: dict[tuple[str, str], pl.DataFrame]
    backfill_status: str
    backfill_runs: list[Run]
    later_runs: list[Run]


def end_of(deployment: Deployment, run_id: str) -> Run:
    """Return a run when it has ended, well or not."""
    webserver = deployment.services.webserver

    def look() -> Run | None:
        run = webserver.run(run_id)
        return run if run.status in ENDED else None

    return wait_for(f"end of run {run_id}", look, RUN_SECONDS)


def succeed(deployment: Deployment, iteration: str | None, assets: Iterable[str]) -> None:
    """Launch assets and fail the test unless their run succeeds."""
    webserver = deployment.services.webserver
    run = end_of(deployment, webserver.launch(ASSET_JOB, iteration, assets))
    assert run.status == "SUCCESS", webserver.failures(run.run_id)


def loop_runs(deployment: Deployment, iteration: str, job: str) -> list[Run]:
    """Return the runs of a job of the loop for an iteration."""
    return deployment.services.webserver.runs(**{"dagster/partition": iteration, "al/job": job})


def ended(deployment: Deployment, iteration: str, job: str, runs: int) -> list[Run] | None:
    """Return the runs when there are as many, and the last has succeeded."""
    found = loop_runs(deployment, iteration, job)
    if len(found) >= runs and found[-1].status == "FAILURE":
        pytest.fail(f"{job} of {iteration}: {deployment.services.webserver.failures(found[-1].run_id)}")
    return found if len(found) >= runs and found[-1].status == "SUCCESS" else None


def at_work(deployment: Deployment, iteration: str, job: str) -> Run | None:
    """Return the last run while its process works."""
    found = loop_runs(deployment, iteration, job)
    return found[-1] if found and found[-1].status == "STARTED" and found[-1].worker else None


def backfilled(deployment: Deployment, backfill: str) -> str | None:
    """Return how a backfill ended, None while it runs."""
    status = deployment.services.webserver.backfill_status(backfill)
    return status if status.startswith("COMPLETED") or status == "FAILED" else None
