"""The pictures of a study: small multiples with a panel for each data set, student, embedding and budget."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from al_assets.study.cells import CROWD, LLM0
from al_assets.study.report.arms import RANDOM, Setting
from al_assets.study.report.canvas import INK, legend, looks_of, panels_of, whisker, with_rows
from al_assets.study.report.comparison import AREA, LAST
from al_assets.study.report.level_pictures import AXIS, crowd, label_quality, scopes, seconds
from al_assets.study.report.summary import StudySummary, matching


def study_figures(summary: StudySummary) -> dict[str, Any]:
    """Return a matplotlib figure for each picture that the study has figures for, by name."""
    drawn: Mapping[str, Callable[[StudySummary], Any]] = {
        "curves_kappa": lambda found: _curves(found, "kappa"),
        "curves_boundary": lambda found: _curves(found, "kappa_boundary"),
        "against_random": _forest,
        "positive_share": _positive_share,
        "crowd_kappa": lambda found: crowd(found, "kappa"),
        "crowd_boundary": lambda found: crowd(found, "kappa_boundary"),
        "label_quality": label_quality,
        "boundary_population": scopes,
        "seconds": seconds,
    }
    figures = {name: draw(summary) for name, draw in drawn.items()}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _curves(summary: StudySummary, metric: str) -> Any:
    frame = summary.curves.filter((pl.col("metric") == metric) & (pl.col("variant") == ""))
    settings = with_rows(summary, frame.filter(~pl.col("strategy").is_in((CROWD, LLM0))))
    if not settings:
        return None
    figure, panels = panels_of(summary, settings, height=3.7)
    for setting, panel in zip(settings, panels, strict=True):
        own = matching(frame, setting)
        span = _lines(summary, panel, own, whiskers=True)
        _levels(summary, panel, setting, "" if metric == "kappa" else "_boundary")
        panel.set_xlim(*span)
        panel.set(xlabel="expert labels", ylabel=AXIS[metric])
    legend(figure, panels)
    return figure


def _lines(summary: StudySummary, panel: Any, own: pl.DataFrame, *, whiskers: bool) -> tuple[float, float]:
    """Draw a line for each strategy and return the span of labels that leaves room for the whiskers."""
    strategies = [name for name in summary.strategies if name in set(own["strategy"])]
    looks = looks_of(summary.strategies, summary.default)
    labels = own.filter(~pl.col("strategy").is_in((CROWD, LLM0)))["labels"].to_list()
    low, high = min(labels), max(labels)
    step = max(high - low, 0.2 * high, 1.0) * 0.022
    aside = 1
    for name in strategies:
        rows = own.filter(pl.col("strategy") == name).sort("round").to_dicts()
        look = looks[name]
        x, y = [row["labels"] for row in rows], [row["mean"] for row in rows]
        panel.plot(x, y, color=look.colour, marker=look.marker, markersize=4, linestyle=look.line, linewidth=look.width,
                   label=name, zorder=3 if name == summary.default else 2)  # fmt: skip
        if name in (summary.default, RANDOM):
            known = [row for row in rows if row["low"] is not None]
            bounds = [[row[end] for row in known] for end in ("labels", "low", "high")]
            panel.fill_between(*bounds, color=look.colour, alpha=0.14, linewidth=0)
        elif whiskers and rows[-1]["low"] is not None:
            aside += 1
            whisker(panel, high + aside * step, rows[-1], look)
    return low - 2 * step, high + (aside + 2) * step


def _levels(summary: StudySummary, panel: Any, setting: Setting, suffix: str) -> None:
    names = {
        "expert_kappa": ("expert with expert", "-"), "crowd_kappa": ("crowd worker with experts", (0, (6, 2, 1, 2))),
        "crowd_largest": ("student on the largest crowd sample", (0, (2, 1.5))), "llm0": ("LLM-0", (0, (1, 2.5))),
    }  # fmt: skip
    found = {row["name"]: row["mean"] for row in matching(summary.references, setting).iter_rows(named=True)}
    for name, (title, line) in names.items():
        if name + suffix in found:
            panel.axhline(found[name + suffix], color=INK, linewidth=1, linestyle=line, label=title, zorder=1)


def _positive_share(summary: StudySummary) -> Any:
    frame = summary.curves.filter(
        (pl.col("metric") == "positive_share") & (pl.col("variant") == "") & ~pl.col("strategy").is_in((CROWD, LLM0))
    )
    settings = with_rows(summary, frame)
    if not settings:
        return None
    figure, panels = panels_of(summary, settings, height=2.8)
    for setting, panel in zip(settings, panels, strict=True):
        panel.set_xlim(*_lines(summary, panel, matching(frame, setting), whiskers=False))
        share = matching(summary.references, setting, name="prevalence")
        if not share.is_empty():
            panel.axhline(share["mean"][0], color=INK, linewidth=1, linestyle=(0, (1, 2.5)), label="held-out items")
        panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        panel.set_ylim(bottom=0)
        panel.set(xlabel="expert labels", ylabel="positive among the picks")
    legend(figure, panels)
    return figure


def _forest(summary: StudySummary) -> Any:
    frame = summary.against_random.filter(pl.col("metric") == "kappa")
    settings = with_rows(summary, frame)
    if not settings:
        return None
    names = [name for name in summary.strategies if name in set(frame["strategy"])]
    figure, panels = panels_of(summary, settings, height=1.1 + 0.34 * len(names))
    looks = looks_of(summary.strategies, summary.default)
    marks = {AREA: (0.13, "o", "whole curve"), LAST: (-0.13, "D", "last round")}
    for setting, panel in zip(settings, panels, strict=True):
        for measure, (shift, marker, title) in marks.items():
            for row in matching(frame, setting, measure=measure).iter_rows(named=True):
                colour = looks[row["strategy"]].colour
                place, mean = shift - names.index(row["strategy"]), row["difference"]
                if row["low"] is not None:
                    panel.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.3)
                filled = colour if measure == AREA else "none"
                panel.plot([mean], [place], marker=marker, markersize=5, color=colour, markerfacecolor=filled)
            panel.plot([], [], marker=marker, color=INK, linestyle="-", label=f"{title}, 95 % interval",
                       markerfacecolor=INK if measure == AREA else "none")  # fmt: skip
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.set_yticks([-at for at in range(len(names))], names, parse_math=False)
        panel.set_ylim(-len(names) + 0.5, 0.5)
        panel.set(xlabel="kappa minus random's, population")
    legend(figure, panels)
    return figure
