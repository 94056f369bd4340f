"""The demo's figures as one table for the terminal."""

from rich.console import Group
from rich.table import Table

from al_assets.demo.report import DemoReport
from al_assets.demo.truth import Estimate

COLUMNS = (
    ("boundary", "model_expert_boundary"),
    ("audit", "model_expert_audit"),
    ("unseen*", "model_expert_unseen"),
    ("expert-expert", "expert_expert"),
    ("crowd-expert", "crowd_expert"),
)


def demo_table(report: DemoReport) -> Group:
    """Return the table of a demo and the lines under it."""
    table = Table(
        title="Kappa with 95 % interval: model with expert on boundary, audit and unseen items", title_justify="left"
    )
    for name in ("iteration", "labels", "positive: pool / queue / labels", *(name for name, _ in COLUMNS), "verdict"):
        table.add_column(name)
    llm0 = report.llm0["kappa"]
    table.add_row("LLM-0", "0", "", *(_interval(llm0[key]) if "model" in key else "" for _, key in COLUMNS), "")
    for each in report.iterations:
        share = each.positive_share
        kappas = (_interval(each.kappa[key]) for _, key in COLUMNS)
        shares = f"{share['pool']:.0%} / {share['queue']:.0%} / {share['labels']:.0%}"
        verdict = each.verdict.split(":")[0] + ("" if each.promoted else "; student not promoted")
        table.add_row(each.iteration, str(each.labels), shares, *kappas, verdict)
    ceiling = report.unseen_ceiling
    lines = (
        f"* {report.unseen_items} pool items that were never queued; only a simulation knows their labels. On them "
        f"experts agree at {_interval(ceiling['expert_expert'])}, "
        f"the crowd with experts at {_interval(ceiling['crowd_expert'])}.",
        f"Experts are {report.experts}.",
        f"{report.wall_s:.0f} s, at most {report.peak_rss_mb:.0f} MB of memory.",
    )
    return Group(table, *lines)


def _interval(kappa: Estimate | None) -> str:
    return "undefined" if kappa is None else f"{kappa[0]:.2f} ({kappa[1]:.2f}-{kappa[2]:.2f})"
