from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import polars as pl
import pytest

from al_assets.demo.fetch import minilm_directory
from al_assets.demo.prepare import DemoSize
from al_assets.models.labelers.python_code import BATCH_SIZE
from al_assets.storage.warehouse import load_models
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.services import RUNNING, running, wait_for
from al_assets_tests.support.daemon.webserver import ASSET_JOB, ENDED, Run, Tick

RUN_SECONDS = 240.0
TICK_SECONDS = 90.0
EVERY_MINUTE = {"sensor_interval_seconds": 3, "nightly_cron": "* * * * *"}
ITERATIONS = ("0000", "0001")
FOLLOWING_EMBEDDINGS = (
    "cluster_assignments", "boundary_pairs", "overlap_map", "review_queue", "expert_labels", "label_split",
    "sft_checkpoint", "evaluation_scores", "kappa_report", "representation_probe",
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last lines of the services' logs to what is reported of a failed test."""
    report = yield
    if report.failed:
        report.sections += [("services", services.log_tails()) for services in RUNNING]
    return report


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A loop of 1,100 texts, more than one batch of the labeler, that ends after two iterations."""
    made = Deployment(
        tmp_path_factory.mktemp("daemon"),
        DemoSize(items=1_100, budget=40, stop_set_size=100, quick=True),
        {"automation": EVERY_MINUTE, "stopping": {"max_iterations": 2, "resamples": 200, "min_expert_kappa": 0}},
    )
    with running(made.services):
        yield made


@pytest.fixture(scope="session")
def crashed(deployment: Deployment) -> Crashed:
    """Materialize 0000 as a person would, kill everything while its texts are labelled, and start again."""
    services, webserver = deployment.services, deployment.services.webserver
    services.start_without_daemon()
    # A partition without a queue is work for the sensor: with the daemon running it might be faster than the launch.
    webserver.add_iteration("0000")
    launched = webserver.launch("curate", "0000")
    services.gate.hold_from(BATCH_SIZE + 50)
    services.daemon.start()
    wait_for("labelling in its second batch", lambda: len(services.gate.calls()) >= BATCH_SIZE + 50, RUN_SECONDS)
    services.crash()
    labelled = services.gate.calls()
    services.gate.open()
    services.code.start()
    services.daemon.start()
    retried = wait_for("retried run", lambda: _ended(deployment, "0000", "curate", 2), RUN_SECONDS)[1]
    services.wait_until_loaded()
    store = deployment.root.scores(deployment.root.read_table("incumbent_model", "0000")["fingerprint"][0])
    return Crashed(
        deployment,
        webserver.run(launched),
        webserver.failures(launched),
        retried,
        labelled,
        services.gate.calls()[len(labelled) :],
        store.known(labelled),
    )


@pytest.fixture(scope="session")
def two_iterations(crashed: Crashed) -> TwoIterations:
    """Let the sensor alone go through two iterations, killing the daemon twice on the way."""
    deployment = crashed.deployment
    services = deployment.services
    deployment.drop("0000")
    services.daemon.kill()
    dropped = deployment.waiting_files()
    services.daemon.start()
    wait_for("curated 0001", lambda: _ended(deployment, "0001", "curate", 1), 2 * RUN_SECONDS)
    deployment.drop("0001")
    learning = wait_for("learn run of 0001", lambda: _at_work(deployment, "0001", "learn"), RUN_SECONDS)
    services.daemon.kill()
    mid_run = services.webserver.run(learning.run_id).status
    wait_for("learned 0001 without a daemon", lambda: _ended(deployment, "0001", "learn", 1), RUN_SECONDS)
    services.daemon.start()
    ticked = len(services.webserver.sensor_ticks())
    wait_for(
        "two sensor ticks after the end", lambda: len(services.webserver.sensor_ticks()) > ticked + 1, TICK_SECONDS
    )
    return TwoIterations(
        deployment,
        dropped,
        mid_run,
        services.webserver.runs(),
        services.webserver.sensor_ticks(),
        services.webserver.nightly_ticks(),
        services.webserver.try_nightly(),
    )


@pytest.fixture(scope="session")
def re_embedded(two_iterations: TwoIterations) -> ReEmbedded:
    """Change the embedding model in the policy file, look at staleness, and backfill embeddings and what follows."""
    deployment = two_iterations.deployment
    webserver = deployment.services.webserver
    drift_before = deployment.mart("selection_drift")
    history_before = deployment.history()
    queues_before = {key: deployment.queue(key) for key in ITERATIONS}
    tables_before = {
        (name, key): deployment.root.read_table(name, key)
        for name in ("sft_checkpoint", "kappa_report")
        for key in ITERATIONS
    }
    deployment.edit_policy(embedding={"kind": "sentence_transformers", "model": str(minilm_directory())})
    webserver.reload()
    # As a person who wants to know what is out of date.
    _succeed(deployment, None, ("materializations", "dependencies", "staleness"))
    stale_before = deployment.mart("staleness")
    before = {run.run_id for run in webserver.runs()}
    backfill = webserver.backfill(("embeddings", *FOLLOWING_EMBEDDINGS, *MARTS), ITERATIONS)
    status = wait_for("finished backfill", lambda: _backfilled(deployment, backfill), 2 * RUN_SECONDS)
    backfill_runs = webserver.runs(**{"dagster/backfill": backfill})
    stale_after = deployment.mart("staleness")
    # Embedding the same texts with the same model once more: nothing is left to do.
    _succeed(deployment, "0000", ("embeddings",))
    known = before | {run.run_id for run in backfill_runs}
    return ReEmbedded(
        deployment,
        stale_before,
        stale_after,
        drift_before,
        deployment.mart("selection_drift"),
        history_before,
        queues_before,
        tables_before,
        status,
        backfill_runs,
        [run for run in webserver.runs() if run.run_id not in known],
    )


def end_of(deployment: Deployment, run_id: str) -> Run:
    """Return a run when it has ended, well or not."""
    webserver = deployment.services.webserver

    def ended() -> Run | None:
        run = webserver.run(run_id)
        return run if run.status in ENDED else None

    return wait_for(f"end of run {run_id}", ended, RUN_SECONDS)


def _succeed(deployment: Deployment, iteration: str | None, assets: Iterable[str]) -> None:
    webserver = deployment.services.webserver
    run = end_of(deployment, webserver.launch(ASSET_JOB, iteration, assets))
    assert run.status == "SUCCESS", webserver.failures(run.run_id)


def _loop_runs(deployment: Deployment, iteration: str, job: str) -> list[Run]:
    return deployment.services.webserver.runs(**{"dagster/partition": iteration, "al/job": job})


def _ended(deployment: Deployment, iteration: str, job: str, runs: int) -> list[Run] | None:
    """Return the runs when there are as many, and the last has succeeded."""
    found = _loop_runs(deployment, iteration, job)
    if len(found) >= runs and found[-1].status == "FAILURE":
        pytest.fail(f"{job} of {iteration}: {deployment.services.webserver.failures(found[-1].run_id)}")
    return found if len(found) >= runs and found[-1].status == "SUCCESS" else None


def _at_work(deployment: Deployment, iteration: str, job: str) -> Run | None:
    found = _loop_runs(deployment, iteration, job)
    return found[-1] if found and found[-1].status == "STARTED" and found[-1].worker else None


def _backfilled(deployment: Deployment, backfill: str) -> str | None:
    status = deployment.services.webserver.backfill_status(backfill)
    return status if status.startswith("COMPLETED") or status == "FAILED" else None
