"""``al demo``, ``al demo-desk``: the loop on real text with real models, in a few minutes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Group
from rich.table import Table

from al_assets.commands.options import JsonOption, console, fail, print_json, say
from al_assets.formatting import decimal, estimate

if TYPE_CHECKING:
    from al_assets.demo.demo_report import DemoReport, Estimate, HiddenSet

COLUMNS = (
    ("model\nboundary", "model_expert_boundary"),
    ("model\npool", "model_expert_audit"),
    ("model\nunseen*", "model_expert_unseen"),
    ("model\nheld out*", "model_expert_held_out"),
    ("expert\nexpert", "expert_expert"),
    ("crowd\nexpert", "crowd_expert"),
)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo lives.")] = Path(".al/demo"),
    iterations: Annotated[int, typer.Option(min=1, help="How many iterations to run.")] = 3,
    prepare_only: Annotated[bool, typer.Option(help="Write pool, policy and Dagster home, run nothing.")] = False,
    quick: Annotated[
        bool, typer.Option(help="A linear student on a small embedder: seconds, and it learns little.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the loop on real text with real models; the experts are simulated from real ratings."""
    from al_assets.demo.prepare import QUICK, DemoSize, prepare
    from al_assets.demo.run import DemoError, run_demo

    size = QUICK if quick else DemoSize()
    if prepare_only:
        made = prepare(folder, size)
        console.print(f"{made.policy}", highlight=False, soft_wrap=True)
        return
    try:
        report = run_demo(folder, iterations, size, lambda line: console.log(line, markup=False))
    except DemoError as error:
        fail(str(error))
    if as_json:
        print_json(asdict(report))
        return
    console.print(demo_table(report))
    say(f"figures: {folder / 'report.json'}; the newest report: {folder / 'report.html'}")
    say(f"where a figure comes from: al explain model_expert_kappa -p {folder / 'policy.yaml'}")
    say("open the result in the UI: make dev")


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
        made = prepare_desk_demo(folder, size, lambda line: console.log(line, markup=False))
    except DemoError as error:
        fail(str(error))
    say("Open a link, each in a browser of its own (a private window will do); it is good once:")
    for name, link in made.links.items():
        say(f"  {name}: http://127.0.0.1:{port}{link}")
    say(f"To let the loop go on when you have answered all: make dev FOLDER={folder}")
    serve(made.folder.policy, port=port, access_log=False)


def demo_table(report: "DemoReport") -> Group:
    """Return the table of a demo, narrow enough for 80 columns, and the lines under it."""
    table = Table(
        title="Kappa with the experts, and its 95 % interval",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for name in ("round", "% positive\nP / Q / L", *(name for name, _ in COLUMNS)):
        table.add_column(name, no_wrap=True)
    for name, found in {"LLM-0": report.llm0["kappa"], "taught by it": report.head_start["kappa"]}.items():
        shown = (_cell(found[key]) if "model" in key and key in found else "" for _, key in COLUMNS)
        table.add_row(f"{name}\nno labels", "", *shown)
    for row in report.iterations:
        kappas = (_cell(row.kappa[key]) for _, key in COLUMNS)
        shares = "/".join(f"{100 * row.positive_share[of]:.0f}" for of in ("pool", "queue", "labels"))
        table.add_row(f"{row.iteration}\n{row.labels} labels", shares, *kappas)
    ends = [
        f"{row.iteration}: {row.verdict}; student {'selects' if row.promoted else 'does not select'} next; "
        f"the model to take is {row.recommended}"
        for row in report.iterations
    ]
    lines = (
        *ends,
        "P, Q, L: what the experts call positive, in % of the pool, of this iteration's queue, of all labels so far.",
        "* Only a simulation knows these labels:",
        f"  unseen: {report.unseen.items} pool items that were never queued{_people(report.unseen)};",
        f"  held out: {report.held_out.items} texts that never were in the pool{_people(report.held_out)}.",
        f"Experts are {report.experts}.",
        f"{report.wall_s:.0f} s, at most {report.peak_rss_mb:.0f} MB of memory.",
    )
    return Group(table, *lines)


def _people(hidden: "HiddenSet") -> str:
    experts, crowd = (
        "undefined" if kappa is None else estimate(*kappa) for kappa in (hidden.expert_expert, hidden.crowd_expert)
    )
    return f"; experts {experts}, crowd {crowd}"


def _cell(kappa: "Estimate | None") -> str:
    if kappa is None:
        return "undefined"
    value, low, high = kappa
    return f"{decimal(value)}\n{decimal(low, bare=True)}-{decimal(high, bare=True)}"
