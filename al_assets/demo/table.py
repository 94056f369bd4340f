"""The demo's figures as one table for the terminal."""

from rich import box
from rich.console import Group
from rich.table import Table

from al_assets.demo.demo_report import DemoReport, Estimate, HiddenSet, IterationFigures

COLUMNS = (
    ("model\nboundary", "model_expert_boundary"),
    ("model\naudit", "model_expert_audit"),
    ("model\nunseen*", "model_expert_unseen"),
    ("model\nheld out*", "model_expert_held_out"),
    ("expert\nexpert", "expert_expert"),
    ("crowd\nexpert", "crowd_expert"),
)


def demo_table(report: DemoReport) -> Group:
    """Return the table of a demo, narrow enough for 80 columns, and the lines under it."""
    table = Table(
        title="Kappa with the experts, and its 95 % interval",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for name in ("round", "% positive\nP / Q / L", *(name for name, _ in COLUMNS)):
        table.add_column(name, no_wrap=True)
    llm0 = report.llm0["kappa"]
    table.add_row("LLM-0\nno labels", "", *(_cell(llm0[key]) if "model" in key else "" for _, key in COLUMNS))
    for each in report.iterations:
        share = each.positive_share
        kappas = (_cell(each.kappa[key]) for _, key in COLUMNS)
        shares = "/".join(f"{100 * share[name]:.0f}" for name in ("pool", "queue", "labels"))
        table.add_row(f"{each.iteration}\n{each.labels} labels", shares, *kappas)
    lines = (
        *(f"{each.iteration}: {each.verdict}; student {_promoted(each)}" for each in report.iterations),
        "P, Q, L: what the experts call positive, in % of the pool, of this iteration's queue, of all labels so far.",
        "* Only a simulation knows these labels:",
        f"  unseen: {report.unseen.items} pool items that were never queued{_people(report.unseen)};",
        f"  held out: {report.held_out.items} texts that never were in the pool{_people(report.held_out)}.",
        f"Experts are {report.experts}.",
        f"{report.wall_s:.0f} s, at most {report.peak_rss_mb:.0f} MB of memory.",
    )
    return Group(table, *lines)


def _people(found: HiddenSet) -> str:
    return f"; experts {_interval(found.expert_expert)}, crowd {_interval(found.crowd_expert)}"


def _promoted(figures: IterationFigures) -> str:
    return "promoted" if figures.promoted else "not promoted"


def _cell(kappa: Estimate | None) -> str:
    return "undefined" if kappa is None else f"{kappa[0]:.2f}\n{_short(kappa[1])}-{_short(kappa[2])}"


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".")


def _interval(kappa: Estimate | None) -> str:
    return "undefined" if kappa is None else f"{kappa[0]:.2f} ({kappa[1]:.2f}-{kappa[2]:.2f})"
