"""The command ``al``."""

import warnings
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from al_assets.commands import results
from al_assets.commands.desk import desk_app
from al_assets.commands.label_studio import label_studio_app
from al_assets.commands.labels import labels_app
from al_assets.commands.options import JsonOption, PolicyOption, console, fail, plain, print_json, say
from al_assets.commands.results import why
from al_assets.commands.study import study_app
from al_assets.config import POLICY_VARIABLE, PolicyError, load_policy

app = typer.Typer(
    help="Curate expert labels for an ambiguous policy, and know what they are worth.", no_args_is_help=True
)
app.add_typer(labels_app, name="labels")
app.add_typer(label_studio_app, name="label-studio")
app.add_typer(desk_app, name="desk")
app.add_typer(study_app, name="study")
for command in (results.report, results.explain, results.plan, results.raters, why):
    app.command()(command)


@app.command()
def init(path: Annotated[Path, typer.Argument(help="Where to write the policy file.")] = Path("policy.yaml")) -> None:
    """Write a commented policy file and say what to do next."""
    if path.exists():
        raise typer.BadParameter(f"{path} exists; name another file, or move that one away")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((files("al_assets") / "policy_template.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    console.print(f"Wrote {path}. Next:", highlight=False)
    console.print("  1. fill in the lines marked 'fill in': the guideline, the pool, the labeler, the raters")
    console.print(f"  2. al check --policy {path}")
    console.print(f"  3. {POLICY_VARIABLE}={path} make dev, then materialize iteration 0000", highlight=False)
    console.print(f"  4. al desk serve --policy {path}, where the raters answer its queue", highlight=False)


@app.command()
def check(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Try the policy, the pool, the models, the disk and the ledger: what would fail later, now."""
    from al_assets.commands.preflight import preflight

    found = preflight(policy)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        table = Table("", "check", "found")
        for each in found:
            table.add_row("[green]ok[/]" if each.ok else "[red]fails[/]", each.check, plain(each.detail))
        console.print(table)
    raise typer.Exit(0 if all(each.ok for each in found) else 1)


@app.command()
def status(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Say where the loop stands and what it waits for."""
    from al_assets.assets.resource import LoopResource
    from al_assets.automation.status import loop_status

    load_policy(policy)
    found = loop_status(LoopResource(policy_path=str(policy)))
    if as_json:
        print_json(asdict(found))
        return
    console.print(f"{found.policy}: {found.next}", highlight=False)
    if found.queued:
        waiting = ", ".join(f"{rater} {count}" for rater, count in found.open_items.items() if count)
        console.print(
            f"queue of {found.iteration}: {found.complete} of {found.queued} items complete, {found.votes} votes"
        )
        console.print(f"still to vote: {waiting or 'nobody'}")
    if found.reports:
        console.print(_report_table(found.reports))


@app.command()
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
    from al_assets.demo.prepare import DemoSize, prepare
    from al_assets.demo.run import DemoError, run_demo
    from al_assets.demo.table import demo_table

    size = DemoSize.quickest() if quick else DemoSize()
    if prepare_only:
        made = prepare(folder, size)
        console.print(f"{made.policy}", highlight=False, soft_wrap=True)
        return
    try:
        report = run_demo(folder, iterations=iterations, size=size, say=lambda line: console.log(line, markup=False))
    except DemoError as error:
        fail(str(error))
    if as_json:
        print_json(asdict(report))
        return
    console.print(demo_table(report))
    say(f"figures: {folder / 'report.json'}; the newest report: {folder / 'report.html'}")
    say(f"where a figure comes from: al explain model_expert_kappa -p {folder / 'policy.yaml'}")
    say("open the result in the UI: make dev")


@app.command("demo-desk")
def demo_desk(
    folder: Annotated[Path, typer.Option(help="Where this demo lives.")] = Path(".al/demo-desk"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the desk.")] = 8200,
    quick: Annotated[bool, typer.Option(help="A small pool and a small embedder.")] = False,
) -> None:
    """Open the review desk on the demo's queue: two simulated experts have answered it, the third is you."""
    from al_assets.commands.desk import serve
    from al_assets.demo.by_hand import prepare_desk_demo
    from al_assets.demo.prepare import DemoSize
    from al_assets.demo.run import DemoError

    size = DemoSize.quickest() if quick else DemoSize()
    try:
        made = prepare_desk_demo(folder, size, lambda line: console.log(line, markup=False))
    except DemoError as error:
        fail(str(error))
    say("Open a link, each in a browser of its own (a private window will do); it is good once:")
    for name, link in made.links.items():
        say(f"  {name}: http://127.0.0.1:{port}{link}")
    say(f"To let the loop go on when you have answered all: make dev FOLDER={folder}")
    serve(made.folder.policy, port=port, access_log=False)


def main() -> None:
    """Run the command; what a user can mend is said in a line, without a traceback."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app()
    except (PolicyError, OSError, ValueError) as error:
        fail(str(error))


def _report_table(reports: list[dict[str, Any]]) -> Table:
    table = Table("iteration", "labels", "model-expert, boundary", "model-expert, audit", "expert-expert", "verdict")
    for each in reports:
        kappas = (each["model_expert_boundary"], each["model_expert_audit"], each["expert_expert"])
        table.add_row(each["iteration"], str(each["labels"]), *(_interval(kappa) for kappa in kappas), each["verdict"])
    return table


def _interval(kappa: list[float | None] | None) -> str:
    if kappa is None:
        return "undefined"
    estimate, low, high = kappa
    return f"{estimate:.2f} (no interval)" if low is None else f"{estimate:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
