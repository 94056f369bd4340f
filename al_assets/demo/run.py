"""The demo: iterations through the real jobs and the real state machine, simulated experts answering the queue."""

import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import dagster as dg
import numpy as np
import polars as pl
import psutil
from dagster._core.storage.tags import PARTITION_NAME_TAG

from al_assets.agreement.core.figures import figure_of
from al_assets.assets.resource import LoopResource
from al_assets.automation.requests import decide, explained, run_request
from al_assets.automation.state import Action, Occasion, Step
from al_assets.definitions import build
from al_assets.demo.demo_report import DemoReport, demo_report
from al_assets.demo.prepare import DemoFolder, DemoSize, demo_texts, enter_dagster_home, held_out_texts, prepare
from al_assets.demo.vader import Votes, drop_votes, expert_votes, majority
from al_assets.formatting import estimate, percent
from al_assets.partitions import PARTITIONS_NAME, Job, iteration_number
from al_assets.report.html_page import write_report
from al_assets.review.files.drop_folder import collect

Say = Callable[[str], None]
Follow = Callable[[str, str, str], None]
"""Told of each line of a run's log: iteration, asset, what it says; and of the last stage, ``measuring``."""
_LOGGER = "demo"


def unheard(iteration: str, asset: str, message: str) -> None:
    """Follow nothing."""


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why."""


def run_demo(folder: Path, iterations: int, size: DemoSize, say: Say, follow: Follow = unheard) -> DemoReport:
    """Run the loop for some iterations and report what came out.

    :param folder: where everything is kept; a demo that was interrupted there goes on.
    :param say: told what each stage has brought.
    :raises DemoError: the loop is blocked, or the folder's policy has another student or LLM-0 than was asked for.
    """
    started = time.monotonic()
    with PeakMemory() as memory:
        demo = prepare(folder, size)
        texts = demo_texts(size)
        loop = LoopResource(policy_path=str(demo.policy))
        _refuse_another(loop, size, demo)
        run_iterations(demo, loop, texts, iterations, say, follow)
        follow("", "measuring", "")
        report = demo_report(loop, texts, held_out_texts(size), iterations)
    report = replace(report, wall_s=round(time.monotonic() - started, 1), peak_rss_mb=round(memory.peak_mb))
    demo.report.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    write_report(loop.policy, None, demo.page, report.appendix())
    return report


def _refuse_another(loop: LoopResource, size: DemoSize, demo: DemoFolder) -> None:
    labeler, student = loop.policy.labeler, loop.policy.student.kind
    there = getattr(labeler, "base_url", "")
    if student == size.student and there == size.labeler:
        return
    raise DemoError(
        f"{demo.policy}: this demo has student {student!r} and LLM-0 {there or 'the lexicon'!r}, asked for are "
        f"{size.student!r} and {size.labeler or 'the lexicon'!r}; ask for what it has, or give another --folder"
    )


def run_iterations(
    demo: DemoFolder, loop: LoopResource, texts: pl.DataFrame, iterations: int, say: Say, follow: Follow = unheard
) -> None:
    """Do what the state machine says until the wanted iterations have their reports, or the loop ends by itself."""
    enter_dagster_home(demo.dagster_home)
    definitions = demo_definitions(demo, follow)
    votes = expert_votes(texts, len(loop.policy.review.raters))
    with dg.DagsterInstance.from_config(str(demo.dagster_home)) as instance:
        while True:
            collect_votes(loop)
            step = decide(instance, loop, Occasion.NIGHTLY)
            if step.action is Action.RUN and iteration_number(str(step.iteration)) >= iterations:
                return
            if step.action is Action.RUN:
                run_step(definitions, instance, loop, step)
                say(_brought(loop, step))
            elif step.action is Action.WAIT and step.iteration is not None:
                answer_queue(loop, str(step.iteration), votes, say)
            elif step.action is Action.REST:
                say(explained(step))
                return
            else:
                raise DemoError(f"{explained(step)} ({demo.path})")


def demo_definitions(demo: DemoFolder, follow: Follow = unheard) -> dg.Definitions:
    """Return the loop's definitions, whose runs write their log into the demo's file and tell of each line."""

    class RunLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with demo.log.open("a", encoding="utf-8") as log:
                log.write(self.format(record) + "\n")
            said: dict[str, Any] = record.__dict__.get("dagster_meta", {})
            if said.get("step_key"):
                iteration = said["job_tags"].get(PARTITION_NAME_TAG, "")
                follow(iteration, said["step_key"], said.get("orig_message") or "")

    logger = logging.Logger(_LOGGER, logging.DEBUG)
    handler = RunLog()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    loggers = {_LOGGER: dg.LoggerDefinition(lambda _: logger)}
    return dg.Definitions.merge(build(str(demo.policy)), dg.Definitions(loggers=loggers))


def run_step(definitions: dg.Definitions, instance: dg.DagsterInstance, loop: LoopResource, step: Step) -> None:
    """Run a step's job in this process, with ``demo_definitions``.

    :raises DemoError: the run failed.
    """
    request = run_request(step, loop.policy.policy.name)
    if step.new_partition:
        instance.add_dynamic_partitions(PARTITIONS_NAME, [str(step.iteration)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        result = definitions.resolve_job_def(str(request.job_name)).execute_in_process(
            instance=instance, partition_key=step.iteration, tags=dict(request.tags), raise_on_error=False,
            run_config={"loggers": {_LOGGER: {}}},
        )  # fmt: skip
    if not result.success:
        raise DemoError(f"iteration {step.iteration}: {step.job} failed: {_reason(result)}")


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """Return what the first failed step said at the root of its error."""
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return error.message.strip()
    return f"read the log of run {result.run_id}"


def _brought(loop: LoopResource, step: Step) -> str:
    """Return what a run has brought, in a line."""
    key = str(step.iteration)
    if step.job is Job.CURATE:
        queue, pool = loop.root.read_table("review_queue", key), loop.root.read_table("pseudo_labels", key)
        asked, whole = (
            float(np.mean(called)) for called in (queue["called"].to_numpy() == "positive", pool["label"].to_numpy())
        )
        return (
            f"queue {key}: {queue.height} of {pool.height:,} items; the labeler calls {percent(asked)} of them "
            f"positive, {percent(whole)} of the pool"
        )
    report = loop.root.read_table("kappa_report", key)
    student, experts = (figure_of(report, f"{who}_expert_kappa", "audit") for who in ("model", "expert"))
    assert student is not None
    assert experts is not None
    kappa, own = (estimate(each.estimate, each.low, each.high, bare=True) for each in (student, experts))
    return f"student {key}: kappa {kappa} on {student.items} random items of the pool, the experts' own {own}"


def answer_queue(loop: LoopResource, iteration: str, votes: Votes, say: Say) -> None:
    """Let the simulated experts answer what is new in an iteration's queue through the drop folder."""
    with loop.ledger() as ledger:
        answered = ledger.answers([iteration])["item_id"]
        queue = ledger.queue(iteration).filter(~pl.col("item_id").is_in(answered.implode()))
    if queue.is_empty():
        raise DemoError(f"iteration {iteration}: waits for labels that the simulated experts have given already")
    names = drop_votes(queue, iteration, votes, loop.policy, loop.root)
    positive = float(np.nanmean(majority(np.array([votes[item] for item in queue["item_id"]]))))
    experts = f"{len(names)} simulated experts answer {queue.height} items"
    say(f"labels {iteration}: {experts} and call {percent(positive)} of them positive")


def collect_votes(loop: LoopResource) -> None:
    """Read the drop folder, as the sensor does.

    :raises DemoError: a vote was rejected.
    """
    with loop.ledger() as ledger:
        for report in collect(loop.root.inbox, ledger, loop.policy, min_age_seconds=0):
            if report.rejected or report.unreadable:
                raise DemoError("; ".join([str(report), *(f"row {bad.row}: {bad.reason}" for bad in report.rejected)]))


class PeakMemory:
    """Samples the resident memory of the whole process tree until the block ends."""

    def __init__(self, interval_seconds: float = 0.25) -> None:
        self.peak_mb = 0.0
        self._interval = interval_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.peak_mb = max(self.peak_mb, tree_memory_mb())
            self._ended.wait(self._interval)


def tree_memory_mb() -> float:
    """Return the resident memory of this process and all below it, in MB (10^6 bytes)."""
    total = 0
    process = psutil.Process()
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
