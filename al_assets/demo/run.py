"""The demo: iterations through the real jobs and the real state machine, simulated experts answering the queue."""

import json
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import dagster as dg
import polars as pl
import psutil

from al_assets.assets.resource import LoopResource
from al_assets.automation.requests import decide, explained, run_request
from al_assets.automation.state import Action, Occasion, Step
from al_assets.definitions import build
from al_assets.demo.demo_report import DemoReport, demo_report
from al_assets.demo.prepare import DemoFolder, DemoSize, demo_texts, enter_dagster_home, held_out_texts, prepare
from al_assets.demo.vader import Votes, drop_votes, expert_votes
from al_assets.partitions import PARTITIONS_NAME, iteration_number
from al_assets.report.html_page import write_report
from al_assets.review.files.drop_folder import collect

Say = Callable[[str], None]


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why."""


def run_demo(folder: Path, iterations: int, size: DemoSize, say: Say) -> DemoReport:
    """Run the loop for some iterations and report what came out.

    :param folder: where everything is kept; a demo that was interrupted there goes on.
    :param say: told of each step.
    :raises DemoError: the loop is blocked.
    """
    started = time.monotonic()
    with PeakMemory() as memory:
        demo = prepare(folder, size)
        texts = demo_texts(size)
        loop = LoopResource(policy_path=str(demo.policy))
        run_iterations(demo, loop, texts, iterations, say)
        say("measuring on items whose labels the loop never saw")
        report = demo_report(loop, texts, held_out_texts(size), iterations)
    report = replace(report, wall_s=round(time.monotonic() - started, 1), peak_rss_mb=round(memory.peak_mb))
    demo.report.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    write_report(loop.policy, None, demo.page)
    return report


def run_iterations(demo: DemoFolder, loop: LoopResource, texts: pl.DataFrame, iterations: int, say: Say) -> None:
    """Do what the state machine says until the wanted iterations have their reports, or the loop ends by itself."""
    enter_dagster_home(demo.dagster_home)
    definitions = build(str(demo.policy))
    votes = expert_votes(texts, len(loop.policy.review.raters))
    with dg.DagsterInstance.from_config(str(demo.dagster_home)) as instance:
        while True:
            collect_votes(loop)
            step = decide(instance, loop, Occasion.NIGHTLY)
            if step.action is Action.RUN and iteration_number(str(step.iteration)) >= iterations:
                return
            say(explained(step))
            if step.action is Action.RUN:
                run_step(definitions, instance, loop, step)
            elif step.action is Action.WAIT and step.iteration is not None:
                answer_queue(loop, str(step.iteration), votes, say)
            elif step.action is Action.REST:
                return
            else:
                raise DemoError(f"{explained(step)} ({demo.path})")


def run_step(definitions: dg.Definitions, instance: dg.DagsterInstance, loop: LoopResource, step: Step) -> None:
    """Run a step's job in this process.

    :raises DemoError: the run failed.
    """
    request = run_request(step, loop.policy.policy.name)
    if step.new_partition:
        instance.add_dynamic_partitions(PARTITIONS_NAME, [str(step.iteration)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        result = definitions.resolve_job_def(str(request.job_name)).execute_in_process(
            instance=instance, partition_key=step.iteration, tags=dict(request.tags), raise_on_error=False
        )
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


def answer_queue(loop: LoopResource, iteration: str, votes: Votes, say: Say) -> None:
    """Let the simulated experts answer what is new in an iteration's queue through the drop folder."""
    with loop.ledger() as ledger:
        answered = ledger.answers([iteration])["item_id"]
        queue = ledger.queue(iteration).filter(~pl.col("item_id").is_in(answered.implode()))
    if queue.is_empty():
        raise DemoError(f"iteration {iteration}: waits for labels that the simulated experts have given already")
    names = drop_votes(queue, iteration, votes, loop.policy, loop.root)
    say(f"iteration {iteration}: {len(names)} simulated experts answer {queue.height} items")


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
