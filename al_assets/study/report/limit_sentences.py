"""What limits a student, in plain sentences: the experts' labels, the representation, or the model."""

import polars as pl

from al_assets.study.report.answers import first
from al_assets.study.report.arms import Setting
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.summary import StudySummary, in_setting
from al_assets.study.report.wording import Row, decimal, estimate, seeds_of

_WHERE = {"kappa": "In the population", "kappa_boundary": "On boundary items"}


def quality_sentence(row: Row) -> str:
    """Return at which expert kappa the curated labels stop beating the crowd."""
    where = _WHERE[row["metric"]]
    low, high = decimal(row["lowest"]), decimal(row["highest"])
    if row["bound"] == MORE:
        return f"{where}: below the crowd's largest sample at every expert kappa that was run, up to {high}."
    if row["bound"] == FEWER:
        return f"{where}: never below the crowd's largest sample, down to an expert kappa of {low}."
    ends = []
    for end in ("low", "high"):
        known = {EXACT: decimal(row[end]), MORE: f"above {high}", FEWER: f"below {low}"}
        ends.append(known.get(row[f"{end}_bound"], ""))
    sure = f" ({ends[0]} to {ends[1]})" if all(ends) else f" ({seeds_of(row['seeds'])})" if row["seeds"] < 2 else ""
    return f"{where}: falls below the crowd's largest sample at an expert kappa of about {decimal(row['limit'])}{sure}."


def probe_sentence(summary: StudySummary, setting: Setting) -> str:
    """Return whether, to the probes, labels or model are the limit of the default's last student; "" if unknown."""
    rows = in_setting(summary.gaps, setting, variant="", strategy=summary.default)
    head, ceiling = (first(rows.filter(pl.col("gap") == f"{name} - kappa")) for name in ("probe_embedding", "ceiling"))
    found = []
    if head is not None:
        found.append(
            f"A linear head on the frozen embedding, trained on the same labels, is {_gap(head)}: {_model(head)}."
        )
    if ceiling is not None:
        found.append(f"Trained on the labels of the whole pool it is {_gap(ceiling)}: {_room(ceiling)}.")
    return " ".join(found)


def _gap(row: Row) -> str:
    return f"{estimate(row, 'mean', 3, sign=True)} against the student"


def _model(row: Row) -> str:
    return {
        "above": "these labels can be learnt better than this student learns them, so the student is a limit",
        "below": "the student makes more of these labels than the frozen features do",
        "no": "no difference beyond noise",
    }.get(row["side"], "one seed, no evidence")


def _room(row: Row) -> str:
    return {
        "above": "more labels can still raise kappa on these features",
        "below": "the student is past what these features give with any number of labels",
        "no": "even all labels do not take these features further, which points to the representation as the limit",
    }.get(row["side"], "one seed, no evidence")
