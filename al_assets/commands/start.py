"""``al init``, ``al check``, ``al status``: the first policy file, what would fail, where the loop stands."""

import os
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from al_assets.commands.options import JsonOption, PolicyOption, console, print_json, say
from al_assets.config import POLICY_VARIABLE, load_policy
from al_assets.formatting import kappa_text

STRIP = 41
"""Signs of a line from kappa 0 to 1."""
_UNKNOWN: list[float | None] = [None, None, None]


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


def check(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Try the policy, the pool, the models, the disk and the ledger: what would fail later, now."""
    from al_assets.commands.preflight import hub_answers, preflight

    if not hub_answers():
        # Told before they are loaded, libraries do not ask it again and again.
        os.environ["HF_HUB_OFFLINE"] = "1"
    findings = preflight(policy)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table("", "check", "found")
        for finding in findings:
            table.add_row("[green]ok[/]" if finding.ok else "[red]fails[/]", finding.check, escape(finding.detail))
        console.print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def status(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Say where the loop stands and what it waits for."""
    from al_assets.assets.resource import LoopResource
    from al_assets.automation.status import loop_status

    load_policy(policy)
    loop = loop_status(LoopResource(policy_path=str(policy)))
    if as_json:
        print_json(asdict(loop))
        return
    console.print(f"{loop.policy}: {loop.next}", highlight=False)
    if loop.queued:
        waiting = ", ".join(f"{rater} {count}" for rater, count in loop.open_items.items() if count)
        check = f" ({loop.check_complete} of {loop.check_items} check items)" if loop.check_items else ""
        done = f"{loop.complete} of {loop.queued} items complete{check}"
        console.print(f"queue of {loop.iteration}: {done}, {loop.votes} votes", highlight=False)
        console.print(f"still to vote: {waiting or 'nobody'}")
    if loop.reports:
        console.print(_report_table(loop.reports))
        say(f"kappa, pool 0{'1':>{STRIP - 1}}  ● student ─ interval ░ experts")
        reports: list[dict[str, Any]] = loop.reports
        for row in reports:
            say(f"{row['iteration']:>11} {kappa_strip(row['model_expert_audit'], row['expert_expert_audit'])}".rstrip())


def kappa_strip(student: list[float | None] | None, experts: list[float | None] | None) -> str:
    """Return a line from kappa 0 to 1: the student's interval over the band of the experts'.

    :param student: [estimate, low, high], None where unknown; so the experts, on the same items.
    """
    cells = [" "] * STRIP

    def place(kappa: float) -> int:
        return round(min(max(kappa, 0.0), 1.0) * (STRIP - 1))

    for sign, (_, low, high) in (("░", experts or _UNKNOWN), ("─", student or _UNKNOWN)):
        if low is not None and high is not None:
            cells[place(low) : place(high) + 1] = sign * (place(high) - place(low) + 1)
    if student and student[0] is not None:
        cells[place(student[0])] = "●"
    return "".join(cells)


def _report_table(reports: list[dict[str, Any]]) -> Table:
    table = Table(
        "iteration", "labels", "model-expert, boundary", "model-expert, pool", "expert-expert", "verdict", "take"
    )
    for row in reports:
        kappas = (row["model_expert_boundary"], row["model_expert_audit"], row["expert_expert"])
        said = (row["verdict"], row["recommended"])
        table.add_row(row["iteration"], str(row["labels"]), *(kappa_text(kappa) for kappa in kappas), *said)
    return table
