"""The sections on learning curves and on the comparison with random."""

from collections.abc import Callable, Collection

import polars as pl

from al_assets.study.cells import CROWD
from al_assets.study.report.answers import ahead_of_random
from al_assets.study.report.arms import METRICS, Setting
from al_assets.study.report.comparison import AREA, LAST
from al_assets.study.report.document import Block, Cell, Paragraph, Part, Table
from al_assets.study.report.section_parts import seed_note, shown
from al_assets.study.report.summary import StudySummary, in_setting
from al_assets.study.report.wording import (
    MEASURES,
    NAMES,
    Row,
    decimal,
    estimate,
    p_value,
    percent,
    setting_title,
    whole,
)


def curves(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return kappa by round, with its references, and what else changes by round."""
    captions = {
        "curves_kappa": "Kappa with the experts on held-out items drawn at random, by expert labels.",
        "curves_boundary": "The same on held-out boundary items, which are harder.",
        "positive_share": "The positive share of what each strategy picked, by round.",
    }
    blocks: list[Block] = shown(captions, pictures)
    blocks += [
        Paragraph("Bands (the default, random) and whiskers (the others' last round) are 95 % intervals over seeds.")
    ]
    parts = [Part("Learning curves", blocks if len(blocks) > 1 else [])]
    for setting in summary.settings:
        own = in_setting(summary.curves, setting, variant="")
        tables: list[Block] = [_references(summary, setting)]
        for metric, caption, say in (
            ("kappa", "Kappa, population (95 % interval)", estimate),
            ("kappa_boundary", "Kappa, boundary items (95 % interval)", estimate),
            ("average_precision", "Average precision, population", lambda row: decimal(row["mean"])),
            ("positive_share", "Positive share of the picks", lambda row: percent(row["mean"])),
        ):
            rows = own.filter((pl.col("metric") == metric) & (pl.col("strategy") != CROWD))
            if not rows.is_empty():
                tables.append(_by_round(summary, rows, caption, say))
        parts.append(Part(setting_title(setting, summary.settings), tables, 3))
    return parts


def _references(summary: StudySummary, setting: Setting) -> Table:
    found = {row["name"]: row for row in in_setting(summary.references, setting).iter_rows(named=True)}
    named = {"expert_kappa": "expert with expert", "crowd_kappa": "crowd worker with the experts", "llm0": "LLM-0",
             "crowd_largest": "the student on the largest crowd sample"}  # fmt: skip
    rows = []
    for name, title in named.items():
        pair = [found.get(name), found.get(f"{name}_boundary")]
        if any(pair):
            rows.append([Cell(title), *(Cell(estimate(each) if each else "") for each in pair)])
    positive = f" Positive items: {percent(found['prevalence']['mean'])}." if "prevalence" in found else ""
    return Table(f"What kappa is held against.{positive}", ["", "population", "boundary items"], rows)


def _by_round(summary: StudySummary, rows: pl.DataFrame, caption: str, say: Callable[[Row], str]) -> Table:
    rounds = sorted(rows["round"].unique().to_list())
    labels = [whole(rows.filter(pl.col("round") == number)["labels"].to_list()[0]) for number in rounds]
    lines = []
    for name in summary.strategies:
        by_round = {row["round"]: row for row in rows.filter(pl.col("strategy") == name).iter_rows(named=True)}
        if by_round:
            cells = [by_round.get(number) for number in rounds]
            texts = [say(row) if row else "" for row in cells]
            lines.append([Cell(name), *map(Cell, texts)])
    return Table(f"{caption}, by expert labels.{seed_note(rows)}", ["strategy", *labels], lines)


def random_arm(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return how the strategies stand to random at equal labels."""
    frame = summary.against_random
    if frame.is_empty():
        return [Part("Against random", [Paragraph("Random was not run, or nothing else was.")])]
    caption = {"against_random": "Difference from random at equal labels, paired by seed, with 95 % intervals."}
    blocks = shown(caption, pictures)
    for setting in summary.settings:
        title = setting_title(setting, summary.settings)
        blocks += [Paragraph(f"{title}. {' '.join(ahead_of_random(summary, setting))}")]
        blocks.append(_random_table(summary, in_setting(frame, setting)))
    return [Part("Against random", blocks)]


def _random_table(summary: StudySummary, frame: pl.DataFrame) -> Table:
    kinds = [(metric, measure) for metric in METRICS for measure in (LAST, AREA)]
    lines = []
    for name in summary.strategies:
        rows = frame.filter(pl.col("strategy") == name)
        found = {(row["metric"], row["measure"]): row for row in rows.iter_rows(named=True)}
        if found:
            cells = [_tested(found.get(kind)) for kind in kinds]
            lines.append([Cell(name), *cells])
    header = [f"{NAMES[metric]}, {MEASURES[measure]}" for metric, measure in kinds]
    caption = f"Kappa minus random's, and p after Holm's correction. Bold: the interval leaves 0 out.{seed_note(frame)}"
    return Table(caption, ["strategy", *header], lines)


def _tested(row: Row | None) -> Cell:
    if row is None:
        return Cell("")
    p = f", p {p_value(row['p_holm'])}" if row["p_holm"] is not None else ""
    return Cell(f"{estimate(row, 'difference', 3, sign=True)}{p}", row["side"] in ("above", "below"))
