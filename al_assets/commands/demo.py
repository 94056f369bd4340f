"""``al demo``, ``al demo-desk``: the loop on real text with real models, in a few minutes."""

import os
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Table

from al_assets.commands.options import JsonOption, console, fail, print_json, say
from al_assets.formatting import decimal, kappa_text

if TYPE_CHECKING:
    from al_assets.demo.demo_report import DemoReport

_DOING = {
    "embeddings": "embedding the pool",
    "pseudo_labels": "labelling the pool",
    "head_start": "teaching the student what LLM-0 knows",
    "sft_checkpoint": "training the student on the experts' labels",
    "evaluation_scores": "judging it by students of other labels",
    "measuring": "measuring on texts whose labels the loop never saw",
}
_ONCE = {"embeddings": 20, "head_start": 40, "measuring": 20}
_EACH_ROUND = {"pseudo_labels": 10, "sft_checkpoint": 8, "evaluation_scores": 15}
_WITH_LABELS = {"sft_checkpoint": 10, "evaluation_scores": 13}
_REST = 8
"""Seconds on two cores: of what is done once, in each round, and for each round's labels so far; of all else in one."""
_PART = re.compile(r"(?:fold (\d+) of (\d+), )?.*: (\d+) of (\d+)")


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo lives.")] = Path(".al/demo"),
    iterations: Annotated[int, typer.Option(min=1, help="How many iterations to run.")] = 3,
    student: Annotated[
        Literal["encoder", "linear", "sft"],
        typer.Option(
            help="MiniLM fine-tuned whole; a linear head, in two minutes; SmolLM2 through TRL, in half an hour."
        ),
    ] = "encoder",
    labeler: Annotated[
        str, typer.Option(metavar="URL", help="An OpenAI-compatible server whose LLM takes the lexicon's place.")
    ] = "",
    model: Annotated[str, typer.Option(help="Of that server; its first if left out.")] = "",
    prepare_only: Annotated[bool, typer.Option(help="Write pool, policy and Dagster home, run nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the loop on real text with real models; the experts are simulated from real ratings."""
    from al_assets.demo.prepare import DemoSize, prepare
    from al_assets.demo.run import DemoError, run_demo

    size = DemoSize(student=student, labeler=labeler, model=model or (_first_model(labeler) if labeler else ""))
    if prepare_only:
        made = prepare(folder, size)
        console.print(f"{made.policy}", highlight=False, soft_wrap=True)
        return
    try:
        with DemoProgress(iterations, quiet=as_json) as progress:
            report = run_demo(folder, iterations, size, progress.say, progress.follow)
    except DemoError as error:
        fail(f"{error}; Dagster's log: {folder / 'dagster.log'}")
    if as_json:
        print_json(asdict(report))
        return
    console.print(demo_table(report))
    say(f"report with every figure: {folder / 'report.html'}; Dagster's log: {folder / 'dagster.log'}")
    say("next, the loop in Dagster's UI: make dev; on your own pool: al init policy.yaml")


def demo_desk(
    folder: Annotated[Path, typer.Option(help="Where this demo lives.")] = Path(".al/demo-desk"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the desk.")] = 8200,
    quick: Annotated[bool, typer.Option(help="A small pool and a small embedder.")] = False,
) -> None:
    """Open the review desk on the demo's queue: two simulated experts have answered it, the third is you."""
    from al_assets.commands.desk import serve
    from al_assets.demo.by_hand import prepare_desk_demo
    from al_assets.demo.prepare import QUICK, DemoSize
    from al_assets.demo.run import DemoError

    size = QUICK if quick else DemoSize()
    try:
        made = prepare_desk_demo(folder, size, say)
    except DemoError as error:
        fail(str(error))
    say("Open a link, each in a browser of its own (a private window will do); it is good once:")
    for name, link in made.links.items():
        say(f"  {name}: http://127.0.0.1:{port}{link}")
    say(f"To let the loop go on when you have answered all: make dev FOLDER={folder}")
    serve(made.folder.policy, port=port, access_log=False)


def _first_model(url: str) -> str:
    """Return the name of the first model of an OpenAI-compatible server."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/models", timeout=10).raise_for_status()
        return str(answer.json()["data"][0]["id"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        fail(f"--labeler {url}: it names no model ({error}); give the server's address up to /v1, or --model")


class DemoProgress:
    """A bar with what is being done and how long it will take, under lines of what is known; without a terminal lines.

    :param iterations: how many will be run.
    """

    def __init__(self, iterations: int, *, quiet: bool = False) -> None:
        self._iterations, self._quiet = iterations, quiet
        # While an asset is made Dagster turns the process's output into a file of its own, and ours with it.
        self._output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        terminal = Console(file=self._output, emoji=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.fields[left]}"), console=terminal, transient=True,
            disable=quiet or not terminal.is_terminal, redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        # What each asset of each round is expected to take.
        self._seconds = {("", "measuring"): _ONCE["measuring"]}
        for number in range(iterations):
            self._seconds[f"{number:04d}", ""] = _REST
            for asset in _DOING.keys() - {"measuring"}:
                once = _ONCE.get(asset, 0) if number == 0 else 0
                spent = once + _EACH_ROUND.get(asset, 0) + _WITH_LABELS.get(asset, 0) * (number + 1)
                self._seconds[f"{number:04d}", asset] = spent
        self._done: dict[tuple[str, str], float] = {}
        self._began: tuple[float, float] | None = None
        self._task = self._bar.add_task("preparing: texts and models", total=sum(self._seconds.values()), left="")

    def __enter__(self) -> "DemoProgress":
        """Begin to show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away; the lines stay."""
        self._bar.stop()
        self._output.close()

    def say(self, line: str) -> None:
        """Show what became known."""
        if not self._quiet:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def follow(self, iteration: str, asset: str, message: str) -> None:
        """Take note of a line of a run's log."""
        # A demo that goes on has earlier rounds behind it; what is measured comes last.
        for earlier in self._seconds:
            if earlier[0] and (earlier[0] < iteration or asset == "measuring"):
                self._done[earlier] = 1.0
        if (iteration, asset) in self._seconds:
            self._done[iteration, asset] = _share_done(message, self._done.get((iteration, asset), 0.0))
            where = f"round {int(iteration) + 1} of {self._iterations}: " if iteration else ""
            self._bar.update(self._task, description=where + _DOING[asset])
        spent = sum(self._seconds[each] * share for each, share in self._done.items())
        now, whole = time.monotonic(), sum(self._seconds.values())
        self._began = self._began or (now, spent)
        since, before = self._began
        pace = (now - since) / (spent - before) if spent > before else 1.0
        minutes, seconds = divmod(round(pace * (whole - spent)), 60)
        self._bar.update(self._task, completed=spent, left=f"about {minutes}:{seconds:02d} left")


def _share_done(message: str, before: float) -> float:
    """Return how much of an asset is done by what its run says: ``fold 1 of 2, training step: 5 of 20``."""
    if "Finished execution" in message:
        return 1.0
    found = _PART.fullmatch(message)
    if found is None:
        return before
    fold, folds, done, total = (int(number or 1) for number in found.groups())
    return max(before, (fold - 1 + done / max(total, 1)) / folds)


def demo_table(report: "DemoReport") -> Group:
    """Return what the demo has shown, in a table of ten seconds: held-out texts, so that all rows compare."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    for name in ("", "labels", "kappa with the experts", "experts' own", "% positive"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    own = decimal(report.held_out.expert_expert[0], bare=True) if report.held_out.expert_expert else "undefined"
    rows = [("LLM-0", 0, report.llm0["kappa"], ""), ("student it taught", 0, report.head_start["kappa"], "")]
    for each in report.iterations:
        share = f"{100 * each.positive_share['labels']:.0f}"
        rows.append((f"after round {int(each.iteration) + 1}", each.labels, each.kappa, share))
    for name, labels, kappa, share in rows:
        table.add_row(name, str(labels), kappa_text(kappa["model_expert_held_out"], bare=True), own, share)
    lines = [
        f"Experts are {report.experts}.",
        f"{report.wall_s:.0f} s, at most {report.peak_rss_mb:,.0f} MB of memory.",
    ]
    return Group(
        f"On {report.held_out.items:,} texts that never were in the pool, with 95 % interval:",
        table,
        *([conclusion(report)] if report.iterations else []),
        *lines,
    )


def conclusion(report: "DemoReport") -> str:
    """Return in a sentence what the demo has shown."""
    last, first = report.iterations[-1], report.llm0["kappa"]["model_expert_held_out"]
    found = last.kappa["model_expert_held_out"]
    if found is None or first is None:
        return f"After {last.labels} labels the student's agreement with the experts is undefined."
    stands = (
        "surely above"
        if found[1] > first[0]
        else "surely below"
        if found[2] < first[0]
        else "not surely different from"
    )
    return (
        f"After {last.labels} expert labels the student agrees with the experts at {decimal(found[0])}, {stands} the "
        f"{decimal(first[0])} of LLM-0 that taught it."
    )
