"""The tables of a report's page, from the tables of the run."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import polars as pl

from al_assets import __version__
from al_assets.agreement.core.figures import figure_of
from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells
from al_assets.agreement.report.scopes import Figure
from al_assets.config import Section
from al_assets.curation.split import adjudication_counts
from al_assets.report.descriptions import SCOPES, describe, title_of
from al_assets.report.iteration_tables import IterationTables
from al_assets.report.sentences import RULES, interval_text, percent
from al_assets.report.traced_items import Rows

SHOWN_ITEMS = 20
LONGEST_TEXT = 400
COUNTS = ("labels", "watermark")
PACKAGES = ("polars", "numpy", "scikit-learn", "torch", "transformers", "trl", "dagster")


@dataclass(frozen=True)
class FigureLine:
    """A line of the table of all figures."""

    name: str
    title: str
    tip: str
    estimate: str
    interval: str
    items: str
    detail: str


@dataclass(frozen=True)
class RuleLine:
    """A stopping rule: whether it fired, and why or why not."""

    name: str
    meaning: str
    fired: bool
    reason: str


@dataclass(frozen=True)
class ItemLine:
    """An item that the experts found hard."""

    item_id: str
    text: str
    reason: str
    votes: tuple[str, ...]
    model: str
    comments: tuple[str, ...]


def figures_by_scope(report: pl.DataFrame) -> list[tuple[str, str, list[FigureLine]]]:
    """Return every figure of a report, by scope: the scope, its meaning, its lines."""
    found = report["scope"].unique(maintain_order=True).to_list()
    known = [scope for scope in SCOPES if scope in found]
    return [
        (scope, SCOPES.get(scope, ""), [_line(row) for row in _rows(report, scope)])
        for scope in [*known, *(scope for scope in found if scope not in SCOPES)]
    ]


def _rows(report: pl.DataFrame, scope: str) -> list[Figure]:
    rows = report.filter(pl.col("scope") == scope).select(list(Figure.__dataclass_fields__))
    return [Figure(**row) for row in rows.iter_rows(named=True)]


def _line(figure: Figure) -> FigureLine:
    found = describe(figure.figure)
    estimate = "undefined" if figure.estimate is None else f"{figure.estimate:.3f}"
    if figure.estimate is not None and figure.figure in COUNTS:
        estimate = f"{figure.estimate:.0f}"
    if figure.figure.startswith("stop_") and figure.detail and figure.figure != "stop_set_agreement":
        estimate = "fired" if figure.estimate else "did not fire"
    known = figure.low is not None and figure.high is not None
    return FigureLine(
        figure.figure,
        title_of(figure.figure),
        f"{found.sentence} {found.formula}" if found else "",
        estimate,
        f"{figure.low:.3f} to {figure.high:.3f}" if known else "",
        "" if figure.items is None else str(figure.items),
        figure.detail or "",
    )


def rules(report: pl.DataFrame) -> list[RuleLine]:
    """Return every stopping rule of a report in order of precedence."""
    rows = [each for each in _rows(report, "loop") if each.figure.startswith("stop_")]
    names = [row.figure.removeprefix("stop_").replace("_", " ") for row in rows]
    return [
        RuleLine(name, RULES.get(name, ""), bool(row.estimate), row.detail or "")
        for name, row in zip(names, rows, strict=True)
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
        found = {name: figure_of(report, *place) for name, place in wanted.items()}
        labels, verdict = figure_of(report, "labels", "loop"), figure_of(report, "verdict", "loop")
        rows.append(
            {
                "iteration": key,
                "items labelled": f"{labels.estimate:.0f}" if labels and labels.estimate is not None else "",
                **{name: "" if each is None else interval_text(each) for name, each in found.items()},
                "verdict": (verdict.detail or "").partition(":")[0] if verdict else "",
            }
        )
    return rows


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
    """Return a row for each rater: votes, share positive, undecided, mean kappa with the others."""
    pairs = [(first, second, float(kappa_of(cells.sum(axis=0)))) for first, second, cells in rows.pairs()]
    lines = []
    for name in rows.raters:
        own = votes.filter(pl.col("rater") == name)["label"]
        decisive = own.filter(own != "undecided")
        kappas = [kappa for first, second, kappa in pairs if name in (first, second) and not np.isnan(kappa)]
        lines.append(
            {
                "rater": name,
                "votes": str(len(own)),
                "positive": percent(float((decisive == "positive").sum()) / len(decisive)) if len(decisive) else "",
                "cannot decide": str(len(own) - len(decisive)),
                "mean kappa with the others": f"{np.mean(kappas):.2f}" if kappas else "undefined",
            }
        )
    return lines


def disputed(tables: IterationTables, rows: Rows) -> tuple[list[ItemLine], int]:
    """Return the items on which votes differ most, and how many differ at all."""
    share = rows.positive_share
    split = np.where(np.isnan(share), 0.0, np.minimum(share, 1 - share))
    order = [int(at) for at in np.lexsort((rows.item_id, -rows.decisive, -split)) if split[at] > 0]
    return _lines(tables, rows, order[:SHOWN_ITEMS]), len(order)


def undecided(tables: IterationTables, rows: Rows) -> tuple[list[ItemLine], int]:
    """Return the items that got most answers 'cannot decide', and how many got one."""
    order = [int(at) for at in np.lexsort((rows.item_id, -rows.undecided)) if rows.undecided[at] > 0]
    return _lines(tables, rows, order[:SHOWN_ITEMS]), len(order)


def _lines(tables: IterationTables, rows: Rows, order: list[int]) -> list[ItemLine]:
    lines, facts = [], rows.facts
    for at in order:
        item = str(rows.item_id[at])
        cast = tables.votes.filter(pl.col("item_id") == item).sort("rater")
        text = facts["text"][at] or ""
        comments = cast.filter(pl.col("comment").fill_null("") != "").select("rater", "comment")
        model = rows.label("student")[at]
        lines.append(
            ItemLine(
                item_id=item,
                text=text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…",
                reason=str(facts["reason"][at]),
                votes=tuple(f"{rater}: {label}" for rater, label in cast.select("rater", "label").iter_rows()),
                model="not scored" if np.isnan(model) else ("positive" if model else "negative"),
                comments=tuple(f"{rater}: {comment}" for rater, comment in comments.iter_rows()),
            )
        )
    return lines


def provenance(tables: IterationTables) -> list[tuple[str, str]]:
    """Return what the report rests on: votes, policy, models, settings, software."""
    policy, votes, settings = tables.policy, tables.votes, tables.policy.stopping
    versions = votes.group_by("policy_version").len().sort("policy_version")
    newest = votes["voted_at"].dt.strftime("%Y-%m-%d %H:%M:%S UTC").max()
    watermark = figure_of(tables.report, "watermark", "loop")
    known = watermark is not None and watermark.estimate is not None
    return [
        ("votes", f"{votes.height} current votes of {votes['rater'].n_unique()} raters"),
        ("newest vote", str(newest or "none")),
        ("ledger watermark", f"{watermark.estimate:.0f}" if watermark and known else "not recorded"),
        *_adjudicated(tables),
        ("policy", f"{policy.policy.name}, version {policy.policy.version}; {_print(policy.policy)}"),
        ("votes by policy version", ", ".join(f"{name}: {count}" for name, count in versions.iter_rows()) or "none"),
        *_models(tables),
        ("embedding", f"{policy.embedding.model}; {_print(policy.embedding)}"),
        ("selection settings", _print(policy.selection)),
        ("stopping settings", f"{settings.resamples} resamples, seed {settings.seed}; {_print(settings)}"),
        ("software", ", ".join([f"al_assets {__version__}", *_versions()])),
    ]


def _adjudicated(tables: IterationTables) -> list[tuple[str, str]]:
    counts = adjudication_counts(tables.split)
    if not any(counts.values()):
        return []
    found = (
        f"{counts['adjudicated']} fine-tuning items, {counts['overturned']} against the majority of the votes, "
        f"{counts['guideline_gaps']} left out as guideline gaps; {counts['adjudicated_in_evaluation']} evaluation "
        "items, whose labels stay; every kappa is that of the raters' own votes"
    )
    return [("adjudicated", found)]


def _models(tables: IterationTables) -> list[tuple[str, str]]:
    incumbent, student = tables.incumbent.row(0, named=True), tables.checkpoint.row(0, named=True)
    promoted = f", promoted in {incumbent['promoted_from']}" if incumbent["promoted_from"] else ""
    learned = f"{student['training_items']} items, {student['positive_items']} of them positive"
    made = f"{student['kind']} ({student['method']}) from {student['base_model']}"
    return [
        ("incumbent", f"{incumbent['kind']} {incumbent['uri']}{promoted}; fingerprint {incumbent['fingerprint']}"),
        ("student", f"{made}; fingerprint {student['fingerprint']}"),
        ("student's training data", f"{learned}; fingerprint {student['data_fingerprint']}"),
    ]


def _print(section: Section) -> str:
    return f"fingerprint {section.fingerprint()}"


def _versions() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
