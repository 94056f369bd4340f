"""The sections on labels needed, on crowd labels that do as well, and on the quality of the experts' labels."""

from collections.abc import Collection

import polars as pl

from al_assets.study.report.answers import crowd_text
from al_assets.study.report.document import Block, Bullets, Cell, Paragraph, Part, Table
from al_assets.study.report.limit_sentences import quality_sentence
from al_assets.study.report.section_parts import difference, seed_note, shown, title_of
from al_assets.study.report.summary import StudySummary, in_setting
from al_assets.study.report.wording import (
    NAMES,
    Row,
    decimal,
    estimate,
    factor,
    labels_amount,
    reduction,
    setting_title,
    whole,
)


def savings(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return the labels needed to reach a kappa, and the crowd labels that do as well."""
    parts = [Part("Labels needed to reach a kappa", _needed(summary))] if not summary.needed.is_empty() else []
    if summary.equivalents.is_empty():
        return [*parts, Part("Crowd labels that do as well", [Paragraph("No crowd baseline was run.")])]
    captions = {
        "crowd_kappa": "Kappa of the same student by the number of crowd labels, and the level of the curated labels.",
        "crowd_boundary": "The same on held-out boundary items.",
    }
    return [*parts, Part("Crowd labels that do as well", [*shown(captions, pictures), *_equivalents(summary)])]


def _needed(summary: StudySummary) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            "The factors say how many times as many labels random and the crowd need. Targets are computed anew in "
            'every resample. "At most": the first round reaches it already.'
        )
    ]
    for setting in summary.settings:
        lines = []
        frame = in_setting(summary.needed, setting)
        for name in summary.strategies:
            for row in frame.filter(pl.col("strategy") == name).iter_rows(named=True):
                texts = [NAMES[row["metric"]], f"{row['target']}: {decimal(row['level'])}", labels_amount(row)]
                texts += [factor(row, "random"), factor(row, "crowd")]
                lines.append([Cell(name), *map(Cell, texts)])
        if lines:
            header = [
                "strategy",
                "kappa",
                "target",
                "labels (95 % interval)",
                "random needs, times",
                "crowd needs, times",
            ]
            blocks.append(Table(setting_title(setting, summary.settings), header, lines, names=3))
    return blocks


def _equivalents(summary: StudySummary) -> list[Block]:
    blocks: list[Block] = []
    for setting in summary.settings:
        frame = in_setting(summary.equivalents, setting)
        lines = []
        for name in summary.strategies:
            for row in frame.filter(pl.col("strategy") == name).iter_rows(named=True):
                texts = [NAMES[row["metric"]], decimal(row["level"]), whole(row["labels"]), crowd_text(row)]
                texts += [reduction(row, "per_label"), reduction(row, "per_vote")]
                lines.append([Cell(name), *map(Cell, texts), _gap(row)])
        if lines:
            most = whole(frame["most"].to_list()[0])
            header = ["strategy", "kappa of", "kappa", "expert labels", "crowd labels for the same",
                      "for each expert label", "for each expert vote", f"kappa minus that of {most} crowd labels",
                      ]  # fmt: skip
            caption = f"{setting_title(setting, summary.settings)}.{seed_note(frame)}"
            blocks.append(Table(caption, header, lines, names=2))
    return blocks


def label_quality(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return how good the experts' labels have to be."""
    if summary.quality.is_empty():
        return []
    blocks = shown(
        {"label_quality": "Kappa in the last round by the experts' agreement, and the crowd's largest sample."},
        pictures,
    )
    limits = []
    for row in summary.quality_limits.iter_rows(named=True):
        title = title_of(row, summary)
        limits.append(f"{title}, {row['strategy']}. {quality_sentence(row)}")
    blocks += [Bullets(limits)] if limits else [Paragraph("No crowd baseline was run to hold this against.")]
    lines = []
    for row in summary.quality.iter_rows(named=True):
        title = title_of(row, summary)
        crowd = {"level": row["crowd_level"], "low": row["crowd_low"], "high": row["crowd_high"]}
        texts = [title, row["strategy"], NAMES[row["metric"]], decimal(row["expert_kappa"]), estimate(row, "level")]
        texts += [estimate(crowd, "level")]
        lines.append([*map(Cell, texts), _gap(row)])
    header = ["setting", "strategy", "kappa of", "expert kappa", "curated", "crowd's largest sample", "difference"]
    blocks.append(Table(f"Last round.{seed_note(summary.quality)}", header, lines, names=3))
    return [Part("How good the experts' labels have to be", blocks)]


def _gap(row: Row) -> Cell:
    return difference(row, "difference", "difference_low", "difference_high")
