"""The sections on the default, the controls, the probes, the two kinds of kappa and time."""

from collections.abc import Collection

import polars as pl

from al_assets.study.report.answers import default_sentence
from al_assets.study.report.comparison import LAST
from al_assets.study.report.document import Block, Cell, Paragraph, Part, Table
from al_assets.study.report.limit_sentences import probe_sentence
from al_assets.study.report.section_parts import difference, seed_note, shown, title_of
from al_assets.study.report.summary import PROBES, StudySummary, in_setting
from al_assets.study.report.wording import MEASURES, NAMES, decimal, estimate, p_value, setting_title, whole

_PARTS = {"seconds": "all", "curation_seconds": "curation", "training_seconds": "training"}


def default_and_controls(summary: StudySummary) -> list[Part]:
    """Return whether the default is the best, and what each control does."""
    lines = []
    for row in summary.default_check.iter_rows(named=True):
        title = title_of(row, summary)
        texts = [title, NAMES[row["metric"]], MEASURES[row["measure"]], row["best"]]
        texts += [
            "" if row["verdict"] == "best" else estimate(row, "difference", 3, sign=True),
            row["behind"] or "none",
        ]
        lines.append([*map(Cell, texts), Cell(row["verdict"], row["verdict"] == "behind")])
    header = ["setting", "kappa of", "measure", "highest mean", f"{summary.default} minus it (95 % interval)",
              "ahead beyond noise", "verdict"]  # fmt: skip
    note = Paragraph(
        f"{default_sentence(summary)} The highest mean is picked after the fact, which biases the difference against "
        "the default; no correction is made for the number of rivals."
    )
    parts = [Part("Is the default the best?", [note, Table("", header, lines, names=4)] if lines else [note])]
    return [*parts, *_controls(summary)]


def _controls(summary: StudySummary) -> list[Part]:
    if summary.controls.is_empty():
        return []
    lines = []
    for row in summary.controls.filter(pl.col("measure") == LAST).iter_rows(named=True):
        title = title_of(row, summary)
        texts = [row["variant"], title, row["strategy"], NAMES[row["metric"]]]
        cell = difference(row)
        figures = [Cell(decimal(row["base_level"])), Cell(decimal(row["level"])), cell, Cell(p_value(row["p"]))]
        lines.append([*map(Cell, texts), *figures])
    header = ["control", "setting", "strategy", "kappa of", "base", "control", "difference (95 % interval)", "p"]
    caption = "Last round, control minus base, paired by seed. Bold: the interval leaves 0 out. p is not corrected."
    return [Part("Controls", [Table(f"{caption}{seed_note(summary.controls)}", header, lines, names=4)])]


def probes(summary: StudySummary) -> list[Part]:
    """Return whether labels or model are the limit, by round."""
    if summary.curves.filter(pl.col("metric").is_in(PROBES)).is_empty():
        return []
    blocks: list[Block] = []
    for setting in summary.settings:
        own = in_setting(summary.curves, setting, variant="", strategy=summary.default)
        own = own.filter(pl.col("metric").is_in(("kappa", *PROBES)))
        if own.filter(pl.col("metric") != "kappa").is_empty():
            continue
        title = setting_title(setting, summary.settings)
        blocks.append(Paragraph(f"{title}. {probe_sentence(summary, setting)}"))
        lines = []
        for part in own.sort("round").partition_by("round", maintain_order=True):
            found = {row["metric"]: row for row in part.iter_rows(named=True)}
            texts = [estimate(found[name]) if name in found else "" for name in ("kappa", *PROBES)]
            lines.append([Cell(whole(part["labels"].to_list()[0])), *map(Cell, texts)])
        header = [
            "labels",
            "student",
            "head on the frozen embedding",
            "head on the student's states",
            "head, all labels",
        ]
        blocks.append(Table(f"Kappa in the population, {summary.default}.", header, lines, names=0))
    return [Part("Labels or model: linear probes", blocks)]


def scopes_and_time(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return boundary beside population kappa, and what a round costs."""
    parts = []
    lines = []
    for setting in summary.settings:
        rows = in_setting(summary.gaps, setting, variant="", gap="kappa_boundary - kappa")
        for name in summary.strategies:
            lines += [
                [Cell(setting_title(setting, summary.settings)), Cell(name), Cell(estimate(row, "mean", 3, sign=True))]
                for row in rows.filter(pl.col("strategy") == name).iter_rows(named=True)
            ]
    if lines:
        caption = {"boundary_population": "Kappa on boundary items against kappa in the population, last round."}
        header = ["setting", "strategy", "boundary minus population (95 % interval)"]
        table = Table(f"Last round.{seed_note(summary.gaps)}", header, lines, names=2)
        parts.append(Part("Boundary items and population", [*shown(caption, pictures), table]))
    return [*parts, *_time(summary, pictures)]


def _time(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    lines = []
    for setting in summary.settings:
        rows = in_setting(summary.times, setting, variant="")
        for name in summary.strategies:
            found = {row["part"]: row["mean"] for row in rows.filter(pl.col("strategy") == name).iter_rows(named=True)}
            if found:
                texts = [f"{found[part]:.1f}" if part in found else "" for part in _PARTS]
                lines.append([Cell(setting_title(setting, summary.settings)), Cell(name), *map(Cell, texts)])
    if not lines:
        return []
    table = Table(
        "Seconds a round, mean of rounds and seeds.", ["setting", "strategy", *_PARTS.values()], lines, names=2
    )
    return [Part("Time", [*shown({"seconds": "Seconds a round."}, pictures), table])]
