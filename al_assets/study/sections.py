"""The sections of a study's report: each a function from the summary to headings, tables and pictures."""

from collections.abc import Collection, Iterable, Sequence

import polars as pl

from al_assets.study.answers import (
    ahead_of_random,
    crowd_text,
    default_sentence,
    probe_sentence,
    quality_sentence,
    setting_answer,
)
from al_assets.study.arms import CROWD, METRICS, Setting
from al_assets.study.comparison import AREA, LAST
from al_assets.study.document import Block, Bullets, Cell, Paragraph, Part, Picture, Table
from al_assets.study.summary import PROBES, StudySummary, in_setting
from al_assets.study.wording import (
    NAMES,
    Row,
    decimal,
    estimate,
    factor,
    labels_amount,
    p_value,
    percent,
    reduction,
    seeds_of,
    setting_title,
    whole,
)

_MEASURES = {LAST: "last round", AREA: "whole curve"}


def answer(summary: StudySummary) -> list[Part]:
    """Return the answer first: of the default strategy in every setting."""
    settings = summary.settings
    parts = [Part("The answer", [Paragraph(default_sentence(summary))])]
    for setting in settings:
        parts.append(Part(setting_title(setting, settings), [Bullets(setting_answer(summary, setting))], 3))
    return parts


def curves(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return kappa by round, with its references, and what else changes by round."""
    captions = {
        "curves_kappa": "Kappa with the experts on held-out items drawn at random, by expert labels.",
        "curves_boundary": "The same on held-out boundary items, which are harder.",
        "positive_share": "The positive share of what each strategy picked, by round.",
    }
    blocks: list[Block] = _shown(captions, pictures)
    blocks += [
        Paragraph("Bands and whiskers are 95 % intervals over seeds (bands: the default and random; whiskers: the last round).")
    ]
    parts = [Part("Learning curves", blocks if len(blocks) > 1 else [])]
    for setting in summary.settings:
        own = in_setting(summary.curves, setting, variant="")
        tables: list[Block] = [_references(summary, setting)]
        for metric, caption in (
            ("kappa", "Kappa, population (95 % interval)"),
            ("kappa_boundary", "Kappa, boundary items (95 % interval)"),
            ("average_precision", "Average precision, population"),
            ("positive_share", "Positive share of the picks"),
        ):
            rows = own.filter((pl.col("metric") == metric) & (pl.col("strategy") != CROWD))
            if not rows.is_empty():
                tables.append(_by_round(summary, rows, caption, intervals=metric in METRICS))
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


def _by_round(summary: StudySummary, rows: pl.DataFrame, caption: str, *, intervals: bool) -> Table:
    rounds = sorted(rows["round"].unique().to_list())
    labels = [whole(rows.filter(pl.col("round") == number)["labels"].to_list()[0]) for number in rounds]
    lines = []
    for name in summary.strategies:
        by_round = {row["round"]: row for row in rows.filter(pl.col("strategy") == name).iter_rows(named=True)}
        if by_round:
            cells = [by_round.get(number) for number in rounds]
            texts = [(estimate(row) if intervals else decimal(row["mean"])) if row else "" for row in cells]
            lines.append([Cell(name), *map(Cell, texts)])
    return Table(f"{caption}, by expert labels.{_seed_note(rows)}", ["strategy", *labels], lines)


def random_arm(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return how the strategies stand to random at equal labels."""
    frame = summary.against_random
    if frame.is_empty():
        return [Part("Against random", [Paragraph("Random was not run, or nothing else was.")])]
    caption = {"against_random": "Difference from random at equal labels, paired by seed, with 95 % intervals."}
    blocks = _shown(caption, pictures)
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
    header = [f"{NAMES[metric]}, {_MEASURES[measure]}" for metric, measure in kinds]
    caption = f"Kappa minus random's, and p after Holm's correction. Bold: the interval leaves 0 out.{_seed_note(frame)}"
    return Table(caption, ["strategy", *header], lines)


def _tested(row: Row | None) -> Cell:
    if row is None:
        return Cell("")
    p = f", p {p_value(row['p_holm'])}" if row["p_holm"] is not None else ""
    return Cell(f"{estimate(row, 'difference', 3, sign=True)}{p}", row["side"] in ("above", "below"))


def savings(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return the labels needed to reach a kappa, and the crowd labels that do as well."""
    parts = [Part("Labels needed to reach a kappa", _needed(summary))] if not summary.needed.is_empty() else []
    if summary.equivalents.is_empty():
        return [*parts, Part("Crowd labels that do as well", [Paragraph("No crowd baseline was run.")])]
    captions = {
        "crowd_kappa": "Kappa of the same student by the number of crowd labels, and the level of the curated labels.",
        "crowd_boundary": "The same on held-out boundary items.",
    }
    return [*parts, Part("Crowd labels that do as well", [*_shown(captions, pictures), *_equivalents(summary)])]


def _needed(summary: StudySummary) -> list[Block]:
    blocks: list[Block] = [
        Paragraph(
            "The factors say how many times as many labels random and the crowd need. Targets are computed anew in "
            "every resample. \"At most\": the first round reaches it already."
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
            header = ["strategy", "kappa", "target", "labels (95 % interval)", "random needs, times", "crowd needs, times"]
            blocks.append(Table(setting_title(setting, summary.settings), header, lines, names=3))
    return blocks


def _equivalents(summary: StudySummary) -> list[Block]:
    blocks: list[Block] = []
    for setting in summary.settings:
        frame = in_setting(summary.equivalents, setting)
        lines = []
        for name in summary.strategies:
            for row in frame.filter(pl.col("strategy") == name).iter_rows(named=True):
                gap = {"difference": row["difference"], "low": row["difference_low"], "high": row["difference_high"]}
                texts = [NAMES[row["metric"]], decimal(row["level"]), whole(row["labels"]), crowd_text(row)]
                texts += [reduction(row, "per_label"), reduction(row, "per_vote")]
                sure = gap["low"] is not None and (gap["low"] > 0 or gap["high"] < 0)
                lines.append([Cell(name), *map(Cell, texts), Cell(estimate(gap, "difference", 3, sign=True), sure)])
        if lines:
            most = whole(frame["most"].to_list()[0])
            header = ["strategy", "kappa of", "kappa", "expert labels", "crowd labels for the same",
                      "for each expert label", "for each expert vote", f"kappa minus that of {most} crowd labels"]  # fmt: skip
            caption = f"{setting_title(setting, summary.settings)}.{_seed_note(frame)}"
            blocks.append(Table(caption, header, lines, names=2))
    return blocks


def default_and_controls(summary: StudySummary) -> list[Part]:
    """Return whether the default is the best, and what each control does."""
    lines = []
    for row in summary.default_check.iter_rows(named=True):
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), summary.settings)
        texts = [title, NAMES[row["metric"]], _MEASURES[row["measure"]], row["best"]]
        texts += ["" if row["verdict"] == "best" else estimate(row, "difference", 3, sign=True), row["behind"] or "none"]
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
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), summary.settings)
        texts = [row["variant"], title, row["strategy"], NAMES[row["metric"]]]
        cell = Cell(estimate(row, "difference", 3, sign=True), row["side"] in ("above", "below"))
        figures = [Cell(decimal(row["base_level"])), Cell(decimal(row["level"])), cell, Cell(p_value(row["p"]))]
        lines.append([*map(Cell, texts), *figures])
    header = ["control", "setting", "strategy", "kappa of", "base", "control", "difference (95 % interval)", "p"]
    caption = "Last round, control minus base, paired by seed. Bold: the interval leaves 0 out. p is not corrected."
    return [Part("Controls", [Table(f"{caption}{_seed_note(summary.controls)}", header, lines, names=4)])]


def label_quality(summary: StudySummary, pictures: Collection[str]) -> list[Part]:
    """Return how good the experts' labels have to be."""
    if summary.quality.is_empty():
        return []
    blocks = _shown({"label_quality": "Kappa in the last round by the experts' agreement, and the crowd's largest sample."}, pictures)
    limits = []
    for row in summary.quality_limits.iter_rows(named=True):
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), summary.settings)
        limits.append(f"{title}, {row['strategy']}. {quality_sentence(row)}")
    blocks += [Bullets(limits)] if limits else [Paragraph("No crowd baseline was run to hold this against.")]
    lines = []
    for row in summary.quality.iter_rows(named=True):
        title = setting_title(Setting(*(row[name] for name in Setting._fields)), summary.settings)
        gap = {"difference": row["difference"], "low": row["difference_low"], "high": row["difference_high"]}
        crowd = {"level": row["crowd_level"], "low": row["crowd_low"], "high": row["crowd_high"]}
        texts = [title, row["strategy"], NAMES[row["metric"]], decimal(row["expert_kappa"]), estimate(row, "level")]
        texts += [estimate(crowd, "level")]
        lines.append([*map(Cell, texts), Cell(estimate(gap, "difference", 3, sign=True), row["side"] in ("above", "below"))])
    header = ["setting", "strategy", "kappa of", "expert kappa", "curated", "crowd's largest sample", "difference"]
    blocks.append(Table(f"Last round.{_seed_note(summary.quality)}", header, lines, names=3))
    return [Part("How good the experts' labels have to be", blocks)]


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
        header = ["labels", "student", "head on the frozen embedding", "head on the student's states", "head, all labels"]
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
        table = Table(f"Last round.{_seed_note(summary.gaps)}", header, lines, names=2)
        parts.append(Part("Boundary items and population", [*_shown(caption, pictures), table]))
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
    table = Table("Seconds a round, mean of rounds and seeds.", ["setting", "strategy", *_PARTS.values()], lines, names=2)
    return [Part("Time", [*_shown({"seconds": "Seconds a round."}, pictures), table])]


