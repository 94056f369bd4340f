from collections.abc import Generator, Iterator

import pytest

from al_assets.demo.fetch import minilm_directory
from al_assets.demo.prepare import DemoSize
from al_assets.models.labelers.weak_labelers import FunctionsLabeler
from al_assets_tests.support.daemon.deployment import Deployment
from al_assets_tests.support.daemon.services import RUNNING, running
from al_assets_tests.support.daemon.two_iterations import (
    EVERY_MINUTE,
    FOLLOWING_EMBEDDINGS,
    ITERATIONS,
    MARTS,
    RUN_SECONDS,
    TICK_SECONDS,
    Crashed,
    ReEmbedded,
    TwoIterations,
    at_work,
    backfilled,
    ended,
    succeed,
)
from al_assets_tests.support.processes import wait_for


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
        DemoSize(items=1_100, budget=40, stop_set_size=100, student="linear", embedder="static"),
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
    in_second_batch = FunctionsLabeler.batch_size + 50
    services.gate.hold_from(in_second_batch)
    services.daemon.start()
    wait_for(
        "labelling in its second batch",
        lambda: len(services.gate.calls()) >= FunctionsLabeler.batch_size + 50,
        RUN_SECONDS,
    )
    services.crash()
    labelled = services.gate.calls()
    services.gate.open()
    services.code.start()
    services.daemon.start()
    retried = wait_for("retried run", lambda: ended(deployment, "0000", "curate", 2), RUN_SECONDS)[1]
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
    wait_for("curated 0001", lambda: ended(deployment, "0001", "curate", 1), 2 * RUN_SECONDS)
    deployment.drop("0001")
    learning = wait_for("learn run of 0001", lambda: at_work(deployment, "0001", "learn"), RUN_SECONDS)
    services.daemon.kill()
    mid_run = services.webserver.run(learning.run_id).status
    wait_for("learned 0001 without a daemon", lambda: ended(deployment, "0001", "learn", 1), RUN_SECONDS)
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
    succeed(deployment, None, ("materializations", "dependencies", "staleness"))
    stale_before = deployment.mart("staleness")
    before = {run.run_id for run in webserver.runs()}
    backfill = webserver.backfill(("embeddings", *FOLLOWING_EMBEDDINGS, *MARTS), ITERATIONS)
    status = wait_for("finished backfill", lambda: backfilled(deployment, backfill), 2 * RUN_SECONDS)
    backfill_runs = webserver.runs(**{"dagster/backfill": backfill})
    stale_after = deployment.mart("staleness")
    # Embedding the same texts with the same model once more: nothing is left to do.
    succeed(deployment, "0000", ("embeddings",))
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
