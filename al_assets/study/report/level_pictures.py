"""Pictures of levels: crowd, quality of the labels, boundary against population, time; a panel for each setting."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from al_assets.pictures import BAND
from al_assets.study.cells import CROWD, LLM0
from al_assets.study.report.arms import Setting
from al_assets.study.report.canvas import (
    COLOURS,
    INK,
    Look,
    legend,
    looks_of,
    panels_of,
    settings_of,
    sheet,
    whisker,
    with_rows,
)
from al_assets.study.report.saving import EXACT, FEWER, MORE
from al_assets.study.report.summary import StudySummary, matching
from al_assets.study.report.wording import SummaryRow, crowd_amount, setting_title

AXIS = {"kappa": "kappa, population", "kappa_boundary": "kappa, boundary items"}
_THOUSAND = 1_000


def crowd(summary: StudySummary, metric: str) -> Any:
    """Draw the crowd's kappa by its labels, with the level that the curated labels reach; None without figures."""
    frame = summary.equivalents.filter((pl.col("metric") == metric) & (pl.col("strategy") == summary.default))
    settings = with_rows(summary, frame)
    if not settings:
        return None
    figure, panels = panels_of(summary, settings)
    for setting, panel in zip(settings, panels, strict=True):
        row = matching(frame, setting).row(0, named=True)
        crowd = _crowd_curve(summary, setting, metric)
        x, y = crowd["labels"].to_numpy(), crowd["mean"].to_numpy()
        known = crowd.drop_nulls("low")
        panel.fill_between(known["labels"], known["low"], known["high"], color=COLOURS[1], alpha=0.16, linewidth=0)
        panel.plot(x, y, color=COLOURS[1], marker="s", markersize=4, label="student on crowd labels")
        own = matching(summary.curves, setting, variant="", strategy=summary.default, metric=metric)
        _level_of(summary, panel, own.sort("round").row(-1, named=True))
        panel.plot([row["labels"]], [row["level"]], color=COLOURS[0], marker="o", markersize=6, linestyle="none")
        _equivalent(panel, row)
        panel.set_xscale("log")
        _ticks(panel, x.tolist())
        panel.set(xlabel="labels", ylabel=AXIS[metric])
    legend(figure, panels, columns=2)
    return figure


def _level_of(summary: StudySummary, panel: Any, last: SummaryRow) -> None:
    title = f"{summary.default}, last round (dot: its labels)"
    panel.axhline(last["mean"], color=COLOURS[0], linewidth=1.5, label=title)
    if last["low"] is not None:
        panel.axhspan(last["low"], last["high"], color=COLOURS[0], alpha=0.13, linewidth=0)


def _equivalent(panel: Any, row: SummaryRow) -> None:
    """Mark how many crowd labels reach the level, with the interval as a bar at the panel's foot."""
    right = row["bound"] != FEWER
    place = {MORE: row["most"], FEWER: row["fewest"]}.get(row["bound"], row["crowd_labels"])
    if row["bound"] == EXACT:
        title = "crowd labels for the same kappa"
        panel.axvline(place, color=INK, linewidth=1, linestyle=(0, (2, 1.5)), label=title)
    panel.annotate(
        crowd_amount(row["crowd_labels"], row["bound"], row), (place, 0.04), xycoords=("data", "axes fraction"),
        xytext=(-4 if right else 4, 0), textcoords="offset points", ha="right" if right else "left", fontsize=8,
    )  # fmt: skip
    if row["low_bound"] is not None:
        limits = {MORE: "most", FEWER: "fewest"}
        low, high = (row[limits.get(row[f"{end}_bound"], end)] for end in ("low", "high"))
        if low < high:
            panel.plot([low, high], [0.01, 0.01], transform=panel.get_xaxis_transform(), color=INK, linewidth=3,
                       solid_capstyle="butt", label="its 95 % interval")  # fmt: skip


def _crowd_curve(summary: StudySummary, setting: Setting, metric: str) -> pl.DataFrame:
    rows = summary.curves.filter(
        (pl.col("strategy") == CROWD)
        & (pl.col("variant") == "")
        & (pl.col("metric") == metric)
        & (pl.col("dataset") == setting.dataset)
        & (pl.col("student") == setting.student)
    )
    for name, value in (("embedding", setting.embedding), ("budget", setting.budget)):
        same = rows.filter(pl.col(name).eq_missing(value))
        # As ``arms.baseline`` picks it: the same if there is one, else the first in order.
        rows = rows.filter(pl.col(name).eq_missing(rows[name][0])) if same.is_empty() else same
    return rows.sort("round")


def label_quality(summary: StudySummary) -> Any:
    """Draw the last kappa by the experts' agreement, beside the crowd's largest sample; None without figures."""
    frame = summary.quality
    settings = [each for each in settings_of(frame) if each.dataset]
    if not settings:
        return None
    titles = [(setting, metric) for setting in settings for metric in AXIS]
    figure, panels = sheet([setting_title(setting, settings) for setting, _ in titles])
    looks = looks_of(summary.strategies, summary.default)
    for (setting, metric), panel in zip(titles, panels, strict=True):
        for name in summary.strategies:
            rows = matching(frame, setting, metric=metric, strategy=name).sort("expert_kappa").to_dicts()
            if rows:
                _quality_lines(panel, rows, looks[name], name)
        panel.set(xlabel="kappa among the experts who label", ylabel=AXIS[metric])
    legend(figure, panels, columns=2)
    return figure