_PARTS = {"seconds": "all", "curation_seconds": "curation", "training_seconds": "training"}


def method(summary: StudySummary) -> list[Part]:
    """Return how the figures were computed, and what they cannot say."""
    seeds = sorted(set(summary.curves["seeds"].to_list()))
    counted = seeds_of(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds, by figure"
    texts = [
        f"Every figure is a mean over seeds ({counted}); a seed has a pool, held-out items, a panel and a student of its own, "
        "which all strategies of that seed share. So all differences are paired by seed.",
        "Intervals are 95 %: Student's t over seeds for means and differences; for labels needed, crowd equivalents, "
        f"factors and limits a percentile bootstrap over seeds, {summary.resamples:,} resamples, seed {summary.seed}, with "
        "tails widened for few seeds (Hesterberg 2015). With 3 to 5 seeds no bootstrap goes beyond what those seeds "
        "showed, so its intervals are rather too short. One seed has no interval; two have none by bootstrap.",
        "Whole curve: the area between the curves divided by the range of labels (trapezoid rule). Holm's correction is "
        "over everything held against random with one data set and student.",
        "Crowd equivalents: the crowd's mean kappa is made non-decreasing in the number of labels (isotonic regression) "
        "and is linear in its logarithm between the sizes; beyond the sizes that were run only a bound is given. A crowd "
        "label is one vote; an expert label is several, hence both ratios.",
        "Population: held-out items drawn at random. Boundary items: those of them that LLM-0's boundary pairs pick, the "
        "same for every strategy of a seed.",
    ]
    return [Part("How the figures were computed", [Bullets(texts)])]


def _shown(captions: dict[str, str], pictures: Collection[str]) -> list[Block]:
    return [Picture(name, caption.rstrip("."), caption) for name, caption in captions.items() if name in pictures]


def _seed_note(frame: pl.DataFrame) -> str:
    counts: Sequence[int] = sorted(set(frame["seeds"].to_list()))
    if not counts:
        return ""
    if len(counts) == 1:
        return f" {seeds_of(counts[0])[:1].upper()}{seeds_of(counts[0])[1:]}."
    return f" {counts[0]} to {counts[-1]} seeds."


def all_parts(summary: StudySummary, pictures: Collection[str]) -> Iterable[Part]:
    """Yield the whole report but for how the study was run.

    :param pictures: the names of those there are.
    """
    yield from answer(summary)
    yield from curves(summary, pictures)
    yield from random_arm(summary, pictures)
    yield from savings(summary, pictures)
    yield from default_and_controls(summary)
    yield from label_quality(summary, pictures)
    yield from probes(summary)
    yield from scopes_and_time(summary, pictures)
    yield from method(summary)
