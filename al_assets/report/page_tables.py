"""The tables of a report's page, from the tables of the run."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import polars as pl

from al_assets import __version__
from al_assets.agreement.core.figures import Figure, figure_of, figures_in
from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells
from al_assets.agreement.stopping.conclusion import conclusion_of
from al_assets.curation.split import adjudication_counts
from al_assets.formatting import decimal, fine_percent, interval, percent
from al_assets.report.descriptions import FIGURES, SCOPES, is_rule, title_of
from al_assets.report.iteration_tables import IterationTables, figures_of
from al_assets.report.sentences import RULES, figure_text
from al_assets.report.traced_items import Rows

SHOWN_ITEMS, MOST_REGIONS = 20, 12
LONGEST_TEXT = 400
COUNTS = ("labels", "watermark")
PACKAGES = ("polars", "numpy", "scikit-learn", "torch", "transformers", "trl", "dagster")


Line = dict[str, Any]


def figures_by_scope(report: pl.DataFrame) -> list[tuple[str, str, list[Line]]]:
    """Return every figure of a report, by scope: the scope, its meaning, its lines."""
    figures = figures_of(report)
    present = list(dict.fromkeys(figure.scope for figure in figures))
    known = [scope for scope in SCOPES if scope in present]
    return [
        (scope, SCOPES.get(scope, ""), [_line(figure) for figure in figures if figure.scope == scope])
        for scope in [*known, *(scope for scope in present if scope not in SCOPES)]
    ]


def _line(figure: Figure) -> Line:
    description = FIGURES.get(figure.figure)
    estimate = decimal(figure.estimate, 0 if figure.figure in COUNTS else 3, missing="undefined")
    if is_rule(figure.figure) and figure.detail:
        estimate = "fired" if figure.estimate else "did not fire"
    return {
        "name": figure.figure,
        "title": title_of(figure.figure),
        "tip": f"{description.sentence} {description.formula}" if description else "",
        "estimate": estimate,
        "interval": interval(figure.low, figure.high, 3),
        "count": "" if figure.items is None else str(figure.items),
        "detail": figure.detail or "",
    }


def rules(report: pl.DataFrame) -> list[Line]:
    """Return every stopping rule of a report in order of precedence: whether it fired, and why or why not."""
    fired = {
        figure.figure.removeprefix("stop_").replace("_", " "): figure
        for figure in figures_in(report, pl.col("scope") == "loop")
        if is_rule(figure.figure)
    }
    return [
        {"name": name, "meaning": RULES.get(name, ""), "fired": bool(rule.estimate), "reason": rule.detail or ""}
        for name, rule in fired.items()
    ]


def course(tables: IterationTables) -> list[dict[str, str]]:
    """Return the loop so far, one row an iteration."""
    wanted = {
        "student, boundary": ("model_expert_kappa", "boundary"),
        "student, population": ("model_expert_kappa", "audit"),
        "student, panel": ("model_expert_kappa", "panel"),
        "experts, all items": ("expert_expert_kappa", "loop"),
    }
    rows = []
    for key, report in tables.reports.items():
        figures = {name: figure_of(report, *place) for name, place in wanted.items()}
        labels = figure_of(report, "labels", "loop")
        rows.append(
            {
                "iteration": key,
                "items labelled": decimal(labels.estimate, 0, missing="") if labels else "",
                **{name: "" if figure is None else figure_text(figure) for name, figure in figures.items()},
                "verdict": conclusion_of(report).verdict,
            }
        )
    return rows


def regions(tables: IterationTables) -> list[Line]:
    """Return the regions of the pool with most expected errors, each with a typical text and contested ones."""
    texts = dict(tables.texts.iter_rows())
    typical = dict(tables.typical.iter_rows())
    lines = []
    for row in tables.overlaps.head(MOST_REGIONS).iter_rows(named=True):
        contested = {
            name: [_shortened(texts[item]) for item in row[f"{name}_examples"][:1]] for name in ("positive", "negative")
        }
        lines.append(
            {
                "name": row["name"],
                "items": row["items"],
                "positive": percent(row["positive_share"]),
                "error": f"{percent(row['error'])} ({percent(row['error_low'])} to {percent(row['error_high'])})",
                "labels": row["labels"],
                "typical": [_shortened(texts[item]) for item in typical[row["region"]][:1]],
                "contested": contested,
            }
        )
    return lines


def matrix(rows: Rows) -> tuple[list[str], Floats, Floats]:
    """Return names, kappas and item counts of raters, student and incumbent, on the items raters share."""
    names = [*rows.raters, "student", "incumbent"]
    shared = rows.where(rows.decisive >= 2)
    said = [*shared.votes.T, shared.label("student"), shared.label("incumbent")]
    kappas, items = np.full((len(names), len(names)), np.nan), np.zeros((len(names), len(names)))
    for one in range(len(names)):
        for other in range(len(names)):
            cells = pair_cells(said[one], said[other]).sum(axis=0)
            kappas[one, other], items[one, other] = float(kappa_of(cells)), cells.sum()
    return names, kappas, items


def raters(rows: Rows, votes: pl.DataFrame) -> list[dict[str, str]]:
    """Return a row for each rater by first answers: votes, share positive, undecided, mean kappa with the others."""
    pairs = [(first, second, float(kappa_of(cells.sum(axis=0)))) for first, second, cells in rows.pairs()]
    lines = []
    for name in rows.raters:
        own = votes.filter(pl.col("rater") == name)["first_label"]
        decisive = own.filter(own != "undecided")
        kappas = [kappa for first, second, kappa in pairs if name in (first, second) and not np.isnan(kappa)]
        lines.append(
            {
                "rater": name,
                "votes": str(len(own)),
                "positive": fine_percent(float((decisive == "positive").sum()) / len(decisive))
                if len(decisive)
                else "",
                "cannot decide": str(len(own) - len(decisive)),
                "mean kappa with the others": decimal(float(np.mean(kappas))) if kappas else "undefined",
            }
        )
    return lines


def disputed(tables: IterationTables, rows: Rows) -> tuple[list[Line], int]:
    """Return the items on which votes differ most, and how many differ at all."""
    share = rows.positive_share
    split = np.where(np.isnan(share), 0.0, np.minimum(share, 1 - share))
    order = [int(at) for at in np.lexsort((rows.item_id, -rows.decisive, -split)) if split[at] > 0]
    return _lines(tables, rows, order[:SHOWN_ITEMS]), len(order)


def undecided(tables: IterationTables, rows: Rows) -> tuple[list[Line], int]:
    """Return the items that got most answers 'cannot decide', and how many got one."""
    order = [int(at) for at in np.lexsort((rows.item_id, -rows.undecided)) if rows.undecided[at] > 0]
    return _lines(tables, rows, order[:SHOWN_ITEMS]), len(order)


def _lines(tables: IterationTables, rows: Rows, order: list[int]) -> list[Line]:
    lines, facts = [], rows.facts
    for at in order:
        item = str(rows.item_id[at])
        cast = tables.votes.filter(pl.col("item_id") == item).sort("rater")
        text = facts["text"][at] or ""
        comments = cast.filter(pl.col("comment").fill_null("") != "").select("rater", "comment")
        model = rows.label("student")[at]
        lines.append(
            {
                "item_id": item,
                "text": _shortened(text),
                "reason": str(facts["reason"][at]),
                "votes": [_said(*answer) for answer in cast.select("rater", "first_label", "label").iter_rows()],
                "model": "not scored" if np.isnan(model) else ("positive" if model else "negative"),
                "comments": [f"{rater}: {comment}" for rater, comment in comments.iter_rows()],
            }
        )
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _said(rater: str, first: str, now: str) -> str:
    return f"{rater}: {first}" if first == now else f"{rater}: {first}, later {now}"


def provenance(tables: IterationTables) -> list[tuple[str, str]]:
    """Return what the report rests on: votes, policy, models, settings, software."""
    policy, votes, settings = tables.policy, tables.votes, tables.policy.stopping
    versions = votes.group_by("policy_version").len().sort("policy_version")
    newest = votes["voted_at"].dt.strftime("%Y-%m-%d %H:%M:%S UTC").max()
    watermark = conclusion_of(tables.report).watermark
    return [
        ("votes", f"{votes.height} current votes of {votes['rater'].n_unique()} raters"),
        ("newest vote", str(newest or "none")),
        ("ledger watermark", "not recorded" if watermark is None else str(watermark)),
        *_adjudicated(tables),
        ("policy", f"{policy.policy.name}, version {policy.policy.version}; fingerprint {policy.policy.fingerprint()}"),
        ("votes by policy version", ", ".join(f"{name}: {count}" for name, count in versions.iter_rows()) or "none"),
        *_models(tables),
        ("embedding", f"{policy.embedding.model}; fingerprint {policy.embedding.fingerprint()}"),
        ("selection settings", f"fingerprint {policy.selection.fingerprint()}"),
        (
            "stopping settings",
            f"{settings.resamples} resamples, seed {settings.seed}; fingerprint {settings.fingerprint()}",
        ),
        ("software", ", ".join([f"al_assets {__version__}", *_versions()])),
    ]


def _adjudicated(tables: IterationTables) -> list[tuple[str, str]]:
    counts = adjudication_counts(tables.split)
    if not any(counts.values()):
        return []
    said = (
        f"{counts['adjudicated']} items the student may learn from, {counts['overturned']} against the majority of the "
        f"votes, {counts['guideline_gaps']} left out as guideline gaps; {counts['adjudicated_in_evaluation']} others, "
        "whose labels stay; every kappa is that of the raters' own votes"
    )
    return [("adjudicated", said)]


def _models(tables: IterationTables) -> list[tuple[str, str]]:
    incumbent, student = tables.incumbent.row(0, named=True), tables.checkpoint.row(0, named=True)
    promoted = f", promoted in {incumbent['promoted_from']}" if incumbent["promoted_from"] else ""
    learned = f"{student['training_items']} items, {student['positive_items']} of them positive by most votes"
    begun = f", by the head start {student['head_start']}" if student["head_start"] else ""
    made = f"{student['kind']} ({student['method']}) from {student['base_model']}{begun}"
    note = f"; {student['note']}" if student["note"] else ""
    return [
        ("incumbent", f"{incumbent['kind']} {incumbent['uri']}{promoted}; fingerprint {incumbent['fingerprint']}"),
        ("student", f"{made}; fingerprint {student['fingerprint']}{note}"),
        ("student's training data", f"{learned}; fingerprint {student['data_fingerprint']}"),
    ]


def _versions() -> list[str]:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return versions