def _quality_lines(panel: Any, rows: Sequence[SummaryRow], look: Look, name: str) -> None:
    x, y = [row["expert_kappa"] for row in rows], [row["level"] for row in rows]
    panel.plot(
        x, y, color=look.colour, marker=look.marker, markersize=4, linewidth=look.width, label=f"{name}, last round"
    )
    for row in rows:
        if row["low"] is not None:
            whisker(panel, row["expert_kappa"], {**row, "mean": row["level"]}, look)
    known = [row for row in rows if row["crowd_level"] is not None]
    if known:
        x = [row["expert_kappa"] for row in known]
        panel.plot(x, [row["crowd_level"] for row in known], color=COLOURS[1], linestyle=(0, (2, 1.5)),
                   label="largest crowd sample")  # fmt: skip
        sure = [row for row in known if row["crowd_low"] is not None]
        ends = [[row[end] for row in sure] for end in ("expert_kappa", "crowd_low", "crowd_high")]
        panel.fill_between(*ends, color=COLOURS[1], alpha=0.14, linewidth=0)


def scopes(summary: StudySummary) -> Any:
    """Draw kappa on boundary items against kappa in the population; None without figures."""
    frame = summary.curves.filter(
        pl.col("metric").is_in(list(AXIS)) & (pl.col("variant") == "") & (pl.col("strategy") != LLM0)
    )
    settings = with_rows(summary, frame.filter(pl.col("metric") == "kappa_boundary"))
    if not settings:
        return None
    figure, panels = panels_of(summary, settings, height=3.5)
    looks = looks_of(summary.strategies, summary.default) | {CROWD: Look(BAND, "h", "-", 1)}
    for setting, panel in zip(settings, panels, strict=True):
        for name in [*summary.strategies, CROWD]:
            own = matching(frame, setting, strategy=name)
            x, y = (own.filter(pl.col("metric") == metric).sort("round").to_dicts() for metric in AXIS)
            if x and y:
                title = "crowd, largest sample" if name == CROWD else name
                _cross(panel, x[-1], y[-1], looks[name], title)
        low = min(panel.get_xlim()[0], panel.get_ylim()[0])
        high = max(panel.get_xlim()[1], panel.get_ylim()[1])
        panel.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle=(0, (1, 2.5)), label="the same")
        panel.set(xlabel=AXIS["kappa"], ylabel=AXIS["kappa_boundary"])
    legend(figure, panels)
    return figure


def _cross(panel: Any, x: SummaryRow, y: SummaryRow, look: Look, title: str) -> None:
    bars = {
        f"{side}err": None if row["low"] is None else [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        for side, row in (("x", x), ("y", y))
    }
    edge = INK if look.colour == BAND else look.colour
    panel.errorbar(
        [x["mean"]], [y["mean"]], **bars, marker=look.marker, markersize=6, linestyle="none", color=edge,
        markerfacecolor=look.colour, elinewidth=0.8, label=title,
    )  # fmt: skip


def seconds(summary: StudySummary) -> Any:
    """Draw the seconds of a round: all, curation, training; None without figures."""
    frame = summary.times.filter((pl.col("variant") == "") & ~pl.col("strategy").is_in((CROWD, LLM0)))
    settings = with_rows(summary, frame)
    if not settings:
        return None
    names = [name for name in summary.strategies if name in set(frame["strategy"])]
    figure, panels = panels_of(summary, settings, height=1.0 + 0.28 * len(names))
    parts = {
        "seconds": ("all", BAND),
        "curation_seconds": ("curation", COLOURS[0]),
        "training_seconds": ("training", COLOURS[1]),
    }
    for setting, panel in zip(settings, panels, strict=True):
        own = matching(frame, setting)
        for part, (title, colour) in parts.items():
            found = own.filter(pl.col("part") == part).to_dicts()
            by_name = {row["strategy"]: row["mean"] for row in found}
            left = [0.0] * len(names)
            if part == "training_seconds":
                curation = own.filter(pl.col("part") == "curation_seconds").to_dicts()
                before = {row["strategy"]: row["mean"] for row in curation}
                left = [before.get(name, 0.0) for name in names]
            if by_name:
                thick = 0.8 if part == "seconds" else 0.4
                widths = [by_name.get(name, 0.0) for name in names]
                panel.barh([-at for at in range(len(names))], widths, thick, left=left, color=colour, label=title)
        panel.set_yticks([-at for at in range(len(names))], names, parse_math=False)
        panel.set(xlabel="seconds a round")
    legend(figure, panels)
    return figure


def _ticks(panel: Any, sizes: Sequence[float]) -> None:
    """Put ticks at the sizes that were run, but for those too near to the one before, since decades may be none."""
    reach = max(sizes) / min(sizes)
    shown: list[float] = []
    for size in sizes:
        if not shown or size / shown[-1] >= max(reach**0.09, 1.01):
            shown.append(size)
    panel.set_xticks(shown, [_short(size) for size in shown])
    panel.minorticks_off()


def _short(value: float) -> str:
    return f"{round(value / _THOUSAND, 1):g}k" if value >= _THOUSAND else f"{value:g}"
